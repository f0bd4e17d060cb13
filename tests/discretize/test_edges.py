"""Edges that a gradient must survive, or refuse: weights of 0, moving supports off the line, broken weights."""

import dataclasses

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st

import divjax as dj
from divjax import status

KEY = jax.random.key(0)


def mixture(w):
    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.stack([1 - w, w])), distrax.Normal(jnp.array([0.0, 3.0]), jnp.ones(2))
    )


def square(side):
    return distrax.Independent(distrax.Uniform(jnp.zeros(2), side * jnp.ones(2)), 1)


def disc(m):
    return distrax.MultivariateNormalDiag(jnp.stack([m, jnp.asarray(0.5)]), 0.5 * jnp.ones(2))


@pytest.mark.slow
def test_a_component_of_weight_zero_has_a_gradient(x64):
    """∫ (p₂ − p₁) log(p₁/q) = −4.125; distrax's own log_prob gives NaN."""
    slope = jax.jit(jax.grad(lambda w: dj.kl(dj.quadrature(mixture(w), distrax.Normal(1.0, 2.0)))))(0.0)
    assert float(slope) == pytest.approx(-4.125, rel=1e-9)
    drawn = jax.grad(lambda w: dj.kl(dj.monte_carlo(KEY, mixture(w), distrax.Normal(1.0, 2.0), num_draws=64)))(0.0)
    assert np.isfinite(drawn)


@pytest.mark.slow
def test_moving_supports_are_refused_in_more_dimensions():
    pathwise = lambda m: dj.jensen_shannon(dj.monte_carlo(KEY, square(1.0), disc(m), num_draws=64))  # noqa: E731
    with pytest.raises(ValueError, match="gradient='score'"):
        pathwise(0.2)
    scored = lambda s: dj.total_variation(  # noqa: E731
        dj.monte_carlo(KEY, square(s), disc(jnp.asarray(0.2)), num_draws=64, gradient="score")
    )
    assert np.isfinite(scored(1.0))
    with pytest.raises(ValueError, match="do not move"):
        jax.grad(scored)(1.0)
    nodes = lambda s: dj.kl(dj.quadrature(square(s), disc(jnp.asarray(0.2))))  # noqa: E731
    with pytest.raises(ValueError, match="do not move"):
        jax.grad(nodes)(1.0)


def test_variational_names_a_remedy_it_has():
    with pytest.raises(ValueError, match=r"dj\.monte_carlo with gradient='score'"):
        dj.variational.iwae(KEY, square(1.0), disc(jnp.asarray(0.2)), num_groups=8, num_particles=2)


@pytest.mark.slow
def test_the_error_of_equal_distributions_has_a_gradient():
    def error(m):
        draws = dj.monte_carlo(KEY, distrax.Normal(0.0, 1.0), distrax.Normal(m, 1.0), num_draws=64)
        return dj.estimate(dj.kl, draws).stderr

    assert float(error(0.0)) == 0.0
    assert np.isfinite(jax.jit(jax.grad(error))(0.0))


@pytest.mark.slow
def test_one_weight_for_all_nodes():
    x = distrax.Normal(0.0, 1.0).sample(seed=KEY, sample_shape=(1000,))
    log_p, log_q = distrax.Normal(0.0, 1.0).log_prob(x), distrax.Normal(0.2, 1.0).log_prob(x)
    broadcast = -log_p - jnp.log(1000.0)
    whole = dj.estimate(dj.kl, dj.Nodes(log_p, log_q, broadcast))
    assert float(whole.stderr) > 0.0
    pmf = dj.Nodes(jnp.log(jnp.array([0.2, 0.8])), jnp.log(jnp.array([0.5, 0.5])), 0.0)
    assert np.isfinite(dj.estimate(dj.kl, pmf).stderr)


@pytest.mark.parametrize("broken", [pytest.param(np.nan, marks=pytest.mark.slow), np.inf])
def test_broken_weights_are_a_status(broken):
    assert float(dj.diagnostics.pareto_k(jnp.zeros(100).at[3].set(broken))) == np.inf
    nodes = dj.Nodes(jnp.zeros(100), jnp.zeros(100).at[3].set(broken), jnp.full(100, -np.log(100.0)))
    found = dj.estimate(dj.kl, nodes)
    assert int(found.status) & status.HEAVY_TAIL
    assert np.isinf(found.stderr) or np.isfinite(found.value)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: dj.monte_carlo(KEY, p, p, num_draws=64.0), TypeError),
        (lambda p: dj.variational.dreg(KEY, p, p, num_groups=8, num_particles=0), ValueError),
        (lambda p: dj.variational.dreg(KEY, p, p, num_groups=0, num_particles=2), ValueError),
        (lambda p: dj.quadrature(p, p, refine=0), ValueError),
        (lambda p: dj.quadrature(p, p, refine=1.5), TypeError),
    ],
)
def test_counts_are_whole_numbers(call, error):
    with pytest.raises(error, match="Expected"):
        call(distrax.Normal(0.0, 1.0))


@pytest.mark.slow
def test_a_nan_is_passed_on_by_transport_and_distribution_functions():
    nan, p = jnp.nan, distrax.Normal(0.0, 1.0)
    broken = jnp.array([1.0, nan])
    with pytest.warns(dj.AccuracyWarning, match="Expected parameters that make a distribution"):
        assert np.isnan(dj.wasserstein(dj.coupling(distrax.Normal(nan, 1.0), p, crossings=4)))
    assert np.isnan(dj.wasserstein(dj.coupling(broken, jnp.zeros(2))))
    assert np.isnan(dj.wasserstein(dj.Coupling(broken, jnp.zeros(2), 0.0)))
    assert np.isnan(dj.energy(dj.cdfs(broken, jnp.zeros(2))))
    assert np.isnan(dj.energy(dj.cdfs(broken, p)))
    assert np.isnan(dj.exact.kl(distrax.Normal(nan, 1.0), p))
    assert np.isnan(dj.exact.wasserstein2(p, distrax.Normal(0.0, nan)))


class Quartic:
    """A user's own unnormalised target: a log-density and nothing else."""

    event_shape = batch_shape = ()

    def log_prob(self, x):
        return -(x**4)


def test_a_target_that_is_only_a_log_density():
    q = distrax.Normal(0.0, 0.6)
    assert np.isfinite(dj.variational.reverse_kl_stl(KEY, Quartic(), q, num_draws=64))
    assert np.isfinite(dj.variational.iwae(KEY, Quartic(), q, num_groups=16, num_particles=4))
    draws = dj.monte_carlo(KEY, Quartic(), q, num_draws=64, base="q")
    assert np.isfinite(dj.reverse_kl(draws))
    with pytest.raises(TypeError, match="base="):
        dj.monte_carlo(KEY, Quartic(), q, num_draws=64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: dj.monte_carlo(KEY, p, p, num_draws=64, design="lattice"), r"divjax\.discretize\.lattice"),
        (lambda p: dj.quadrature(distrax.Normal, p), "the class Normal"),
        (lambda p: dj.quadrature(distrax.Categorical(logits=jnp.zeros(3)), p), "continuous"),
        (lambda p: dj.estimate("kl", dj.quadrature(p, p)), r"dj\.kl first"),
        (lambda p: dj.f_divergence(dj.quadrature(p, p), f="kl"), "lambda t"),
        (lambda p: dj.logits.kl(jnp.zeros(5), jnp.zeros(5), temperature="2"), "real number temperature"),
        (lambda p: dj.logits.kl(jnp.zeros(5), jnp.zeros(5), weights=-jnp.ones(5)), "label weights >= 0"),
    ],
)
def test_what_users_try(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(distrax.Normal(0.0, 1.0))


@pytest.mark.slow
def test_a_divergent_integral_is_infinite_or_where_nothing_is_known_not_resolved():
    from tensorflow_probability.substrates import jax as tfp

    nodes = dj.quadrature(tfp.distributions.Cauchy(0.0, 1.0), distrax.Normal(0.0, 1.0))
    found = dj.estimate(dj.kl, nodes)
    assert (float(found.value), float(found.stderr), int(found.status)) == (np.inf, 0.0, status.INFINITE)
    assert int(dj.estimate(dj.kl, dataclasses.replace(nodes, laws=None)).status) & status.UNRESOLVED


def test_own_f_need_not_vanish_at_one():
    nodes = dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 2.0))
    shifted = dj.f_divergence(nodes, f=lambda t: t * jnp.log(t) + 1.0)
    assert float(shifted) == pytest.approx(float(dj.kl(nodes)), rel=1e-5)
    with pytest.raises(ValueError, match="elementwise"):
        dj.f_divergence(nodes, f=jnp.sum)


@pytest.mark.slow
def test_far_from_zero_nothing_is_lost():
    """Where float32 has steps of 8: the values of the same laws about 0, of mixtures too, and slopes."""
    mixture = lambda loc: distrax.MixtureSameFamily(  # noqa: E731
        distrax.Categorical(probs=jnp.array([0.5, 0.5])), distrax.Normal(loc + jnp.array([0.0, 64.0]), 8.0)
    )
    divergences = (dj.total_variation, dj.jensen_shannon, dj.wasserstein, dj.energy)

    @jax.jit
    def values(loc):
        pairs = (distrax.Normal(loc, 8.0), mixture(loc))
        q = lambda scale: distrax.Normal(loc + 8.0, scale)  # noqa: E731
        found = [[f(p, q(16.0)) for f in divergences] for p in pairs]
        return jnp.array(found), jax.grad(lambda scale: dj.wasserstein(pairs[0], q(scale)))(16.0)

    near, far = values(0.0), values(1e8)
    for one, other in zip(near, far, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)
    x = np.linspace(-300, 300, 600_001)
    p, q = st.norm(0, 8), st.norm(8, 16)
    right = 0.5 * np.trapezoid(np.abs(p.pdf(x) - q.pdf(x)), x), np.trapezoid(np.abs(p.cdf(x) - q.cdf(x)), x)
    np.testing.assert_allclose(far[0][0, [0, 2]], right, rtol=1e-5)
