"""Maximum likelihood on data: that it is KL, how fast it becomes so, and what its estimates are worth."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

import divjax as dj
from divjax import status
from divjax.studies.likelihood import study
from divjax.studies.likelihood import table as in_words
from divjax.studies.likelihood.plot import likelihood_on_data
from divjax.training import likelihood as li
from tests.test_plots import assert_legible, said

COUNTS = np.array([3, 0, 1, 4, 0, 9, 2])
LOGITS = np.array([0.3, -1.0, 0.2, 0.0, 1.5, 0.8, -0.4])


SANDWICH = jax.jit(li.sandwich, static_argnums=0)
LOG_LIKELIHOOD, EMPIRICAL_KL, PREDICTED_KL = (jax.jit(f) for f in (li.log_likelihood, li.empirical_kl, li.predicted_kl))

MLE = jax.jit(study.gaussian_mle)


def log_prob(params, point):
    return dj.models.normal(params).log_prob(point)


def moments(weight, separation):
    """Variance, third and fourth central moments of (1 − w) N(0, 1) + w N(d, 1)."""
    away = separation * np.array([-weight, 1.0 - weight])
    shares = np.array([1.0 - weight, weight])
    return shares @ (away**2 + 1.0), shares @ (away**3 + 3.0 * away), shares @ (away**4 + 6.0 * away**2 + 3.0)


def gaussian_sandwich(weight, separation, num):
    """Of (loc, log scale), by the delta method on the mean and the variance of a sample: no Hessian, no scores."""
    variance, third, fourth = moments(weight, separation)
    cross = third / (2.0 * variance)
    return np.array([[variance, cross], [cross, (fourth / variance**2 - 1.0) / 4.0]]) / num


# The identity


def test_the_mean_log_likelihood_is_kl_and_entropy(x64):
    """Of a discrete sample, against sums in numpy, scipy's relative entropy and ``dj.kl``."""
    log_q = jax.nn.log_softmax(jnp.asarray(LOGITS))
    share, repeated = COUNTS / COUNTS.sum(), np.repeat(np.asarray(log_q), COUNTS)
    kl, entropy = EMPIRICAL_KL(COUNTS, log_q), li.empirical_entropy(COUNTS)
    mean = LOG_LIKELIHOOD(repeated)
    assert abs(kl - special.rel_entr(share, np.exp(log_q)).sum()) < 1e-12
    assert abs(entropy - stats.entropy(share)) < 1e-12
    assert abs(kl - (-entropy - repeated.mean())) < 1e-12
    assert abs(kl + entropy + mean.value) < 1e-12
    with np.errstate(divide="ignore"):
        assert abs(kl - dj.kl(dj.pmf(np.log(share), log_q))) < 1e-12
    # As weights the counts have the same mean, but another error: four points are not one that weighs four.
    with np.errstate(divide="ignore"):
        weighted = LOG_LIKELIHOOD(log_q, np.log(COUNTS))
    assert abs(weighted.value - mean.value) < 1e-12
    assert weighted.stderr > mean.stderr


def test_their_gradients_are_equal(x64):
    """Of KL by counts and of −log-likelihood by points; both p̂ − q with the sign turned, by hand."""
    points = np.repeat(np.arange(COUNTS.size), COUNTS)
    by_counts = jax.grad(lambda logits: EMPIRICAL_KL(COUNTS, jax.nn.log_softmax(logits)))(LOGITS)
    by_points = jax.grad(lambda logits: -LOG_LIKELIHOOD(jax.nn.log_softmax(logits)[points]).value)(LOGITS)
    by_hand = special.softmax(LOGITS) - COUNTS / COUNTS.sum()
    np.testing.assert_allclose(by_counts, by_hand, atol=1e-12)
    np.testing.assert_allclose(by_points, by_hand, atol=1e-12)


def test_distinct_points_have_the_entropy_log_n(x64):
    """The blog post's formula, with log-densities: it is least, and its gradient 0, at the sample's moments."""
    x = np.random.default_rng(0).normal(size=50)

    def kl(params):
        return EMPIRICAL_KL(np.ones(50), jax.vmap(log_prob, (None, 0))(params, x))

    best = MLE(x)
    np.testing.assert_allclose(kl(best), -np.log(50.0) - stats.norm(x.mean(), x.std()).logpdf(x).mean(), rtol=1e-12)
    assert max(map(abs, jax.grad(kl)(best).values())) < 1e-12
    assert min(kl({**best, name: best[name] + step}) for name, step in itertools.product(best, (-0.1, 0.1))) > kl(best)


def test_edges_of_the_identity():
    """A seen point of no mass: infinite, with a gradient. An unseen one: nothing. One point alone has no error."""
    log_q = jnp.log(jnp.array([0.5, 0.5, 0.0]))
    assert EMPIRICAL_KL(jnp.array([1.0, 1.0, 0.0]), log_q) == 0.0
    assert EMPIRICAL_KL(jnp.array([1.0, 1.0, 1.0]), log_q) == np.inf
    by_counts, by_log_q = jax.grad(EMPIRICAL_KL, argnums=(0, 1))(jnp.array([1.0, 3.0, 0.0]), log_q)
    assert np.isfinite(by_counts).all()
    np.testing.assert_allclose(by_log_q, [-0.25, -0.75, 0.0])
    assert np.isnan(EMPIRICAL_KL(jnp.array([2.0, -1.0, 0.0]), log_q))
    assert np.isnan(li.empirical_entropy(jnp.array([2.0, -1.0])))
    assert li.empirical_entropy(jnp.array([0, 7])) == 0.0
    assert LOG_LIKELIHOOD(log_q) == (-np.inf, np.inf)
    assert LOG_LIKELIHOOD(jnp.array([-1.5])) == (-1.5, np.inf)
    nothing = jnp.full(3, -jnp.inf)
    assert LOG_LIKELIHOOD(log_q, nothing) == (0.0, np.inf)
    assert LOG_LIKELIHOOD(log_q, nothing.at[0].set(0.0)) == (log_q[0], np.inf)


def test_the_standard_error_of_the_log_likelihood():
    """s/√n, whatever the scale of the weights; a point left out is not there; calibrated with unequal weights too."""
    x = np.random.default_rng(1).normal(size=400)
    found = LOG_LIKELIHOOD(x, 7.0)
    np.testing.assert_allclose(found.stderr, x.std(ddof=1) / 20.0, rtol=1e-5)
    padded = LOG_LIKELIHOOD(np.append(x, [np.inf, 3.0]), np.append(np.zeros(400), [-np.inf, -np.inf]))
    np.testing.assert_allclose(padded, found, rtol=1e-5, atol=1e-7)
    draws = jax.random.normal(jax.random.key(0), (2000, 30))
    for log_w in (np.linspace(0.0, 6.0, 30), np.array([0.0] + [-3.0] * 29)):  # in the second one point has two fifths
        many = jax.vmap(LOG_LIKELIHOOD, (0, None))(draws, log_w)
        squares = np.asarray(many.value) ** 2 - np.asarray(many.stderr) ** 2  # the mean is 0
        assert abs(squares.mean()) < 4.0 * squares.std() / 2000**0.5


def test_the_error_has_a_gradient_where_a_point_is_left_out():
    stderr = jax.jit(jax.grad(lambda log_q, log_w: li.log_likelihood(log_q, log_w).stderr))
    for left_out in (-np.inf, np.nan):
        slope = stderr(np.array([-1.0, -2.0, left_out], np.float32), np.array([0.0, 0.0, -np.inf], np.float32))
        np.testing.assert_allclose(slope, [0.5, -0.5, 0.0], rtol=1e-6)  # of |a − b| / 2


def test_a_single_point_has_no_covariance():
    found = li.sandwich(lambda m, x: -0.5 * (x - m) ** 2, jnp.float32(2.0), jnp.array([2.0]))
    assert int(found.status) == status.NON_FINITE
    assert np.isnan(found.stderr)


# The limit and its rate


def test_the_constant_of_the_rate_is_the_integral(x64):
    """sd of log p/q under p, for the blog post's pair, by scipy's adaptive quadrature of another parametrisation."""
    q = stats.norm(8.0, 65.0**0.5)

    def density(x):
        return 0.5 * stats.norm.pdf(x) + 0.5 * stats.norm.pdf(x - 16.0)

    def integral(power, mean=0.0):
        def term(x):
            return density(x) * (np.log(density(x)) - q.logpdf(x) - mean) ** power

        return sum(integrate.quad(term, m - 8.0, m + 8.0, epsabs=1e-13, epsrel=1e-12)[0] for m in (0.0, 16.0))

    kl = integral(1)
    nodes = dj.quadrature(dj.targets.two_modes(16.0), dj.models.normal(study.best_gaussian(16.0)), crossings=0)
    found = PREDICTED_KL(nodes)
    assert f"{found.value:.2f}" == "1.39"
    np.testing.assert_allclose(found, (kl, integral(2, kl) ** 0.5), rtol=1e-9)
    np.testing.assert_allclose(PREDICTED_KL(nodes, num_points=1600).stderr, found.stderr / 40.0, rtol=1e-12)


def test_edges_of_the_constant():
    """Equal: no error. Without mass: infinite. p = q = 0 and p = 0 < q add nothing."""
    logs = jnp.log(jnp.array([0.25, 0.75, 0.0]))
    assert PREDICTED_KL(dj.pmf(logs, logs)) == (0.0, 0.0)
    assert PREDICTED_KL(dj.pmf(jnp.log(jnp.array([0.5, 0.25, 0.25])), logs)) == (np.inf, np.inf)
    within = PREDICTED_KL(dj.pmf(jnp.log(jnp.array([0.0, 1.0, 0.0])), logs))
    np.testing.assert_allclose(within, (np.log(4.0 / 3.0), 0.0), atol=1e-6)
    gradient = jax.jit(jax.grad(lambda nodes: li.predicted_kl(nodes).stderr))
    for probs in ((0.25, 0.75, 0.0), (0.5, 0.25, 0.25), (0.0, 1.0, 0.0)):
        slope = gradient(dj.pmf(jnp.log(jnp.array(probs)), logs))
        assert np.isfinite([slope.log_p, slope.log_q]).all()


def test_the_error_falls_like_the_root_of_the_number():
    """At every number the rms error is the constant over √n, without any approximation; the slope is −½."""
    found = study.convergence(jax.random.key(0), (1, 10, 100, 2000), 400)
    away = (found.rms - found.constant / found.num**0.5) / found.rms_stderr
    assert np.abs(away).max() < 3.5
    assert abs(found.slope + 0.5) < 3.0 * found.slope_stderr
    assert found.slope_stderr < 0.01
    normal = (2.0 / np.pi) ** 0.5 * found.constant / found.num[2:] ** 0.5  # by the central limit theorem
    assert np.abs((found.mean_abs[2:] - normal) / found.mean_abs_stderr[2:]).max() < 3.5


# The estimates


@pytest.mark.parametrize("weight", [0.5, 0.8])
def test_the_sandwich_is_the_closed_form_of_the_gaussian(weight, x64):
    """By the delta method on the sample's own moments, to rounding; the blog post's numbers within three errors."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=5000) + 16.0 * (rng.random(5000) < weight)
    params = MLE(x)
    found = SANDWICH(log_prob, params, x)
    z = (x - x.mean()) / x.std()
    third, fourth = (z**3).mean(), (z**4).mean()
    scale = np.diag([x.std(), 1.0])
    expected = scale @ np.array([[1.0, third / 2.0], [third / 2.0, (fourth - 1.0) / 4.0]]) @ scale / 5000
    np.testing.assert_allclose(found.covariance, expected, rtol=1e-10)
    np.testing.assert_allclose(found.inverse_fisher, np.diag([x.var(), 0.5]) / 5000, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found.penalty, 1.0 + (fourth - 1.0) / 2.0, rtol=1e-10)
    likelihood = stats.norm(x.mean(), x.std()).logpdf(x).sum()
    np.testing.assert_allclose(found.tic, -2.0 * likelihood + 2.0 * found.penalty, rtol=1e-12)
    np.testing.assert_allclose(list(found.stderr.values()), np.sqrt(np.diag(expected)), rtol=1e-10)
    assert found.status == status.OK
    variance = moments(weight, 16.0)[0]
    if weight == 0.5:
        assert f"{variance**0.5:.2f}" == "8.06"
    gaps = (params["loc"] - 16.0 * weight, params["log_scale"] - 0.5 * np.log(variance))
    for gap, stderr in zip(gaps, found.stderr.values(), strict=True):
        assert abs(gap) < 3.0 * stderr


def test_the_sandwich_is_the_spread_of_the_estimates():
    """Over samples of a skewed target, whose loc and scale are estimated with correlated errors."""
    num, weight, d, fits = 400, 0.2, 4.0, 3000

    @jax.jit
    @jax.vmap
    def fitted(key):
        of_x, of_mode = jax.random.split(key)
        x = jax.random.normal(of_x, (num,)) + d * jax.random.bernoulli(of_mode, weight, (num,))
        params = MLE(x)
        return jnp.stack([params["loc"], params["log_scale"]]), SANDWICH(log_prob, params, x)

    estimates, found = fitted(jax.random.split(jax.random.key(0), fits))
    estimates = np.asarray(estimates, float)
    away = estimates - estimates.mean(0)
    products = away[:, :, None] * away[:, None, :]
    spread, error = products.mean(0), products.std(0) / fits**0.5
    limit = gaussian_sandwich(weight, d, num)
    mean = np.asarray(found.covariance, float).mean(0)
    bias = 3.0 / num * np.sqrt(np.outer(np.diag(limit), np.diag(limit)))  # of both, O(1/n) of themselves
    assert (np.abs(spread - limit) < 3.5 * error + bias).all()
    assert (np.abs(spread - mean) < 3.5 * error + 2.0 * bias).all()
    assert abs(spread[0, 1]) > 8.0 * error[0, 1]  # Fisher's information has 0 here
    assert (np.asarray(found.status) == status.OK).all()


def test_the_post_s_sigma_is_known_better_than_fisher_says():
    found = study.sampling(jax.random.key(1), 1000, 400)
    np.testing.assert_allclose(np.exp(found.truth[1]), 65.0**0.5, rtol=1e-6)
    assert found.truth[0] == 8.0
    away = (found.estimates - found.estimates.mean(0)) ** 2
    spread, error = away.mean(0), away.std(0) / 400**0.5
    limit = np.diag(gaussian_sandwich(0.5, 16.0, 1000))
    assert (np.abs(spread - limit) < 3.5 * error).all()
    assert spread[1] < 0.04 * found.inverse_fisher[1, 1]
    assert (np.abs(found.covered - 0.95) < 3.5 * (0.95 * 0.05 / 400) ** 0.5).all()
    assert found.covered_fisher[1] == 1.0
    assert (found.status == status.OK).all()


def test_for_a_model_that_holds_the_truth_they_are_equal():
    """Within the errors of third and fourth moments of a normal sample: Var κ̂ = 24/n, Var of skewness = 6/n."""
    num = 20_000
    x = 3.0 + 2.0 * np.random.default_rng(3).normal(size=num)
    found = SANDWICH(log_prob, MLE(x), x)
    unit = np.array([2.0, 1.0])
    gap = num * np.asarray(found.covariance - found.inverse_fisher) / np.outer(unit, unit)
    errors = np.array([[0.0, 6.0**0.5 / 2.0], [6.0**0.5 / 2.0, 24.0**0.5 / 4.0]]) / num**0.5
    assert (np.abs(gap) < 3.5 * errors + 1e-3).all()
    assert abs(found.penalty - 2.0) < 3.5 * (24.0 / num) ** 0.5 / 2.0
    likelihood = LOG_LIKELIHOOD(jax.vmap(log_prob, (None, 0))(MLE(x), x))
    np.testing.assert_allclose(found.tic, 2.0 * (found.penalty - num * likelihood.value), rtol=1e-5)


def test_units_of_the_parameters_do_not_matter():
    """In float32, with parameters 10⁸ and 10⁻⁸ of their natural size: a curvature of condition 10³²."""
    x = np.random.default_rng(4).normal(size=500)
    best = MLE(x)
    units = {"loc": 1e8, "log_scale": 1e-8}

    def rescaled(params, point):
        return log_prob({name: params[name] * units[name] for name in units}, point)

    plain = SANDWICH(log_prob, best, x)
    other = SANDWICH(rescaled, {name: best[name] / units[name] for name in units}, x)
    factors = np.array(list(units.values()))
    for a, b in ((plain.covariance, other.covariance), (plain.inverse_fisher, other.inverse_fisher)):
        np.testing.assert_allclose(np.asarray(b, float) * np.outer(factors, factors), a, rtol=1e-3, atol=1e-7)
    assert other.status == status.OK


def test_where_there_is_no_covariance():
    """Under vmap, beside one that has it: parameters that only count together, a saddle, a point of no density."""
    x = np.random.default_rng(5).normal(size=50)

    def model(params, point):
        a, b, apart = params
        return -0.5 * (point - a - apart * b) ** 2 - 0.5 * (1.0 - apart) * b**2

    params = jnp.array([[x.mean(), 0.0, 0.0], [0.5 * x.mean(), 0.5 * x.mean(), 1.0]])
    found = jax.vmap(lambda row: SANDWICH(lambda p, point: model((*p, row[2]), point), row[:2], x))(params)
    assert found.status.tolist() == [status.OK, status.NON_FINITE]
    assert np.isfinite(found.covariance[0]).all()
    assert np.isnan(found.covariance[1]).all()
    assert np.isnan(found.stderr[1]).all()
    saddle = SANDWICH(lambda p, point: 0.5 * p**2 - point * p, jnp.zeros(()), x - x.mean())
    assert saddle.status == status.NON_FINITE
    of_no_density = SANDWICH(lambda p, point: jnp.log(jnp.maximum(point, 0.0)) - p**2, jnp.ones(()), x)
    assert of_no_density.tic == np.inf


def test_what_rounding_cannot_tell_apart_has_no_covariance_either():
    """Two coefficients of columns that agree to a thousandth: a factor of A that is rounding in float32, in float64
    all of its digits."""
    rng = np.random.default_rng(7)
    columns = 1.0 + 1e-3 * rng.normal(size=(200, 2)) * [0.0, 1.0]
    y = columns @ [1.0, 2.0] + rng.normal(size=200)
    best, *_ = np.linalg.lstsq(columns, y)

    def model(params, point):
        return -0.5 * (point[0] - point[1:] @ params) ** 2

    points = np.column_stack([y, columns])
    parts = points.reshape(20, 10, 3).astype(np.float32)  # each with a pivot of its own, some positive by chance
    found = jax.jit(jax.vmap(lambda part: li.sandwich(model, jnp.asarray(best, jnp.float32), part)))(parts)
    assert (found.status == status.NON_FINITE).all()
    assert np.isnan(found.covariance).all()
    with jax.enable_x64(True):  # noqa: FBT003
        found = SANDWICH(model, jnp.asarray(best), points)
        inverse, residuals = np.linalg.inv(columns.T @ columns), y - columns @ best
        expected = inverse @ (columns.T * residuals**2) @ columns @ inverse  # White (1980)
        np.testing.assert_allclose(found.covariance, expected, rtol=1e-6)
        assert found.status == status.OK


def test_points_left_out_and_parameters_elsewhere():
    """A mask hides even a NaN; what is not the estimate from this sample is said."""
    x = np.random.default_rng(6).normal(size=300)
    params = MLE(x)
    plain = SANDWICH(log_prob, params, x)
    masked = SANDWICH(log_prob, params, jnp.append(x, jnp.nan), jnp.append(jnp.zeros(300), -jnp.inf))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(masked), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8)
    moved = SANDWICH(log_prob, {**params, "loc": params["loc"] + 0.5}, x)
    assert moved.status == status.NOT_CONVERGED
    nothing = SANDWICH(log_prob, params, x, jnp.full(300, -jnp.inf))
    assert nothing.status == status.NON_FINITE


# What it says to what it cannot take, and the figure


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: li.log_likelihood(jnp.zeros((2, 3))), ValueError, r"shape \[n\], n >= 1; got \(2, 3\)"),
        (lambda: li.log_likelihood(jnp.zeros(0)), ValueError, "n >= 1"),
        (lambda: li.log_likelihood(-1.0), ValueError, "n >= 1"),
        (lambda: li.log_likelihood(jnp.zeros(3), jnp.zeros(2)), ValueError, "log_w to be a scalar or"),
        (lambda: li.log_likelihood(dj.targets.two_modes(1.0)), TypeError, "Discretise first"),
        (lambda: li.log_likelihood(jnp.zeros(2, bool)), TypeError, "A mask is log_w"),
        (lambda: li.empirical_kl(jnp.ones(3), jnp.zeros(2)), ValueError, "counts and log_q of equal shapes"),
        (
            lambda: li.predicted_kl(dj.pmf(jnp.zeros(2), jnp.zeros(2), log_w=0.0), num_points=0),
            ValueError,
            "num_points in ",
        ),
        (lambda: li.sandwich(log_prob, {"loc": 0, "log_scale": 0.0}, jnp.zeros(3)), TypeError, "floating-point param"),
        (lambda: li.sandwich(3.0, 1.0, jnp.zeros(3)), TypeError, r"log_prob\(params, point\)"),
        (lambda: li.sandwich(log_prob, {}, jnp.zeros(3)), ValueError, "at least one parameter"),
        (lambda: li.sandwich(log_prob, 0.5, jnp.zeros(0)), ValueError, "n >= 1"),
        (lambda: li.sandwich(lambda p, x: -((x - p) ** 2), 0.5, jnp.zeros((3, 2))), ValueError, "to be a scalar; got"),
        (lambda: study.convergence(jax.random.key(0), (10,)), ValueError, "two or more numbers"),
        (lambda: study.sampling(jax.random.key(0), 1), ValueError, "two points"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_figure():
    """On numbers that are as predicted: nothing is compiled. What it says is there and legible."""
    rng, num = np.random.default_rng(0), np.array([10, 100, 1000])
    rms = 0.707 / num**0.5
    rate = study.Convergence(num, rms, 0.03 * rms, 0.8 * rms, 0.02 * rms, 1.394, 0.707, -0.5, 0.01, 400)
    truth, covariance = np.array([8.0, 0.5 * np.log(65.0)]), gaussian_sandwich(0.5, 16.0, 1000)
    unit = rng.normal(size=(2000, 2))
    estimates = truth + unit / unit.std(0) * np.sqrt(np.diag(covariance))
    fisher = np.diag([65.0, 0.5]) / 1000
    fits = study.Sampling(
        1000, estimates, truth, covariance, fisher, np.full(2, 0.95), np.array([0.95, 1.0]), np.zeros(2000, np.int32)
    )
    figure = likelihood_on_data(rate, fits)
    table = in_words.likelihood(rate, fits)
    assert "KL = 1.39400 nats: slope -0.500 ± 0.010" in table
    assert table.splitlines()[4].split() == ["10", "0.22357", "±", "0.00671", "0.22357"]
    assert f"{(0.5 / 1000) ** 0.5:.5f}" in table  # Fisher's, of log σ
    assert_legible(figure)
    for text in ("5.7 times", "N(8, 8.06²)", "1.394 nats", "slope −0.500 ± 0.010", "95 %", "sandwich"):
        assert text in said(figure), text
    assert "times" not in said(likelihood_on_data(rate, fits._replace(inverse_fisher=covariance)))
