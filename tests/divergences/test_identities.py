"""What the literature knows of how divergences hang together."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj

RNG = np.random.RandomState(2)


def log_pmf(logits):
    return logits - np.logaddexp.reduce(logits)


P, Q = log_pmf(2 * RNG.randn(30)), log_pmf(2 * RNG.randn(30))
alpha = lambda a: functools.partial(dj.alpha_divergence, alpha=a)  # noqa: E731
m = np.logaddexp(P, Q) - np.log(2)

IDENTITIES = {
    "alpha_half_is_4_hellinger": (alpha(0.5), lambda n: 4 * dj.squared_hellinger(n)),
    "alpha_0_is_reverse_kl": (alpha(0.0), dj.reverse_kl),
    "alpha_1_is_kl": (alpha(1.0), dj.kl),
    "alpha_2_is_half_pearson": (alpha(2.0), lambda n: dj.pearson_chi2(n) / 2),
    "alpha_-1_is_half_neyman": (alpha(-1.0), lambda n: dj.neyman_chi2(n) / 2),
    "alpha_swaps": (alpha(0.2), dj.reverse(alpha(0.8))),
    "renyi_1_is_kl": (functools.partial(dj.renyi, alpha=1.0), dj.kl),
    "renyi_2_is_log_chi2": (functools.partial(dj.renyi, alpha=2.0), lambda n: jnp.log1p(dj.pearson_chi2(n))),
    "renyi_half_is_2_bhattacharyya": (
        functools.partial(dj.renyi, alpha=0.5),
        lambda n: 2 * dj.divergences.bhattacharyya(n),
    ),
    "bhattacharyya_of_hellinger": (
        dj.divergences.bhattacharyya,
        lambda n: -jnp.log1p(-dj.squared_hellinger(n)),
    ),
    "tsallis_is_alpha_times": (functools.partial(dj.tsallis, alpha=0.3), lambda n: 0.3 * alpha(0.3)(n)),
    "jeffreys_is_both_kl": (dj.jeffreys, lambda n: dj.kl(n) + dj.reverse_kl(n)),
    "symmetrize": (dj.symmetrize(dj.kl), dj.jeffreys),
    "reverse": (dj.reverse(dj.pearson_chi2), dj.neyman_chi2),
    "jensen": (dj.jensen(dj.kl), dj.jensen_shannon),
    "jensen_weighted": (dj.jensen(dj.kl, weight=0.1), functools.partial(dj.jensen_shannon, weight=0.1)),
    "triangular_is_jensen_of_pearson": (dj.triangular, lambda n: 2 * dj.jensen(dj.pearson_chi2)(n)),
    "skew": (dj.skew(dj.kl, weight=0.5), lambda n: jnp.sum(jnp.exp(n.log_p) * (n.log_p - m))),
    "beta_0_is_kl": (functools.partial(dj.beta_divergence, beta=0.0), dj.kl),
    "beta_1_is_l2": (functools.partial(dj.beta_divergence, beta=1.0), dj.l2),
    "gamma_0_is_kl": (functools.partial(dj.gamma_divergence, gamma=0.0), dj.kl),
    "gamma_1_is_cauchy_schwarz": (functools.partial(dj.gamma_divergence, gamma=1.0), dj.cauchy_schwarz),
    "gamma_ignores_scale": (
        functools.partial(dj.gamma_divergence, gamma=0.7),
        lambda n: dj.gamma_divergence(dj.pmf(n.log_p + 3.0, n.log_q - 2.0, log_w=0.0), gamma=0.7),
    ),
    "f_divergence_kl": (functools.partial(dj.f_divergence, f=lambda t: t * jnp.log(t)), dj.kl),
    "f_divergence_reverse_kl": (functools.partial(dj.f_divergence, f=lambda t: -jnp.log(t)), dj.reverse_kl),
    "f_divergence_pearson": (functools.partial(dj.f_divergence, f=lambda t: (t - 1) ** 2), dj.pearson_chi2),
    "f_divergence_tilted": (functools.partial(dj.f_divergence, f=lambda t: t * jnp.log(t) + 5 * (t - 1)), dj.kl),
    "f_divergence_tv": (functools.partial(dj.f_divergence, f=lambda t: jnp.abs(t - 1) / 2), dj.total_variation),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identity(name, x64):
    left, right = IDENTITIES[name]
    nodes = dj.pmf(P, Q)
    assert float(left(nodes)) == pytest.approx(float(right(nodes)), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_textbook_sums(x64):
    """Every formula of the conventions' table, written down once more in float64 numpy."""
    p, q = np.exp(P), np.exp(Q)
    root, b, g, w = np.sqrt(p * q).sum(), 0.4, 0.6, 0.3
    mixture = w * p + (1 - w) * q
    expected = {
        (dj.kl,): (p * (P - Q)).sum(),
        (dj.jensen_shannon, ("weight", w)): w * (p * np.log(p / mixture)).sum()
        + (1 - w) * (q * np.log(q / mixture)).sum(),
        (dj.alpha_divergence, ("alpha", 0.3)): (1 - (p**0.3 * q**0.7).sum()) / 0.21,
        (dj.renyi, ("alpha", 1.7)): np.log((p**1.7 * q**-0.7).sum()) / 0.7,
        (dj.tsallis, ("alpha", 1.7)): ((p**1.7 * q**-0.7).sum() - 1) / 0.7,
        (dj.squared_hellinger,): 1 - root,
        (dj.divergences.bhattacharyya,): -np.log(root),
        (dj.chernoff,): max(-np.log((p**a * q ** (1 - a)).sum()) for a in np.linspace(0, 1, 20001)),
        (dj.pearson_chi2,): ((p - q) ** 2 / q).sum(),
        (dj.neyman_chi2,): ((p - q) ** 2 / p).sum(),
        (dj.triangular,): ((p - q) ** 2 / (p + q)).sum(),
        (dj.total_variation,): np.abs(p - q).sum() / 2,
        (dj.beta_divergence, ("beta", b)): (q ** (1 + b) - (1 + 1 / b) * p * q**b + p ** (1 + b) / b).sum(),
        (dj.gamma_divergence, ("gamma", g)): np.log((p ** (1 + g)).sum()) / (g * (1 + g))
        - np.log((p * q**g).sum()) / g
        + np.log((q ** (1 + g)).sum()) / (1 + g),
        (dj.l2,): ((p - q) ** 2).sum(),
        (dj.cauchy_schwarz,): -np.log((p * q).sum() / np.sqrt((p**2).sum() * (q**2).sum())),
    }
    with jax.enable_x64(x64):
        found = jax.jit(lambda n: [divergence(n, **dict(params)) for divergence, *params in expected])(dj.pmf(P, Q))
    for (divergence, *_), value, exact in zip(expected, found, expected.values(), strict=True):
        loose = 1e-7 if divergence is dj.chernoff else 1e-12  # the maximum over a grid
        assert float(value) == pytest.approx(exact, rel=loose if x64 else 5e-6)


def test_limits_of_the_weighted_jensen_shannon(x64):
    """Huszár 2015: JS/w → KL(p‖q) as w → 0, JS/(1 − w) → KL(q‖p) as w → 1."""
    nodes = dj.pmf(P, Q)
    js = lambda weight: float(dj.jensen_shannon(nodes, weight=weight))  # noqa: E731
    assert js(1e-7) / 1e-7 == pytest.approx(float(dj.kl(nodes)), rel=1e-4)
    assert js(1 - 1e-7) / 1e-7 == pytest.approx(float(dj.reverse_kl(nodes)), rel=1e-4)
    assert js(0.0) + js(1.0) < 1e-30


@pytest.mark.slow
def test_chernoff_of_equal_variances(x64):
    import distrax

    @jax.jit
    def both(loc):
        nodes = dj.quadrature(distrax.Normal(0.0, 1.0), distrax.Normal(loc, 1.0), crossings=0)
        return dj.chernoff(nodes), dj.divergences.bhattacharyya(nodes)

    assert [float(value) for value in both(3.0)] == pytest.approx([9 / 8, 9 / 8], rel=1e-10)


def test_inequalities():
    """Pinsker; Le Cam; Hellinger and total variation; renyi grows with alpha."""

    @jax.jit
    def measured(nodes, orders):
        values = [d(nodes) for d in (dj.total_variation, dj.squared_hellinger, dj.kl)]
        return values, jax.vmap(lambda a: dj.renyi(nodes, alpha=a))(orders)

    (tv, h2, kl), values = measured(dj.pmf(P, Q), np.linspace(0, 4, 41))
    assert 2 * tv**2 <= kl
    assert h2 <= tv <= np.sqrt(2 * h2)
    assert np.all(np.diff(values) > -1e-6)


def test_f_divergence_without_support():
    """slope is the price of p where q = 0; an infinite one leaves finite gradients elsewhere."""
    p, q = np.log([0.25, 0.75, 1e-30]), np.log([0.5, 1e-30, 0.5])
    p, q = np.where(p < -60, -np.inf, p), np.where(q < -60, -np.inf, q)
    hinge = functools.partial(dj.f_divergence, f=lambda t: jnp.abs(t - 1) / 2, slope=0.5)
    infinite = functools.partial(dj.f_divergence, f=lambda t: t * jnp.log(t))

    @jax.jit
    def measured(nodes):
        return hinge(nodes), dj.total_variation(nodes), jax.value_and_grad(infinite)(nodes)

    priced, tv, (value, grads) = measured(dj.pmf(p, q))
    assert float(priced) == pytest.approx(float(tv))
    assert value == np.inf
    assert all(np.isfinite(grad).all() for grad in (grads.log_p, grads.log_q))


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_jensen_shannon_at_one_half_is_the_skewed_one(dtype, x64):
    """It has a formula of its own. Log-ratios on both sides of where its series ends, and densities of 0."""
    gaps = np.array([1e-6, -1e-3, 0.3, -0.501, 0.6, -0.99, 1.01, -3.0, 40.0, -1e4, np.inf, -np.inf, 0.0], dtype)
    log_p = jnp.where(gaps == -np.inf, -jnp.inf, jnp.full(gaps.shape, -1.0, dtype))
    log_q = jnp.where(gaps == np.inf, -jnp.inf, jnp.where(gaps == -np.inf, -1.0, log_p - gaps)).astype(dtype)
    half = lambda p, q: dj.jensen_shannon(dj.pmf(p, q))  # noqa: E731
    skewed = lambda p, q: dj.jensen_shannon(dj.pmf(p, q), weight=jnp.asarray(0.5, dtype))  # noqa: E731
    each = [jax.vmap(f)(log_p[:, None], log_q[:, None]) for f in (half, skewed)]
    np.testing.assert_allclose(*each, rtol=10 * np.finfo(dtype).eps)
    slopes = [jax.grad(f, (0, 1))(log_p, log_q) for f in (half, skewed)]
    np.testing.assert_allclose(*slopes, rtol=30 * np.finfo(dtype).eps)
    curvatures = [jax.hessian(lambda d, f=f: f(log_p[:9], log_q[:9] + d))(jnp.zeros(9, dtype)) for f in (half, skewed)]
    np.testing.assert_allclose(*curvatures, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=np.finfo(dtype).eps)
