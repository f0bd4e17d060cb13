"""Where nodes are laid: mass, far distributions, edges of supports, crossings, errors."""

import dataclasses
from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax.distributions import Family, register
from divjax.distributions.family import FLAT, bounded

tfd = tfp.distributions


class OnTheLine:
    event_shape = batch_shape = ()


def two_modes(separation):
    loc = jnp.stack([jnp.zeros_like(separation), separation])
    return distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.full(2, 0.5)), distrax.Normal(loc, jnp.ones(2)))


@jax.jit
def against_modes(separation, loc, scale):
    """JS and total variation from the two modes to a Normal, their gradient, and the masses found."""

    def value(loc, scale):
        nodes = dj.quadrature(two_modes(separation), distrax.Normal(loc, scale), crossings=4)
        masses = [jnp.sum(jnp.exp(log + nodes.log_w)) for log in (nodes.log_p, nodes.log_q)]
        return dj.jensen_shannon(nodes), (dj.total_variation(nodes), *masses)

    return jax.value_and_grad(value, (0, 1), has_aux=True)(loc, scale)


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # JS by mpmath, 20 digits. A fixed grid over the data finds a false minimum at the first.
        ((16.0, 8.0, 9000.0), 0.690689724331235647),
        ((16.0, 8.0, 1e6), 0.693106935399455712),
        ((16.0, 8.0, 1e-3), 0.693147180559944107),
        ((1e4, 5e3, 1.0), np.log(2)),
        ((1e4, 0.0, 1.0), 0.75 * np.log(4 / 3)),
        ((16.0, 0.0, 1.0), 0.215761554338834997),
    ],
)
def test_far_away(case, expected, x64):
    with jax.enable_x64(x64):
        dtype, eps = (jnp.float64, 1e-12) if x64 else (jnp.float32, 1e-5)
        found = against_modes(*(jnp.asarray(x, dtype) for x in case))
        (value, (tv, mass_p, mass_q)), grads = jax.tree.map(float, found)
    # At 1e4 a float32 x is rounded by up to ½ ulp = 5e-4, and each node's density by p'(x) times that. Over the rule
    # these errors add up to √Σ (w p' ulp)² / √12 = 1.7e-5 in the mass at 1e4: three times that is allowed, and what
    # it puts into JS, at most ½ log 2 for each unit of mass, on top of what is allowed anywhere.
    off = 5e-5 if not x64 and case[0] == 1e4 else 2 * eps
    carried = 0.5 * np.log(2) * (abs(mass_p - 1) + abs(mass_q - 1))
    assert value == pytest.approx(expected, abs=eps * expected + (carried if off == 5e-5 else 0.0))
    assert 0 <= tv <= 1 + off
    for mass in (mass_p, mass_q):
        assert mass == pytest.approx(1.0, abs=off)
    assert np.isfinite(grads).all()
    assert case[2] < 1000 or grads[1] > 0  # a wide Normal is drawn in


def test_one_program_for_all_parameters():
    traces = []

    @jax.jit
    @jax.vmap
    def value(loc, scale):
        traces.append(loc)
        return dj.jensen_shannon(dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(loc, scale)))

    loc, scale = jnp.array([0.0, 1.0, 16.0]), jnp.array([1.0, 0.1, 30.0])
    together = value(loc, scale)
    assert len(traces) == 1
    alone = jax.jit(lambda a, b: dj.jensen_shannon(dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(a, b))))
    np.testing.assert_allclose(together, [alone(*row) for row in zip(loc, scale, strict=True)], rtol=1e-6, atol=1e-12)
    assert together[0] == 0.0


def test_equal_distributions_with_gradients():
    """p = q: the gap has no sign anywhere, and gradients are 0."""

    def distance(theta):
        q = distrax.Normal(theta[0], theta[1])
        return dj.total_variation(dj.quadrature(distrax.Normal(0.0, 1.0), q, crossings=4))

    value, grad = jax.jit(jax.value_and_grad(distance))(jnp.array([0.0, 1.0]))
    assert value == 0.0
    np.testing.assert_array_equal(grad, 0.0)


def masses(nodes):
    return jnp.stack([jnp.sum(jnp.exp(log + nodes.log_w)) for log in (nodes.log_p, nodes.log_q)])


@pytest.mark.parametrize(("crossings", "error"), [(2, 3e-4), pytest.param(12, 1e-9, marks=pytest.mark.slow)])
def test_more_sign_changes_than_knots(crossings, error, x64):
    """Ten crossings: the first are met exactly, the others to the accuracy of the panels."""

    @jax.jit
    def measured(loc):
        comb = distrax.MixtureSameFamily(
            distrax.Categorical(probs=jnp.full(5, 0.2)), distrax.Normal(loc, jnp.full(5, 0.5))
        )
        nodes = dj.quadrature(comb, distrax.Normal(loc[2], jnp.asarray(6.0)), crossings=crossings)
        return dj.total_variation(nodes), masses(nodes)

    x = np.linspace(-60, 76, 2_000_001)
    gap = 0.2 * sum(st.norm.pdf(x, 4 * k, 0.5) for k in range(5)) - st.norm.pdf(x, 8, 6)
    assert (np.diff(np.sign(gap)) != 0).sum() == 10
    value, found = measured(4.0 * jnp.arange(5))
    assert float(value) == pytest.approx(0.5 * np.abs(gap).sum() * (x[1] - x[0]), rel=error)
    np.testing.assert_allclose(found, 1.0, rtol=1e-10)


def test_integer_parameters():
    @jax.jit
    def measured():
        nodes = dj.quadrature(distrax.Normal(0, 1), distrax.Normal(1, 2))
        return dj.kl(nodes), masses(dj.quadrature(distrax.Uniform(0, 2), tfd.Normal(1, 2)))

    value, found = measured()
    assert float(value) == pytest.approx(0.4431472, rel=1e-6)
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)


@pytest.mark.slow
def test_truncation_at_infinity():
    """TruncatedNormal(., ., 0, inf) is a HalfNormal, by every road."""

    @jax.jit
    def measured(scale):
        half, cut = tfd.HalfNormal(scale), tfd.TruncatedNormal(0.0, scale, 0.0, jnp.inf)
        nodes = dj.quadrature(cut, half)
        return dj.jensen_shannon(nodes), dj.energy(dj.cdfs(cut, half)), masses(nodes)

    js, energy, found = measured(jnp.asarray(1.5))
    assert js < 1e-12
    assert energy < 1e-10
    np.testing.assert_allclose(found, 1.0, rtol=1e-6)


@pytest.mark.parametrize("discretise", [dj.quadrature, dj.cdfs, dj.coupling])
def test_errors(discretise):
    one = distrax.Normal(0.0, 1.0)
    with pytest.raises(ValueError, match="vmap"):
        discretise(one, distrax.Normal(jnp.zeros(3), jnp.ones(3)))
    with pytest.raises(ValueError, match=r"one-dimensional|equal event shapes"):
        discretise(distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2)), one)

    class Unknown:
        event_shape = batch_shape = ()
        log_prob = staticmethod(one.log_prob)

    with pytest.raises(TypeError, match=r"register\(Unknown"):
        discretise(Unknown(), one)


def test_registering_a_distribution_of_ones_own():
    class Triangle:
        """Density 1 − |x| on [−1, 1]."""

    class Nothing(NamedTuple):
        """It has no parameters."""

    record = Family(
        name="Triangle",
        parameters=Nothing,
        log_prob=lambda params, x: jnp.log1p(-jnp.minimum(jnp.abs(x), 1.0)),
        support=lambda params: (-1.0, 1.0),
        profile=lambda params: dataclasses.replace(bounded(0.0, 0.4, FLAT, -1.0, 1.0), kinks=jnp.zeros(1)),
    )
    register(Triangle, lambda dist: record())
    nodes = jax.jit(lambda: dj.quadrature(Triangle(), distrax.Normal(0.0, 1.0)))()
    np.testing.assert_allclose(masses(nodes), 1.0, rtol=1e-6)
    # KL = ∫ (1−|x|) log(1−|x|) + log √(2π) + ½ E x² = −½ + log √(2π) + 1/12
    assert float(dj.kl(nodes)) == pytest.approx(-0.5 + 0.5 * np.log(2 * np.pi) + 1 / 12, rel=1e-5)


@pytest.mark.parametrize(
    ("divergence", "p", "q", "order", "wanted"),
    [
        (dj.renyi, (0.0, 1.0), (12.0, 1.0), 50.0, 3600.0),  # α d²/2
        (dj.renyi, (0.0, 1.0), (40.0, 1.0), 50.0, 40000.0),
        (dj.renyi, (0.0, 1.2), (20.0, 1.0), 2.0, 714.3933020306),
        (dj.alpha_divergence, (-0.11255, 1.19344), (10.7025, 1.09604), 3.0, 1.020817787e201),
        (dj.pearson_chi2, (0.0, 1.0), (12.0, 1.0), None, np.expm1(144.0)),
        (dj.neyman_chi2, (12.0, 1.0), (0.0, 1.0), None, np.expm1(144.0)),
    ],
)
def test_the_mass_of_an_integrand_far_from_both_laws(divergence, p, q, order, wanted, x64):
    """p^α q^(1−α) lies at α m + (1−α) n: 588 to the left of both, for instance."""
    del x64
    laws = [
        tfd.MixtureSameFamily(tfd.Categorical(probs=jnp.ones(1)), tfd.Normal(*jnp.array(side)[:, None]))
        for side in (p, q)
    ]
    params = {} if order is None else {"alpha": order}
    found = dj.estimate(divergence, *laws, **params)  # by quadrature: of mixtures there is no closed form
    np.testing.assert_allclose(found.value, wanted, rtol=1e-9)
    assert int(found.status) == dj.status.OK
    traced = jax.jit(lambda alpha: divergence(*laws, **({} if order is None else {"alpha": alpha})))
    np.testing.assert_allclose(traced(2.0 if order is None else order), wanted, rtol=1e-9)
    blind = dj.estimate(divergence, dj.quadrature(*laws), **params)  # what was laid for no order says so
    assert bool(blind.status & dj.status.UNRESOLVED) or abs(blind.value - wanted) <= 3.0 * blind.stderr


@pytest.mark.parametrize(
    ("loc", "scale", "truth"),
    [(-4.5, 5.0, 448.0451053), (3.0, 6.0, 457.8229422)],
    ids=["left of the gap", "right of it"],
)
def test_log_p_bends_between_components(loc, scale, truth):
    """A broad p over the gap of q, whose log-density turns there from one component to the other within .01.

    Truths by Simpson's rule on two million points.
    """
    q = distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.array([0.5, 0.5])), distrax.Normal(jnp.array([-20.0, 20.0]), 0.5)
    )
    found = dj.estimate(dj.kl, distrax.Normal(loc, scale), q)
    assert int(found.status) == dj.status.OK
    np.testing.assert_allclose(found.value, truth, rtol=2e-6)
