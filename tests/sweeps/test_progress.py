"""What the bar says, to a terminal and to none."""

import io

import jax.numpy as jnp
import numpy as np
import pytest

from divjax.sweeps import product, sweep
from divjax.sweeps.table import Tally, tally, total
from divjax.training.iteration import Iteration

CASES = product(x=np.arange(12))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def graded(name="status"):
    """Every third fit fails."""
    return Iteration(
        lambda case: case["x"],
        lambda state, case: state,
        lambda state: jnp.array(1) > 0,
        lambda state, case: {name: jnp.where(state % 3 == 0, 2, 0), "x_copy": state},
    )


def shown(monkeypatch, **options):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    sweep({"graded": graded()}, CASES, progress=True, chunk_size=4, **options)
    return terminal.getvalue().split("\r")


def test_one_bar_counts_fits_converged_and_failed(monkeypatch):
    last = shown(monkeypatch)[-1]
    assert "12/12" in last
    assert "fit/s" in last
    assert "8 converged, 4 failed" in last


def test_a_resumed_sweep_begins_where_it_was(monkeypatch, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, _):
        if done == 8:
            raise Stop

    store = tmp_path / "toy.zarr"
    with pytest.raises(Stop):
        sweep({"graded": graded()}, CASES, progress=stop, chunk_size=4, store=store)
    bar = shown(monkeypatch, store=store)
    assert any("8/12" in state for state in bar[:3])
    assert "12/12" in bar[-1]
    assert "8 converged, 4 failed" in bar[-1]


def test_only_an_integer_status_counts():
    status = np.array([0, 2, 0, 4], np.int32)
    assert tally({"status": status}, 4) == Tally(4, 2, 2)
    assert tally({"status": status.astype(float)}, 4) == Tally(4, 0, 0)
    assert tally({"other": status}, 4) == Tally(4, 0, 0)
    assert total([Tally(1, 2, 3), Tally(4, 5, 6)]) == Tally(5, 7, 9)
    assert total([]) == Tally(0, 0, 0)
