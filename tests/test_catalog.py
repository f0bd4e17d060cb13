import inspect
import operator
from pathlib import Path

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


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=entry.name, marks=pytest.mark.slow if entry.name == "chernoff" else ())
        for entry in catalog.ENTRIES
    ],
)
def test_every_entry_measures_is_exported_and_has_a_consistent_loss(entry):
    assert getattr(dj, entry.name).leaf is entry.function
    (same, near, far), loss = measured(entry)
    assert float(same) == pytest.approx(0.0, abs=1e-6)
    assert 0.0 < near < far
    assert loss[0] < loss[1] < loss[2]  # the loss is monotone in the divergence


MEASURES = {measure: measure(*np.log([[0.5, 0.5], [0.25, 0.75], [1.0, 1.0]])) for measure in catalog.DISCRETIZERS}


@pytest.mark.parametrize("wrong", MEASURES, ids=lambda measure: measure.__name__)
@pytest.mark.parametrize("entry", catalog.ENTRIES, ids=lambda entry: entry.name)
def test_every_wrong_measure_is_refused_with_the_right_one(entry, wrong):
    right = entry.function.measured_on
    if wrong is right:
        assert np.isfinite(entry.function(MEASURES[wrong]))
        return
    message = (
        rf"Expected {right.__name__} for {entry.name}; got {wrong.__name__}\. Use .*dj\.{entry.discretize.__name__}"
    )
    for call in (entry.function, jax.jit(entry.function), jax.grad(entry.function), entry.objective or entry.function):
        with pytest.raises(TypeError, match=message if call is not entry.objective else f"Expected {right.__name__} "):
            call(MEASURES[wrong])


@pytest.mark.parametrize("entry", catalog.ENTRIES, ids=lambda entry: entry.name)
def test_the_usual_parameter_is_the_functions_default(entry):
    if entry.parameter:
        assert inspect.signature(entry.function).parameters[entry.parameter].default == entry.default


@pytest.mark.slow
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
        ("wasserstein_0.5", r"order of wasserstein in \[1, inf\)"),
        ("renyi_-1", r"alpha of renyi in \[0, inf\)"),
        ("fisher", r"between distributions; got .fisher.\. Call dj\.fisher yourself, or choose one of kl"),
        ("alpha_nan", "alpha"),
        ("jensen_shannon_2", r"\[0, 1\]"),
        ("", "kl"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        catalog.lookup(name)


ROOT = Path(__file__).parents[1]


def test_the_tables_are_current():
    assert catalog.markdown() in (ROOT / "README.md").read_text()
    assert catalog.document() == (ROOT / "docs" / "catalogue.md").read_text()


@pytest.mark.parametrize("entry", catalog.CATALOG.values(), ids=lambda entry: entry.name)
def test_every_route_leads_somewhere(entry):
    for route in entry.routes():
        assert callable(operator.attrgetter(route)(dj))
    assert entry.routes()


def test_every_function_of_the_routes_is_in_the_catalogue():
    routes = {route for entry in catalog.CATALOG.values() for route in entry.routes()}
    for module in ("exact", "logits"):
        leaves = {name for name, f in vars(getattr(dj, module)).items() if inspect.isfunction(f)}
        leaves -= {"f_divergence", "from_curvature", "from_log_partition", "mixture_plan"}
        assert {f"{module}.{name}" for name in leaves} <= routes


def test_closed_forms_are_not_measured():
    with pytest.raises(ValueError, match="between distributions"):
        catalog.CATALOG["mmd2"].measure(distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0))
