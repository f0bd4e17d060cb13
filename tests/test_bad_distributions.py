"""What is given by mistake, for an object of every library and every public function: one line of ours, or a value."""

import importlib
import itertools
import re
import warnings

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax.catalog import CATALOG, ENTRIES
from divjax.discretize import validity
from divjax.distributions.density import is_law
from divjax.distributions.resolve import resolve
from divjax.divergences.measured import declared

KEY = jax.random.key(0)


def library(name):
    """None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


nd, dd, fd, efax = (library(n) for n in ("numpyro.distributions", "distreqx.distributions", "flowjax.distributions",
                                         "efax"))  # fmt: skip
GOOD = {
    "distrax": distrax.Normal(0.0, 1.0),
    "tfp": tfp.distributions.Normal(0.0, 1.0),
    "scipy": st.norm(0.0, 1.0),
    **({} if nd is None else {"numpyro": nd.Normal(0.0, 1.0)}),
    **({} if dd is None else {"distreqx": dd.Normal(jnp.zeros(()), jnp.ones(()))}),
    **({} if fd is None else {"flowjax": fd.Normal()}),
    **({} if efax is None else {"efax": efax.NormalVP(jnp.zeros(()), jnp.ones(()))}),
}


class Series:
    """An array of another library: pandas or torch."""

    __module__ = "torch"
    shape, dtype = (3,), "torch.float32"

    def __array__(self, dtype=None, copy=None):
        return np.zeros(3, dtype)

    def __len__(self):
        return 3


class Unknown:
    """A class without a log-density."""


class Samples(Unknown):
    def sample(self, *args, **kwargs):
        return jnp.zeros(())


BAD = {
    "list": [0.0, 1.0],
    "empty list": [],
    "list of strings": ["a"],
    "array": np.zeros(3),
    "numbers of JAX": jnp.zeros((3, 2)),
    "array of objects": np.array([None, "a"], object),
    "complex": np.zeros(3, complex),
    "tensor": Series(),
    "string": "normal",
    "None": None,
    "int": 3,
    "float": 0.5,
    "dict": {"loc": 0.0},
    "tuple": (0.0, 1.0),
    "class": distrax.Normal,
    "class of scipy": st.norm,
    "function": jnp.exp,
    "unknown": Unknown(),
    "sampler": Samples(),
    "batch": distrax.Normal(jnp.zeros(3), 1.0),
    "discrete": tfp.distributions.Poisson(2.0),
    "plane": distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2)),
    "joint": tfp.distributions.JointDistributionSequential([tfp.distributions.Normal(0.0, 1.0)]),
    "nodes": dj.pmf(jnp.zeros(1), jnp.zeros(1)),
    "coupling": dj.Coupling(jnp.zeros(2), jnp.zeros(2), jnp.zeros(2)),
    "points": dj.Points(jnp.zeros(3), jnp.zeros(3)),
}
if (pandas := library("pandas")) is not None:
    BAD["series"], BAD["frame"] = pandas.Series([0.0, 1.0]), pandas.DataFrame({"x": [0.0, 1.0]})

FUNCTIONS = {
    "kl": dj.kl,
    "wasserstein": dj.wasserstein,
    "energy": dj.energy,
    "mmd2": lambda p, q: dj.mmd2(p, q, kernel=dj.kernels.rbf(1.0)),
    "fisher": dj.fisher,
    "estimate": lambda p, q: dj.estimate(dj.kl, p, q),
    "table": dj.table,
    "quadrature": dj.quadrature,
    "coupling": dj.coupling,
    "cdfs": dj.cdfs,
    "monte_carlo": lambda p, q: dj.monte_carlo(KEY, p, q, num_draws=8, gradient="score"),
    "pmf": dj.pmf,
    "unrealistic_rate": dj.diagnostics.unrealistic_rate,
    "exact.kl": dj.exact.kl,
    "bounds.kl": dj.bounds.kl,
}
# What these take besides distributions.
SAMPLES = ("list", "array", "tensor", "points", "series", "frame")
VALID = {(function, bad) for function in ("wasserstein", "energy", "coupling", "cdfs") for bad in SAMPLES}
VALID |= {
    (function, "discrete") for function in ("wasserstein", "energy", "coupling", "cdfs")
}  # their masses are moved
VALID |= {("coupling", "tuple"), ("cdfs", "tuple")}
VALID |= {(function, "discrete") for function in ("wasserstein", "energy", "coupling", "cdfs")}


def complaint(call):
    """The error, None where there is a value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            jax.block_until_ready(call())
        except Exception as error:  # any, to be judged
            return error
    return None


def judged(error):
    """What is wrong with an error."""
    if not isinstance(error, TypeError | ValueError | NotImplementedError):
        return f"{type(error).__name__}: {error}"
    text = str(error).split("\n-----")[0]
    is_ours = re.match(r"Expected .*; got .*", text) and "\n" not in text
    return None if is_ours else f"{type(error).__name__}: {text[:200]}"


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_second_distribution_has_one_line(name, function):
    found = {}
    for bad, flipped in itertools.product(BAD, (False, True)):
        if (function, bad) in VALID:
            continue
        pair = (BAD[bad], GOOD[name]) if flipped else (GOOD[name], BAD[bad])
        error = complaint(lambda pair=pair: FUNCTIONS[function](*pair))
        fault = "no error" if error is None else judged(error)
        if fault:
            found[bad, "first" if flipped else "second"] = fault
    assert found == {}


# --- Parameters that make no distribution ------------------------------------------------------------------

NO_LAWS = {
    "distrax": [distrax.Normal(0.0, -1.0), distrax.Gamma(0.0, 1.0), distrax.Beta(jnp.nan, 1.0),
                distrax.Uniform(1.0, 0.0)],
    "tfp": [tfp.distributions.StudentT(3.0, jnp.inf, 1.0), tfp.distributions.Laplace(0.0, jnp.inf)],
    "scipy": [st.norm(0.0, -1.0), st.gamma(2.0, scale=0.0), st.beta(2.0, 3.0, 0.5, -1.0)],
    "numpyro": [] if nd is None else [nd.Normal(0.0, -1.0, validate_args=False),
                                      nd.Laplace(0.0, jnp.nan, validate_args=False)],
    "mixture": [distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.ones(2) / 2),
                                          distrax.Normal(jnp.zeros(2), jnp.array([1.0, -1.0])))],
    "image": [distrax.Transformed(distrax.Normal(0.0, -1.0), distrax.Lambda(jnp.exp))],
}  # fmt: skip
MEASURES = {
    "quadrature": lambda p, q: dj.jensen_shannon(dj.quadrature(p, q)),
    "coupling": lambda p, q: dj.wasserstein(dj.coupling(p, q), order=2.0),
    "cdfs": lambda p, q: dj.energy(dj.cdfs(p, q)),
    "monte_carlo": lambda p, q: dj.kl(dj.monte_carlo(KEY, p, q, num_draws=8, gradient="score")),
}
BROKEN = [(name, i) for name, laws in NO_LAWS.items() for i in range(len(laws))]


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_of_what_is_no_distribution_is_nan_and_says_so(measure):
    good = distrax.Normal(0.0, 1.0)
    for p in (NO_LAWS["distrax"][0], NO_LAWS["scipy"][0]):
        with pytest.warns(dj.AccuracyWarning, match="Expected parameters that make a distribution; got some of"):
            assert np.isnan(MEASURES[measure](p, good))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(jax.jit(lambda p=p: MEASURES[measure](p, good))())


@pytest.mark.parametrize(("name", "i"), BROKEN)
def test_parameters_that_make_no_distribution_are_known_for_what_they_are(name, i):
    assert not is_law(resolve(NO_LAWS[name][i]))


@pytest.mark.parametrize("law", [*GOOD.values(), st.skewnorm(2.0), tfp.distributions.PERT(0.0, 1.0, 3.0)],
                         ids=[*GOOD, "skewnorm", "PERT"])  # fmt: skip
def test_parameters_that_make_one_are(law):
    assert is_law(resolve(law))


def test_closed_forms_and_regions_of_what_is_no_distribution_are_nan():
    p, q = distrax.Normal(0.0, -1.0), distrax.Normal(0.0, 1.0)
    assert np.isnan(dj.exact.kl(p, q))
    assert np.isnan(dj.bounds.kl(q, p).lower)
    assert np.isnan(dj.diagnostics.unrealistic_rate(q, p))
    assert int(dj.estimate(dj.jensen_shannon, p, q).status) & 2


@pytest.mark.parametrize("divergence", [dj.wasserstein, dj.energy, dj.cramer])
def test_no_loop_makes_a_number_of_nan(divergence):
    """In single precision XLA's exponential is one of NaN, in a loop with other operations."""
    for p, q in ((0.0, -1.0), (0.0, 1.0)), ((0.0, 1.0), (0.0, -1.0)):
        with pytest.warns(dj.AccuracyWarning, match="is nan"):
            assert np.isnan(divergence(distrax.Normal(*p), distrax.Normal(*q)))


@pytest.mark.skipif(nd is None, reason="not installed")
def test_a_law_with_atoms_in_a_continuum_is_refused():
    normal = nd.Normal(0.0, 1.0)
    for law in (nd.HurdleLogNormal(0.3, 0.0, 1.0), nd.HurdleGamma(0.3, 1.0, 1.0), nd.Delta(1.0)):
        with pytest.raises(TypeError, match="points of positive probability in a continuum") as raised:
            dj.kl(law, normal)
        assert judged(raised.value) is None
    assert validity.is_discrete(resolve(nd.HurdlePoisson(0.3, 2.0)))


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_no_divergence_makes_a_number_of_nan(name):
    """Of weights, and of either side: what is no distribution is NaN on every measure, and nothing turns it back."""
    function = CATALOG[name].function
    values = jnp.array([-2.0, -1.0, -0.5])
    for place in range(3):
        arrays = [values, values - 0.3, jnp.zeros(3)]
        arrays[place] = arrays[place].at[1].set(jnp.nan)
        assert np.isnan(function(declared(function)(*arrays))), place


CHANCES = {
    "Bernoulli": lambda chance: distrax.Bernoulli(probs=chance),
    "Binomial": lambda chance: tfp.distributions.Binomial(5.0, probs=chance),
    "Geometric": lambda chance: tfp.distributions.Geometric(probs=chance),
    "NegativeBinomial": lambda chance: tfp.distributions.NegativeBinomial(3.0, probs=chance),
    "Categorical": lambda chance: distrax.Categorical(probs=jnp.array([chance, 1.0 - chance])),
}


@pytest.mark.parametrize("name", CHANCES)
@pytest.mark.filterwarnings("ignore::divjax.status.AccuracyWarning")
def test_a_chance_outside_of_0_to_1_is_no_number(name):
    """Bernoulli(1.5) against Bernoulli(½) was log 2."""
    of = CHANCES[name]
    for chance in (1.5, -0.5):
        assert jnp.isnan(dj.kl(of(chance), of(0.5)))
        assert jnp.isnan(dj.kl(of(0.5), of(chance)))
    assert dj.kl(of(0.3), of(0.5)) > 0.0
