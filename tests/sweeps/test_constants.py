"""What all cases have in common: an argument of a program that several iterations share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep
from divjax.sweeps.cases import canonical
from divjax.sweeps.program import program

CASES = product(separation=np.linspace(0.0, 16.0, 5, dtype=np.float32), seed=np.arange(7, dtype=np.int32))
BRANCHES = (jnp.sin, jnp.cos)


def wave():
    return dj.training.Iteration(
        lambda case: (case["x"], jnp.int32(0)),
        lambda state, case: (jax.lax.switch(case["which"], BRANCHES, state[0]), state[1] + 1),
        lambda state: state[1] >= 5,
        lambda state, case: {"end": state[0]},
    )


def of(which):
    return WAVE._replace(constants={"which": np.int32(which)})


WAVE = wave()


def test_run_has_them_in_the_case():
    x = 0.3
    for which, branch in enumerate((np.sin, np.cos)):
        found = dj.run(of(which), {"x": jnp.float32(x)})["end"]
        assert float(found) == pytest.approx(branch(branch(branch(branch(branch(x))))), rel=1e-6)


def test_iterations_that_differ_in_them_alone_are_one_program():
    cases = canonical(product(x=np.linspace(0.0, 1.0, 40, dtype=np.float32)))
    first, second = (program(of(which), cases, 40) for which in (0, 1))
    assert first.compile is second.compile
    assert first.text() != second.text()  # of a store they are two
    table = sweep({"sin": of(0), "cos": of(1)}, cases)
    for name, branch in (("sin", np.sin), ("cos", np.cos)):
        x = np.linspace(0.0, 1.0, 40)
        for _ in range(5):
            x = branch(x)
        np.testing.assert_allclose(table.end.sel(divergence=name), x, rtol=1e-5)


def test_a_name_that_a_case_has_is_refused():
    with pytest.raises(ValueError, match="Expected constants that no case has"):
        sweep({"both": of(0)}, product(x=np.zeros(2, np.float32), which=np.arange(2)))


def test_a_divergence_owes_nothing_to_its_company():
    together = two_modes.run_sweep(np.linspace(0.0, 16.0, 5), 7, ("kl", "triangular", "energy"))
    alone = two_modes.run_sweep(np.linspace(0.0, 16.0, 5), 7, ("triangular",))
    for name in alone.data_vars:
        np.testing.assert_array_equal(together[name].sel(divergence="triangular"), alone[name][0], err_msg=name)


@pytest.mark.parametrize("name", ["kl", "pearson_chi2"])
def test_the_shared_fit_is_the_fit_of_the_divergence(name):
    """Minimum and value are those of a loss that is nothing but this divergence."""
    entry = dj.catalog.lookup(name)
    own = two_modes.gaussian_fit(lambda p, q, _: entry.loss(p, q), lambda p, q, _, loss: entry.of_loss(p, q, loss))
    table = sweep({"own": own, "shared": two_modes.iteration(name)}, CASES)
    for column in ("loc", "scale", "value"):
        np.testing.assert_allclose(table[column][1], table[column][0], rtol=2e-3, atol=2e-3, err_msg=column)
