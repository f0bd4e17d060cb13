"""The claim that errors are known: z = (estimate − truth)/stderr has unit spread, gradients have the right mean.

Every divergence on nodes × every base of the catalogue, over 500 keys. One program evaluates the draws once and
measures them with all divergences.
"""

import functools
import itertools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import catalog
from divjax import discretize as dz
from tests.marks import cases

KEYS, NUM = jax.random.split(jax.random.key(7), 500), 1024
ENTRIES = [entry for entry in catalog.ENTRIES if entry.bases()]
FEW = [catalog.CATALOG[name] for name in ("kl", "jensen_shannon", "total_variation", "renyi")]
# Draws of one side alone are valid where its tails reach as far as the other's.
THETA = {name: jnp.array([0.3, jnp.log(scale)]) for name, scale in (("mixture", 0.9), ("p", 0.9), ("q", 1.1))}
P = distrax.Normal(0.0, 1.0)


def model(theta):
    return distrax.Normal(theta[0], jnp.exp(theta[1]))


def call(entry, nodes):
    return entry.function(nodes, **({entry.parameter: entry.default} if entry.parameter else {}))


def values(entries, nodes):
    return jnp.stack([call(entry, nodes) for entry in entries])


@functools.cache
def _truth(many):
    exact = lambda theta: values(ENTRIES if many else FEW, dj.quadrature(P, model(theta), crossings=4))  # noqa: E731
    return jax.jit(lambda theta: (exact(theta), jax.jacrev(exact)(theta)))


def truth(base, *, many):
    return _truth(many)(THETA[base])


def check_values(entries, base, design, exact, *, num=NUM):
    def estimates(key):
        draws = dj.monte_carlo(key, P, model(THETA[base]), num_draws=num, base=base, design=design)
        one = [dj.estimate(lambda nodes, e=entry: call(e, nodes), draws) for entry in entries]
        return jnp.stack([e.value for e in one]), jnp.stack([e.stderr for e in one])

    value, stderr = jax.jit(jax.vmap(estimates))(KEYS)
    z = np.asarray((value - exact) / stderr)
    for entry, spread, mean in zip(entries, z.std(axis=0), z.mean(axis=0), strict=True):
        assert 0.85 < spread < 1.2, (entry.name, spread)
        # A standard error that is correlated with its value shifts the mean of z by a fraction of one.
        assert abs(mean) < 0.35, (entry.name, mean)


def check_gradients(entries, base, gradient, exact):
    def slopes(key):
        def measured(theta):
            return values(entries, dj.monte_carlo(key, P, model(theta), num_draws=NUM, base=base, gradient=gradient))

        return jax.jacrev(measured)(THETA[base])

    found = np.asarray(jax.jit(jax.vmap(slopes))(KEYS), np.float64)
    error = found.std(axis=0, ddof=1) / np.sqrt(len(KEYS))
    z = (found.mean(axis=0) - np.asarray(exact, np.float64)) / error
    for entry, row in zip(entries, z, strict=True):
        assert (np.abs(row) < 3.0).all(), (entry.name, row)


@pytest.mark.slow
def test_mixture_base():
    exact, slope = truth("mixture", many=False)
    check_values(FEW, "mixture", dz.independent, exact)
    check_gradients(FEW, "mixture", "pathwise", slope)


@pytest.mark.slow
@pytest.mark.parametrize("base", cases(["p", "q", "mixture"], exhaustive=["p", "q"]))
def test_every_divergence(base):
    exact, _ = truth(base, many=True)
    check_values(ENTRIES, base, dz.independent, exact)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "gradient"),
    cases(
        itertools.product(["p", "q", "mixture"], ["pathwise", "score"]),
        exhaustive=[("mixture", "score"), ("p", "pathwise"), ("p", "score"), ("q", "score")],
    ),
)
def test_every_gradient(base, gradient):
    _, slope = truth(base, many=True)
    check_gradients(ENTRIES, base, gradient, slope)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["antithetic", "lattice"])
def test_dependent_draws(name):
    """The independent units are pairs, or whole lattices."""
    exact, _ = truth("mixture", many=False)
    design = dz.antithetic if name == "antithetic" else functools.partial(dz.lattice, num_replicates=64)
    check_values(FEW, "mixture", design, exact, num=4 * NUM)


@pytest.mark.slow
def test_strata_are_seen_by_the_standard_error():
    """A mixture of far modes: draws by component have no noise between components, and the error must not have any."""
    apart = distrax.Normal(jnp.array([0.0, 20.0]), jnp.array([1.0, 1.0]))
    p = distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.array([0.3, 0.7])), apart)
    q = distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.array([0.6, 0.4])), apart)
    exact = dj.kl(dj.quadrature(p, q))
    one = jax.jit(jax.vmap(lambda key: dj.estimate(dj.kl, dj.monte_carlo(key, p, q, num_draws=512))))
    found = one(KEYS)
    z = np.asarray((found.value - exact) / found.stderr)
    assert np.sqrt(np.mean(np.asarray(found.value - exact) ** 2)) < 0.1 * float(exact) / np.sqrt(512)
    assert np.median(np.abs(z)) < 2.0


def test_second_order_where_the_first_vanishes():
    """D = (∫ (p − q) sign(x))² at p = q: its influence vanishes with its value, and its spread is √2 s², not 0."""
    p = distrax.Normal(0.0, 1.0)

    def squared(nodes, x):
        return jnp.sum(jnp.exp(nodes.log_w) * jnp.exp(nodes.log_p) * jnp.sign(x)) ** 2

    def one(key):
        x = p.sample(seed=key, sample_shape=(256,))
        nodes = dj.Nodes(p.log_prob(x), p.log_prob(x), -p.log_prob(x) - jnp.log(256.0))
        return dj.estimate(lambda nodes: squared(nodes, x), nodes)

    found = jax.jit(jax.vmap(one))(KEYS)
    spread = np.std(found.value)
    assert spread == pytest.approx(np.sqrt(2.0) / 256, rel=0.3)
    # Both orders: 4 m² s² + 2 s⁴, whose mean is 6 s⁴: at a typical m never below the second alone.
    assert np.sqrt(np.mean(found.stderr**2)) == pytest.approx(np.sqrt(6.0) / 256, rel=0.3)
    assert float(np.min(found.stderr)) > 0.25 * spread  # eight probes of a Hessian of rank one: χ² with 8 degrees


@pytest.mark.slow
def test_gradient_errors():
    def one(key):
        build = lambda theta: dj.monte_carlo(key, P, model(theta), num_draws=NUM)  # noqa: E731
        found = dj.estimate_gradient(dj.jensen_shannon, build, THETA["mixture"])
        return found.value, found.stderr, found.status

    value, stderr, bits = jax.jit(jax.vmap(one))(KEYS)
    exact = jax.jit(jax.grad(lambda theta: dj.jensen_shannon(dj.quadrature(P, model(theta)))))(THETA["mixture"])
    z = np.asarray((value - exact) / stderr)
    assert ((z.std(axis=0) > 0.85) & (z.std(axis=0) < 1.2)).all()
    assert np.mean(np.asarray(bits) == 0) > 0.9  # k̂ of 96 values is noisy
