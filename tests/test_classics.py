"""Published tables and examples, reproduced: f-GAN, Theis et al., Huszár, Bishop, the Wasserstein GAN.

What the library finds is compared with the published figures and, through ``on_grid``, with sums of textbook formulas
on a plain grid that know nothing of the library.
"""

import json
import math
from pathlib import Path

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, minimize

import divjax as dj
from divjax import status
from tests.marks import cases

CLASSICS = json.loads((Path(__file__).parent / "reference" / "classics.json").read_text())


def minima(loss, starts, *, tol=1e-8):
    """One Newton fit of ``loss(params)`` from every start; they are stacked along the leading axis."""
    iteration = dj.fit(lambda params, _: loss(params), lambda start: start, dj.training.newton(), tol=tol)
    return jax.jit(jax.vmap(lambda start: dj.run(iteration, start)))(jax.tree.map(jnp.asarray, starts))


def gaussian_pdf(x, mean, cov):
    """x [..., d], textbook formula."""
    mean, cov = np.atleast_1d(mean), np.atleast_2d(cov)
    away = x - mean
    square = np.einsum("...i,ij,...j->...", away, np.linalg.inv(cov), away)
    return np.exp(-0.5 * square) / np.sqrt(np.linalg.det(2.0 * np.pi * cov))


def mixture_pdf(x, weights, means, covs):
    return sum(w * gaussian_pdf(x, m, c) for w, m, c in zip(weights, means, covs, strict=True)) / sum(weights)


def on_grid(name, p, q, cell):
    """A divergence of densities on an equidistant grid: for Gaussians the trapezoidal rule is exact to rounding."""

    def log_ratio(a, b):
        return np.log(np.where(a > 0, a, 1.0)) - np.log(np.where(a > 0, b, 1.0))

    def kl(a, b):
        return np.sum(a * log_ratio(a, b)) * cell

    m = 0.5 * (p + q)
    return {
        "kl": lambda: kl(p, q),
        "reverse_kl": lambda: kl(q, p),
        "jensen_shannon": lambda: 0.5 * (kl(p, m) + kl(q, m)),
        "jeffreys": lambda: kl(p, q) + kl(q, p),
        "pearson_chi2": lambda: np.sum((p - q) ** 2 / q) * cell,
    }[name]()


# f-GAN: a Gaussian fitted to a mixture by five divergences. The authors' Jensen-Shannon divergence has no ½.

FGAN = CLASSICS["fgan_2016"]
FGAN_NAMES = {name: name.removeprefix("2*") for name in FGAN["exact"]}
LINE = np.linspace(-14.0, 16.0, 6001)


def fgan_nodes(params):
    return dj.quadrature(dj.targets.fgan_mixture(), dj.models.normal(params), crossings=0)


def fgan_by_hand(name, mu, sigma):
    target = FGAN["target"]
    p = mixture_pdf(LINE[:, None], target["weights"], target["means"], target["variances"])
    value = on_grid(FGAN_NAMES[name], p, gaussian_pdf(LINE[:, None], mu, sigma**2), LINE[1] - LINE[0])
    return 2.0 * value if name.startswith("2*") else value


@pytest.mark.parametrize("name", FGAN["exact"])
def test_fgan_table(name, x64):
    divergence, factor = getattr(dj, FGAN_NAMES[name]), 2.0 if name.startswith("2*") else 1.0
    starts = {"loc": np.array([-2.0, 0.0, 1.0, 3.0, -1.0]), "log_scale": np.log([1.5, 2.0, 3.0, 1.2, 0.5])}
    fits = minima(lambda params: factor * divergence(fgan_nodes(params)), starts)
    value, mu, sigma = (np.asarray(x) for x in (fits.value, fits.params["loc"], jnp.exp(fits.params["log_scale"])))
    best = int(np.argmin(value))
    np.testing.assert_allclose([value[best], mu[best], sigma[best]], FGAN["exact"][name], atol=5e-4)
    assert value[best] == pytest.approx(fgan_by_hand(name, mu[best], sigma[best]), abs=1e-9)
    for step in ((1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)):
        assert fgan_by_hand(name, mu[best] + step[0], sigma[best] + step[1]) > value[best]
    # Wide starts end there. The narrow one is in a basin of its own for the reverse KL; and ∫p²/q is infinite for
    # σ² ≤ 1.00125, half the variance of the wider component, where there is nothing to descend.
    np.testing.assert_allclose(value[:4], value[best], atol=1e-9)
    assert np.all(fits.status[:4] == status.OK)
    if name == "reverse_kl":
        np.testing.assert_allclose([value[4], mu[4], sigma[4]], [0.990, -0.954, 0.317], atol=1e-3)
    assert int(fits.status[4]) == (status.NON_FINITE if name == "pearson_chi2" else status.OK)


def test_fgan_variational_bounds_are_bounds(x64):
    """The table's second part: what the critic reports is below the divergence at the parameters it led to."""
    for name, (bound, mu, sigma) in FGAN["variational"].items():
        assert bound < fgan_by_hand(name, mu, sigma) < 1.2 * bound
        assert fgan_by_hand(name, mu, sigma) > FGAN["exact"][name][0] - 2e-4


# Theis, van den Oord, Bethge: an isotropic Gaussian in the plane fitted to ten of them.

THEIS = CLASSICS["theis_2016"]
SECOND = {"reverse_kl": (1.48077, (-0.146, 3.155), 0.506), "jensen_shannon": (0.39877, None, None)}
PLANE = np.stack(np.meshgrid(np.linspace(-10, 10, 201), np.linspace(-10, 10, 201), indexing="ij"), axis=-1)
CELL = 0.1**2


def isotropic(params):
    return distrax.MultivariateNormalDiag(params["loc"], jnp.exp(params["log_scale"]) * jnp.ones(2))


def theis_by_hand(name, mean, sigma):
    target = THEIS["target"]
    p = mixture_pdf(PLANE, target["weights"], target["means"], [v * np.eye(2) for v in target["variances"]])
    return on_grid(name, p, gaussian_pdf(PLANE, mean, sigma**2 * np.eye(2)), CELL)


def test_theis_target_is_that_of_the_authors_seed(x64):
    drawn = np.random.RandomState(22)
    weights, variances = drawn.dirichlet(np.full(10, 0.5)), 1.0 / np.square(drawn.rand(10) + 1.0)
    means = 1.5 * drawn.randn(100, 10)[:2].T
    built = dj.targets.theis_mixture()
    np.testing.assert_allclose(built.mixture_distribution.probs, weights, atol=1e-7)
    np.testing.assert_allclose(built.components_distribution.loc, means, atol=1e-8)
    np.testing.assert_allclose(built.components_distribution.variance(), np.stack([variances] * 2, -1), atol=1e-8)


@pytest.mark.parametrize("name", cases(THEIS["optima"], slow=["kl"]))
def test_theis_optima_from_several_starts(name, x64):
    starts = {"loc": np.array([[-0.5, -1.5], [0.5, 0.0], [0.0, 3.0]]), "log_scale": np.log([0.8, 1.2, 0.7])}
    divergence = getattr(dj, name)
    # Away from the optimum a rule's own error, 1e-8 of the value here, keeps the gradient from falling further.
    fits = minima(
        lambda params: divergence(dj.quadrature(dj.targets.theis_mixture(), isotropic(params))), starts, tol=2e-6
    )
    assert np.all(fits.status == status.OK)
    sigma = np.exp(fits.params["log_scale"])
    expected = THEIS["optima"][name]
    for lane in (0, 1):
        assert float(fits.value[lane]) == pytest.approx(expected["value"], abs=1e-3)
        np.testing.assert_allclose(fits.params["loc"][lane], expected["mean"], atol=1e-3)
        assert sigma[lane] == pytest.approx(expected["sigma"], abs=1e-3)
    assert float(fits.value[0]) == pytest.approx(theis_by_hand(name, fits.params["loc"][0], sigma[0]), abs=2e-5)
    value, mean, width = SECOND.get(name, (expected["value"], expected["mean"], expected["sigma"]))
    assert float(fits.value[2]) == pytest.approx(value, abs=1e-4)
    if mean is not None:
        np.testing.assert_allclose(fits.params["loc"][2], mean, atol=1e-3)
        assert sigma[2] == pytest.approx(width, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", THEIS["optima"])
def test_theis_reference_by_scipy(name):
    expected = THEIS["optima"][name]
    start = [*np.add(expected["mean"], 0.02), math.log(expected["sigma"]) + 0.02]
    found = minimize(lambda v: theis_by_hand(name, v[:2], math.exp(v[2])), start, method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found.x[:2], expected["mean"], atol=1e-4)
    assert math.exp(found.x[2]) == pytest.approx(expected["sigma"], abs=1e-4)
    assert found.fun == pytest.approx(expected["value"], abs=1e-5)


# Huszár: the weighted Jensen-Shannon divergence between the two Kullback-Leibler divergences.

HUSZAR = (0.0, 1.0), (0.5, 1.1)  # ∫p³/q² and ∫q³/p² are finite, so that the limits have a rate


def gaussian_kl(a, b):
    return math.log(b[1] / a[1]) + (a[1] ** 2 + (a[0] - b[0]) ** 2) / (2 * b[1] ** 2) - 0.5


def gaussian_chi2(a, b):
    """∫ p²/q − 1 of two Gaussians with 2 σ_q² > σ_p²."""
    wide = 2 * b[1] ** 2 - a[1] ** 2
    return b[1] ** 2 / (a[1] * math.sqrt(wide)) * math.exp((a[0] - b[0]) ** 2 / wide) - 1.0


def huszar(weight, p, q):
    nodes = dj.quadrature(distrax.Normal(*p), distrax.Normal(*q), crossings=0)
    return dj.jensen_shannon(nodes, weight=weight)


@pytest.mark.parametrize(("end", "pair"), [(0, HUSZAR), (1, HUSZAR[::-1])])
def test_huszar_limits_are_linear_in_the_weight(end, pair, x64):
    """JS_w / w = KL − (w/2) χ² + O(w²) at either end, with the roles of p and q exchanged at the other."""
    shares = jnp.array([1e-2, 1e-3, 1e-4])
    values = jax.jit(jax.vmap(lambda share: huszar(jnp.abs(end - share), *HUSZAR) / share))(shares)
    missing = (gaussian_kl(*pair) - np.asarray(values)) / np.asarray(shares)
    assert np.all(np.abs(missing / (0.5 * gaussian_chi2(*pair)) - 1.0) < 2.0 * np.asarray(shares))


@pytest.mark.parametrize(("end", "pair"), [(0, HUSZAR), (1, HUSZAR[::-1])])
def test_huszar_limits_keep_their_digits_in_float32(end, pair):
    for share in (1e-6, 2.0**-20) if end == 0 else (2.0**-20,):  # 1 − 2⁻²⁰ has a float32, 1 − 10⁻⁶ has none
        value = jax.jit(huszar)(abs(end - share), *HUSZAR)
        assert value.dtype == jnp.float32
        assert float(value) / share == pytest.approx(gaussian_kl(*pair), rel=1e-5)


@pytest.mark.parametrize(("end", "pair"), [(0, HUSZAR), (1, HUSZAR[::-1])])
def test_huszar_limits_have_their_gradients_in_float32(end, pair):
    """In the second argument of the KL divergence that is the limit: q's parameters at w = 0, p's at w = 1."""
    (m, s), (loc, scale) = pair
    slope = jax.jit(jax.grad(huszar, argnums=2 if end == 0 else 1))(abs(end - 2.0**-20), *HUSZAR)
    truth = (loc - m) / scale**2, 1.0 / scale - (s**2 + (loc - m) ** 2) / scale**3
    np.testing.assert_allclose(np.asarray(slope) * 2.0**20, truth, rtol=2e-5, atol=2e-6)


def test_huszar_the_weight_leads_from_one_fit_to_the_other(x64):
    """On f-GAN's mixture: JS_w is fitted by the Gaussian of KL(p‖q) as w → 0, by that of KL(q‖p) as w → 1."""

    def loss(params, weight):
        return dj.jensen_shannon(fgan_nodes(params), weight=weight)

    iteration = dj.fit(loss, {"loc": 1.3, "log_scale": 0.55}, dj.training.newton(), tol=1e-10)
    weights = jnp.array([1e-4, 1e-2, 0.5, 0.99, 0.9999])
    params = jax.jit(jax.vmap(lambda weight: dj.run(iteration, weight)))(weights).params
    loc, scale = np.asarray(params["loc"]), np.exp(params["log_scale"])
    for lane, name in ((0, "kl"), (2, "2*jensen_shannon"), (-1, "reverse_kl")):
        np.testing.assert_allclose([loc[lane], scale[lane]], FGAN["exact"][name][1:], atol=1e-3)
    assert np.all(np.diff(loc) > 0)
    assert np.all(np.diff(scale) < 0)


# Bishop: figures 10.2 and 10.3.

BISHOP = CLASSICS["bishop_10_3"]


def full_gaussian(params):
    tril = jnp.diag(jnp.exp(params["log_diagonal"])).at[1, 0].set(params["below"])
    return distrax.MultivariateNormalTri(params["loc"], tril)


def test_bishop_10_3_forward_kl_matches_the_moments(x64):
    """Published re-creations draw [[3, 2], [2, 3]] by hand; the optimum is the covariance of the target."""
    starts = {"loc": np.array([[0.5, -1.0]]), "log_diagonal": np.zeros((1, 2)), "below": np.zeros(1)}
    fits = minima(lambda params: dj.kl(dj.quadrature(dj.targets.bishop_mixture(), full_gaussian(params))), starts)
    assert int(fits.status[0]) == status.OK
    q = full_gaussian(jax.tree.map(lambda leaf: leaf[0], fits.params))
    np.testing.assert_allclose(q.loc, BISHOP["forward_kl"]["mean"], atol=1e-6)
    np.testing.assert_allclose(q.covariance(), BISHOP["forward_kl"]["covariance"], atol=1e-6)
    target = BISHOP["target"]
    p = mixture_pdf(PLANE, target["weights"], target["means"], np.asarray(target["covariances"]))
    moments = np.tensordot(p, PLANE[..., :, None] * PLANE[..., None, :], 2) * CELL
    np.testing.assert_allclose(moments, BISHOP["forward_kl"]["covariance"], atol=1e-9)
    by_hand = on_grid("kl", p, gaussian_pdf(PLANE, np.zeros(2), moments), CELL)
    assert float(fits.value[0]) == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("name", ["kl", "reverse_kl"])
def test_bishop_10_2_a_factorised_gaussian(name, x64):
    """Forward KL keeps the marginal variances Σ_ii, reverse KL takes the conditional ones 1/Λ_ii; both the mean.

    In log σ_i the gradient is 1 − Σ_ii/σ_i² or Λ_ii σ_i² − 1: it vanishes there and nowhere else.
    """
    loc, cov = np.array([0.3, -0.7, 1.1]), np.array([[1.0, 0.8, 0.1], [0.8, 1.5, -0.4], [0.1, -0.4, 0.6]])
    p, divergence = distrax.MultivariateNormalFullCovariance(loc, cov), getattr(dj.exact, name)
    gradient = jax.jit(jax.grad(lambda m, s: divergence(p, distrax.MultivariateNormalDiag(m, jnp.exp(s))), (0, 1)))
    marginal, conditional = np.diag(cov), 1.0 / np.diag(np.linalg.inv(cov))
    variances = marginal if name == "kl" else conditional
    by_mean, by_scale = gradient(loc, 0.5 * np.log(variances))
    np.testing.assert_allclose([by_mean, by_scale], 0.0, atol=1e-12)
    elsewhere = np.array([0.5, 1.0, 2.0])
    expected = 1.0 - marginal / elsewhere if name == "kl" else elsewhere / conditional - 1.0
    np.testing.assert_allclose(gradient(loc, 0.5 * np.log(elsewhere))[1], expected, rtol=1e-10)


# The Wasserstein GAN's example 1: p uniform on the segment {0} × [0, 1], q on {θ} × [0, 1].


def parallel_lines(theta, tilt=0.0):
    """Densities with respect to length on the union of both segments, and nodes of that measure.

    Along its segment q has the density 1 + tilt (2z − 1); the example has tilt 0. For θ ≠ 0 the segments are disjoint:
    each density vanishes on the other's. At θ = 0 they are one segment, and the second copy has weight 0.
    """
    z, weights = np.polynomial.legendre.leggauss(16)
    first = jnp.stack([jnp.zeros_like(theta), theta])[:, None]  # the first coordinate of every node
    along_p, along_q = jnp.zeros(z.size), jnp.log1p(tilt * jnp.asarray(z))
    log_p = jnp.where(first == 0.0, along_p, -jnp.inf)
    log_q = jnp.where(first == theta, along_q, -jnp.inf)
    counted = jnp.stack([jnp.ones((), bool), theta != 0.0])[:, None]
    log_w = jnp.where(counted, jnp.log(0.5 * jnp.asarray(weights)), -jnp.inf)
    return dj.Nodes(log_p.ravel(), log_q.ravel(), log_w.ravel())


LINES = {  # divergence, value for θ ≠ 0
    "jensen_shannon": (dj.jensen_shannon, math.log(2.0)),
    "total_variation": (dj.total_variation, 1.0),
    "squared_hellinger": (dj.squared_hellinger, 1.0),
    "kl": (dj.kl, math.inf),
    "reverse_kl": (dj.reverse_kl, math.inf),
    "jeffreys": (dj.jeffreys, math.inf),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("double", [True, False], ids=["float64", "float32"])
def test_parallel_lines_give_densities_nothing_to_follow(name, double):
    """Constant for θ ≠ 0, with gradient 0: in θ, and in whatever q does along its own segment."""
    divergence, apart = LINES[name]
    with jax.enable_x64(double):
        small = 1e-7 if not double else 1e-15
        measure = jax.jit(jax.value_and_grad(lambda v: divergence(parallel_lines(v[0], v[1]))))
        for theta in (-2.0, -1e-6, 1e-6, 0.5):
            for tilt in (0.0, 0.4):
                value, gradient = measure(jnp.array([theta, tilt]))
                assert float(value) == pytest.approx(apart, rel=8 * small)
                np.testing.assert_allclose(gradient, 0.0, atol=8 * small)
        value, gradient = measure(jnp.zeros(2))
        assert float(value) == 0.0
        np.testing.assert_allclose(gradient, 0.0, atol=8 * small)


def first_coordinates(theta, num=64):
    return jnp.zeros(num), jnp.broadcast_to(theta, (num,))


@pytest.mark.parametrize("theta", [-2.0, -1e-6, 0.0, 1e-6, 0.5])
def test_parallel_lines_have_a_distance_with_a_gradient(theta):
    """W₁ = |θ|: the projection on the first coordinate is 1-Lipschitz, so W₁ is at least that of the projections, two
    point masses |θ| apart; and moving every (0, z) to (θ, z) costs no more."""
    distance = jax.jit(jax.value_and_grad(lambda theta: dj.wasserstein(*first_coordinates(theta))))
    value, gradient = distance(theta)
    assert float(value) == pytest.approx(abs(theta), rel=1e-6)
    assert float(gradient) == pytest.approx(np.sign(theta), rel=1e-6)


def test_parallel_lines_sampled():
    """In the plane an optimal assignment of samples with shared Z costs |θ|; with independent Z it costs more."""
    first, second = np.random.default_rng(0).uniform(size=(2, 64))
    for theta in (-2.0, -1e-3, 0.5):

        def assigned(z, theta=theta):
            cost = np.hypot(theta, first[:, None] - z[None, :])
            return cost[linear_sum_assignment(cost)].mean()

        ours = float(dj.wasserstein(*first_coordinates(theta)))
        assert assigned(first) == pytest.approx(abs(theta), rel=1e-12)
        assert ours == pytest.approx(assigned(first), rel=1e-6)
        assert ours < assigned(second)
