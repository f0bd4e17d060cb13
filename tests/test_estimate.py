"""Errors that are known: the nested rule is never smaller than the truth, the jackknife is calibrated."""

import functools
from dataclasses import replace

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import status

PAIRS = {
    "near": (0.0, 1.0, 0.001, 1.0005, 7.4929218195431995e-7),
    "apart": (0.0, 1.0, 3.0, 0.5, 18.806852819440054691),
    "wider": (0.0, 1.0, 0.0, 1.5, 0.1276873303303866042),
}


@jax.jit
def estimate_kl(a, b, c, d):
    return dj.estimate(dj.kl, dj.quadrature(distrax.Normal(a, b), distrax.Normal(c, d)))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("x64", [False, True])
def test_the_error_of_quadrature_is_honest_and_not_absurd(name, x64):
    *parameters, truth = PAIRS[name]
    with jax.enable_x64(x64):
        value, stderr, _, bits = estimate_kl(*(jnp.asarray(x) for x in parameters))
    assert abs(float(value) - truth) <= float(stderr)
    # Rounding of log-densities of order 1 allows about eps for each unit of mass, in absolute terms.
    assert float(stderr) <= (1e-3 if not x64 else 1e-9) * max(truth, 1e-3)
    assert int(bits) == status.OK


def test_missed_mass_is_a_status():
    @jax.jit
    def of_half(loc):
        nodes = dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(loc, 1.0))
        half = jnp.arange(nodes.log_w.size) < nodes.log_w.size // 2
        return dj.estimate(dj.kl, replace(nodes, log_w=jnp.where(half, -jnp.inf, nodes.log_w)))

    bits = int(of_half(1.0).status)
    assert bits == status.MASS_MISSED | status.UNRESOLVED
    assert "mass missed" in dj.explain(bits)


def test_an_infinite_divergence_is_a_status_and_not_a_nan():
    nodes = dj.quadrature(distrax.Uniform(0.0, 1.0), distrax.Uniform(2.0, 3.0))
    value, stderr, _, bits = jax.jit(lambda nodes: dj.estimate(dj.kl, nodes))(nodes)
    assert float(value) == np.inf
    assert not np.isnan(float(stderr))
    assert int(bits) & status.NON_FINITE


def test_the_jackknife_is_calibrated():
    """Importance sampling from q: over 400 keys (estimate − truth)/stderr has unit spread."""

    def one(key):
        x = distrax.Normal(0.0, 1.3).sample(seed=key, sample_shape=(2000,))
        log_p, log_q = distrax.Normal(0.0, 1.0).log_prob(x), distrax.Normal(0.0, 1.3).log_prob(x)
        found = dj.estimate(dj.jensen_shannon, dj.Nodes(log_p, log_q, -log_q - jnp.log(2000.0)))
        return found.value, found.stderr

    value, stderr = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 400))
    truth = dj.jensen_shannon(dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(0.0, 1.3)))
    z = np.asarray((value - truth) / stderr)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1.0) < 4 / np.sqrt(2 * z.size)


def test_unknown_status_is_refused():
    assert dj.explain(0) == "ok"
    both = dj.explain(jnp.array([[0, status.UNRESOLVED], [0, 0]]))
    assert both[1] == ["ok", "ok"]
    assert both[0] == ["ok", dj.explain(status.UNRESOLVED)]
    with pytest.raises(ValueError, match="unknown part 1024"):
        dj.explain(1024)


def test_kinks_that_are_not_nodes_are_a_status():
    """Also through a combinator and a parameter that is given beforehand; a smooth divergence needs no crossings."""
    p, q = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.5)
    blind, seen = dj.quadrature(p, q, crossings=0), dj.quadrature(p, q, crossings=2)
    for kinked in (dj.total_variation, functools.partial(dj.total_variation), dj.reverse(dj.total_variation)):
        assert int(dj.estimate(kinked, blind).status) == status.UNRESOLVED
        assert int(dj.estimate(kinked, seen).status) == status.OK
    assert int(dj.estimate(dj.kl, blind).status) == status.OK
    assert "crossings" in dj.explain(status.UNRESOLVED)
    slope = dj.estimate_gradient(
        dj.total_variation, lambda m: dj.quadrature(p, distrax.Normal(m, 1.5), crossings=0), 1.0
    )
    assert int(slope.status) == status.UNRESOLVED


def test_what_has_no_error_is_refused():
    p, q = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.5)
    cdfs = dj.cdfs(p, q)
    assert dj.estimate(dj.reverse(dj.energy), cdfs).stderr > 0.0
    with pytest.raises(TypeError, match=r"Expected Coupling; got Cdfs\. Use dj\.coupling"):
        dj.estimate(dj.wasserstein, cdfs)
    with pytest.raises(TypeError, match=r"Expected Nodes; got Cdfs\. Use dj\.quadrature"):
        dj.estimate(dj.kl, cdfs)
    with pytest.raises(TypeError, match=r"dj\.kl first"):
        dj.estimate(cdfs, dj.kl)


def test_parameters_that_are_whole_numbers_have_no_gradient():
    def build(theta):
        return dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(theta["loc"], theta["scale"]))

    with pytest.raises(TypeError, match="floating-point parameters; got int32"):
        dj.estimate_gradient(dj.kl, build, {"loc": 1.0, "scale": 1})
