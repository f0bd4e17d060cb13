"""What is refused, in one line that says what was expected, what came and what to do."""

import functools
import re

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nodes_table import NODES

import divjax as dj
from divjax.divergences.measured import declared

P, Q = np.log([0.25, 0.75]), np.log([0.5, 0.5])
COUPLING = {name: getattr(dj.divergences, name) for name in ("wasserstein", "transport_cost")}
CDFS = {name: getattr(dj.divergences, name) for name in ("cramer", "energy")}
LEAVES = {name: functools.partial(row.divergence, **row.params) for name, row in NODES.items()} | COUPLING | CDFS
WHOLE = dj.pmf(P, Q)


def on(leaf, log_p, log_q, log_w=0.0):
    """The leaf on a measure of its own kind, made of these arrays unchecked."""
    return leaf(declared(leaf)(log_p, log_q, log_w))


def at(divergence, **params):
    return on(functools.partial(divergence, **params), P, Q)


def refused(error, *words):
    """In one line: expected, got, and more words in their order."""
    words = ".*".join(words).removeprefix("Expected ")
    return pytest.raises(error, match=rf"\AExpected (?=.*; got ).*{words}.*\.(\n|\Z)")


@pytest.mark.parametrize("name", LEAVES)
def test_shapes_and_dtypes(name):
    leaf = LEAVES[name]
    with refused(ValueError, "of equal shapes", r"\((2|3),\) and \((2|3),\)", "jnp.broadcast_to"):
        on(leaf, P, np.zeros(3))
    with refused(ValueError, "of equal shapes"):
        on(leaf, P, -1.0)
    with refused(ValueError, "log_w to be a scalar", r"shape \(2,\)", r"got \(3,\)", "jnp.broadcast_to"):
        on(leaf, P, Q, np.zeros(3))
    with refused(TypeError, "real numbers", "complex64", r"\.real"):
        on(leaf, P, Q.astype(np.complex64))
    with refused(TypeError, "real numbers", "bool", "log_w = jnp.where"):
        on(leaf, np.array([True, False]), Q)
    with refused(TypeError, "real numbers", "list", "jnp.asarray"):
        on(leaf, [0.5, 0.5], Q)


def test_a_pmf_is_checked_where_it_is_made():
    with refused(ValueError, "log_p and log_q of equal shapes", r"\(2,\) and \(3,\)", "jnp.broadcast_to"):
        dj.pmf(P, np.zeros(3))
    with refused(ValueError, "log_w to be a scalar", r"shape \(2,\)", r"got \(3,\)", "jnp.broadcast_to"):
        dj.pmf(P, Q, log_w=np.zeros(3))
    with refused(TypeError, "log_q to be an array of real numbers", "bool", "log_w = jnp.where"):
        dj.pmf(P, np.array([True, False]))
    with refused(TypeError, "log_p to be an array of real numbers", "Nodes", r"Pass it whole: kl\(nodes\)"):
        dj.pmf(WHOLE, Q)
    with refused(TypeError, "discrete distributions for pmf", "Normal", r"dj\.quadrature\(p, q\)"):
        dj.pmf(distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0))


NORMALS = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0)
WRONG = {
    "two distributions": (NORMALS, "the distribution Normal, the distribution Normal"),
    "a distribution": (NORMALS[:1], "the distribution Normal"),
    "a class": ((distrax.Normal,), "the class Normal"),
    "arrays": ((P, Q), r"an array of shape \(2,\), an array of shape \(2,\)"),
    "arrays and weights": ((P, Q, 0.0), "a float"),
    "an array": ((P,), r"an array of shape \(2,\)"),
    "a tuple": (((P, Q),), "a tuple"),
    "nothing": ((), "nothing"),
    "None": ((None,), "None"),
    "a sample": ((dj.Points(P, Q),), "Points"),
    "too many": ((WHOLE, WHOLE), "Nodes, Nodes"),
}
MAKERS = {dj.Nodes: r"dj\.quadrature.*dj\.pmf", dj.Coupling: r"dj\.coupling", dj.Cdfs: r"dj\.cdfs"}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", LEAVES)
def test_what_is_no_measure(name, wrong):
    leaf, (given, words) = LEAVES[name], WRONG[wrong]
    with refused(TypeError, f"{declared(leaf).__name__} for ", words, MAKERS[declared(leaf)]):
        leaf(*given)


def test_a_measure_cannot_be_taken_apart():
    for measure in (WHOLE, dj.Coupling(P, Q, 0.0), dj.Cdfs(P, Q, 0.0), dj.Points(P, Q)):
        with pytest.raises(TypeError):
            dj.kl(*measure)


def test_combinators_keep_what_is_measured():
    for made in (
        dj.divergences.reverse(dj.energy),
        dj.divergences.symmetrize(functools.partial(dj.wasserstein, order=2.0)),
    ):
        with refused(TypeError, r"(Cdfs for reverse\(energy\)|Coupling for symmetrize\(wasserstein\))", "Nodes"):
            made(WHOLE)
    for combinator in (functools.partial(dj.divergences.skew, weight=0.5), dj.divergences.jensen):
        with refused(TypeError, "measured on Nodes", "Cdfs", r"dj\.kl"):
            combinator(dj.energy)
    assert float(dj.divergences.reverse(dj.divergences.reverse(dj.kl))(WHOLE)) == float(dj.kl(WHOLE))
    cdfs = dj.Cdfs(np.exp(P), np.exp(Q), np.zeros(2))
    assert float(dj.divergences.symmetrize(dj.energy)(cdfs)) == pytest.approx(2 * float(dj.energy(cdfs)))
    own = lambda nodes: dj.kl(nodes) ** 2  # noqa: E731  it says nothing, and is called with what comes
    assert float(dj.divergences.reverse(own)(WHOLE)) == pytest.approx(float(dj.reverse_kl(WHOLE)) ** 2)


def test_the_arrays_are_named():
    """By what they are to the leaf that refuses them; also while tracing."""
    for leaf, names in ((dj.kl, "log_p and log_q"), (dj.wasserstein, "x and y"), (dj.energy, "cdf_p and cdf_q")):
        with refused(ValueError, names):
            jax.jit(functools.partial(on, leaf))(P, np.zeros(3))
    with refused(ValueError, r"\(4, 2\) and \(2,\)", "jax.vmap"):
        dj.pmf(np.zeros((4, 2)), Q)


def test_any_shape_of_nodes():
    """A grid of nodes is as good as a list of them, with its own weights or one for all."""
    p, q = (np.broadcast_to(x, (3, 2)) for x in (P, Q))
    for leaf in map(
        LEAVES.get, ("kl", "jensen_shannon_0.1", "renyi_2", "gamma_0.5", "cauchy_schwarz", "wasserstein", "energy")
    ):
        for log_w in (0.0, np.zeros((3, 2))):
            np.testing.assert_allclose(on(leaf, p, q, log_w), on(leaf, p.ravel(), q.ravel()), rtol=1e-6)


@dj.divergences.measured_on(dj.Nodes)
def skewed(nodes, *, weight):
    return dj.divergences.skew(dj.kl, weight=weight)(nodes)


@dj.divergences.measured_on(dj.Nodes)
def jensened(nodes, *, weight):
    return dj.divergences.jensen(dj.kl, weight=weight)(nodes)


PARAMETERS = [
    (dj.renyi, "alpha", (-0.1, np.nan, np.inf), r"\[0, inf\)"),
    (dj.tsallis, "alpha", (-1, np.nan, np.inf), r"\[0, inf\)"),
    (dj.alpha_divergence, "alpha", (np.nan, np.inf, -np.inf), r"\(-inf, inf\)"),
    (dj.divergences.log_affinity, "alpha", (np.nan,), r"\(-inf, inf\)"),
    (dj.beta_divergence, "beta", (-1e-3, np.nan, np.inf), r"\[0, inf\)"),
    (dj.gamma_divergence, "gamma", (-1e-3, np.nan, np.inf), r"\[0, inf\)"),
    (dj.jensen_shannon, "weight", (-0.1, 1.1, np.nan), r"\[0, 1\]"),
    (skewed, "weight", (-0.1, 2, np.nan), r"\[0, 1\]"),
    (jensened, "weight", (-0.1, 2, np.nan), r"\[0, 1\]"),
    (dj.wasserstein, "order", (0.5, np.nan, np.inf), r"\[1, inf\)"),
    (dj.divergences.transport_cost, "order", (0.5, np.nan, np.inf), r"\[1, inf\)"),
    (functools.partial(dj.f_divergence, f=lambda t: t * jnp.log(t)), "slope", (np.nan,), r"\[-inf, inf\]"),
]


@pytest.mark.parametrize(("divergence", "name", "outside", "domain"), PARAMETERS)
def test_parameters(divergence, name, outside, domain):
    for value in outside:
        for form in (value, np.float32(value), jnp.asarray(value)):
            with refused(ValueError, f"Expected {name} in {domain}; got {re.escape(f'{value:g}')}"):
                at(divergence, **{name: form})
    with refused(ValueError, f"scalar {name}", r"got shape \(2,\)", f"jax.vmap over {name}"):
        at(divergence, **{name: np.ones(2)})
    with refused(TypeError, f"real number {name}", "complex"):
        at(divergence, **{name: 1j})
    with refused(TypeError, f"real number {name}", "str"):
        at(divergence, **{name: "half"})


@pytest.mark.parametrize(("divergence", "name", "outside", "domain"), PARAMETERS[:-1])
def test_traced_parameters_are_not_looked_at(divergence, name, outside, domain):
    values = jax.vmap(lambda value: at(divergence, **{name: value}))(jnp.asarray([1.0, outside[0]]))
    np.testing.assert_allclose(values[0], at(divergence, **{name: 1.0}), rtol=1e-6)


def test_ends_of_the_domains_are_inside():
    for divergence, name, ends in (
        (dj.jensen_shannon, "weight", (0, 1)),
        (dj.renyi, "alpha", (0,)),
        (dj.beta_divergence, "beta", (0,)),
        (dj.wasserstein, "order", (1,)),
    ):
        for end in ends:
            assert np.isfinite(at(divergence, **{name: end}))


CONVEX = {
    "kl": lambda t: t * jnp.log(t),
    "kl tilted": lambda t: t * jnp.log(t) + 1e3 * (t - 1),
    "reverse_kl": lambda t: -jnp.log(t),
    "total_variation": lambda t: jnp.abs(t - 1) / 2,
    "jensen_shannon": lambda t: (t * jnp.log(t) - (t + 1) * jnp.log((t + 1) / 2)) / 2,
    "pearson": lambda t: (t - 1) ** 2,
    "pearson tilted": lambda t: t**2 - 1 - 300 * (t - 1),
    "neyman": lambda t: (t - 1) ** 2 / t,
    "hellinger": lambda t: (jnp.sqrt(t) - 1) ** 2 / 2,
    "triangular": lambda t: (t - 1) ** 2 / (t + 1),
    "hinge": lambda t: jnp.maximum(t - 1, 0),
    "steep": lambda t: t**10 - 1,
    "flat": lambda t: 0.0 * t,
    "linear": lambda t: -7.0 * (t - 1),
}
NOT_CONVEX = {
    "concave": (lambda t: jnp.log(t), r"not convex for t in \[1e-06, "),
    "entropy of the wrong sign": (lambda t: -t * jnp.log(t), "not convex"),
    "saturating": (lambda t: (t - 1) ** 2 / (t**2 + 1), "not convex"),
    "a dent": (lambda t: (t - 1) ** 2 - 3 * jnp.exp(-20 * (t - 3) ** 2), r"not convex for t in \[(2\.|3\.)"),
    "a wave": (lambda t: t * jnp.log(t) + 0.3 * jnp.sin(5 * (t - 1)), "not convex"),
    "off": (lambda t: t * jnp.log(t) + 0.1, r"f\(1\) = 0; got f\(1\) = 0.1"),
    "entropy": (lambda t: (t + 1) * jnp.log(t + 1), r"f\(1\) = 0"),
    "nan": (lambda t: jnp.sqrt(t - 0.5) - np.sqrt(0.5), "finite on"),
    "a sum": (lambda t: jnp.sum((t - 1) ** 2), "elementwise"),
}


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_convexity(x64):
    with jax.enable_x64(x64):
        for f in CONVEX.values():
            dj.divergences.check_convex(f)
        for f, message in NOT_CONVEX.values():
            with pytest.raises(ValueError, match=message):
                dj.divergences.check_convex(f)


def test_convexity_is_checked_in_debug():
    concave = functools.partial(dj.f_divergence, f=jnp.log)
    assert np.isfinite(concave(WHOLE))
    many = jax.tree.map(lambda x: x[None], WHOLE)
    with jax.enable_checks(True):  # noqa: FBT003
        for run in (concave, jax.jit(concave), jax.grad(concave), jax.vmap(concave)):
            with pytest.raises(ValueError, match="not convex"):
                run(WHOLE if run is concave else many)
        kl = dj.kl(WHOLE)
        np.testing.assert_allclose(jax.jit(functools.partial(dj.f_divergence, f=CONVEX["kl"]))(WHOLE), kl, 1e-6)
        # an f that is itself traced is let through
        tilted = jax.jit(lambda c: dj.f_divergence(WHOLE, f=lambda t: t * jnp.log(t) + c * (t - 1)))
        np.testing.assert_allclose(tilted(2.0), kl, rtol=1e-5)
