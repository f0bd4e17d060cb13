import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import catalog


def measured(entry):
    """value and loss at q = p, near it and far from it, [3] each: one program."""

    def at(loc, scale):
        p, q = distrax.Normal(0.0, 1.0), distrax.Normal(loc, scale)
        return entry.measure(p, q), entry.loss(p, q)

    return jax.jit(jax.vmap(at))(jnp.asarray([0.0, 0.3, 1.0]), jnp.asarray([1.0, 1.1, 1.5]))


@pytest.mark.parametrize("entry", catalog.ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_measures_is_exported_and_has_a_consistent_loss(entry):
    assert getattr(dj, entry.name) is entry.function
    (same, near, far), loss = measured(entry)
    assert float(same) == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < near < far
    assert loss[0] < loss[1] < loss[2]  # the loss is monotone in the divergence


def test_names_with_a_parameter():
    values = {
        name: measured(catalog.lookup(name))[0]
        for name in ("wasserstein_2", "renyi_2", "pearson_chi2", "alpha_0.5", "squared_hellinger", "jensen_shannon_0.1")
    }
    np.testing.assert_allclose(values["wasserstein_2"], np.sqrt([0.0, 0.3**2 + 0.1**2, 1.0 + 0.5**2]), atol=1e-6)
    np.testing.assert_allclose(values["renyi_2"], np.log1p(values["pearson_chi2"]), rtol=1e-5)
    np.testing.assert_allclose(values["alpha_0.5"], 4 * values["squared_hellinger"], rtol=1e-5)
    np.testing.assert_array_less(values["jensen_shannon_0.1"][1:], measured(catalog.lookup("jensen_shannon"))[0][1:])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jensen_shanon", "'jensen_shannon'"),
        ("kl_2", "'kl'"),
        ("wasserstein_0.5", r"\[1, inf\]"),
        ("alpha_nan", "alpha"),
        ("jensen_shannon_2", r"\[0, 1\]"),
        ("", "kl"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        catalog.lookup(name)


def test_the_readme_has_the_table():
    from pathlib import Path

    assert catalog.markdown() in (Path(__file__).parents[1] / "README.md").read_text()
