"""Paths whose story is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from divjax.diagnostics import stability

T = np.arange(100.0)


def told(*columns, **options):
    return stability(jnp.stack([jnp.asarray(c) for c in columns], 1), **({"tolerance": 0.5, "reach": 20.0} | options))


@pytest.mark.parametrize(
    ("x", "cycled"),
    [
        (np.sin(T / 4), True),  # two periods in the second half
        (np.sin(T / 4) * 0.2, False),  # too small
        (np.exp(-T / 10) * 10 * np.sin(T / 2), False),  # has settled by then
        (T / 10, False),  # a drift
        (T / 10 + 0.3 * np.sin(T), False),  # with ripples on it
        (np.sin(T / 16), False),  # half a period
        (np.where(T < 50, 0.0, 1.0), False),
        (np.where(T % 40 < 20, 0.0, 16.0), False),  # one jump to and one fro in the second half
        (np.where(T % 20 < 10, 0.0, 16.0), True),  # hops between two modes
    ],
)
def test_to_and_fro(x, cycled):
    assert bool(told(x).cycled) == cycled
    assert bool(told(np.zeros(100), x).cycled) == cycled  # in any number
    assert not told(x).diverged


def test_divergence_and_since_when():
    out = told(np.where(T < 60, 0.0, 100.0))
    assert (bool(out.diverged), int(out.diverged_when)) == (True, 60)
    ended = told(np.where(T < 30, 1.0, np.nan))
    assert (bool(ended.diverged), int(ended.diverged_when)) == (True, 30)
    back = told(np.where(abs(T - 50) < 5, 100.0, 0.0))
    assert (bool(back.diverged), int(back.diverged_when)) == (False, -1)


def test_collapse_and_since_when():
    modes = jnp.asarray(np.where(T < 20, 2, np.where(T < 70, 8, 5)), jnp.int32)
    out = told(T * 0, modes=modes, known=8)
    assert (bool(out.collapsed), int(out.collapsed_when)) == (True, 70)
    never = told(T * 0, modes=jnp.maximum(modes, 8), known=8)
    assert (bool(never.collapsed), int(never.collapsed_when)) == (False, -1)
    assert not told(T * 0).collapsed
    ended = told(np.where(T < 50, 0.0, np.nan), modes=jnp.where(T < 50, 8, -1), known=8)
    assert (bool(ended.collapsed), bool(ended.diverged)) == (False, True)


def test_a_path_too_short_to_tell():
    with pytest.raises(ValueError, match="at least 7 rounds"):
        stability(jnp.zeros((6, 1)), tolerance=1.0, reach=1.0)
