"""Families on the integers and of vectors against scipy and mpmath: log-densities, tails, draws, what carries mass."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st

from divjax.distributions import counts, density, finite, vectors, zeros
from divjax.distributions.source import source

log_prob, tails = jax.jit(density.log_prob), jax.jit(density.tails)


@jax.jit
@jax.grad
def slopes(p, x):
    """Of the sum of the log-densities that are finite, in every parameter: a NaN anywhere makes it one."""
    log = density.log_prob(p, x)
    return jnp.sum(jnp.where(jnp.isfinite(log), log, 0.0))


@jax.jit
def draws_of(p, key, z):
    return source(p).image(key, jnp.zeros(z.shape[0], int), z)


COUNTS = {
    "poisson": (lambda: counts.POISSON(2.5), st.poisson(2.5)),
    "poisson log rate": (lambda: counts.POISSON(log_rate=np.log(300.0)), st.poisson(300.0)),
    "geometric": (lambda: counts.GEOMETRIC(0.3), st.geom(0.3, loc=-1)),
    "geometric logit": (lambda: counts.GEOMETRIC(logit=-2.0), st.geom(1 / (1 + np.exp(2.0)), loc=-1)),
    "negative binomial": (lambda: counts.NEGATIVE_BINOMIAL(3.5, failure=0.8), st.nbinom(3.5, 0.2)),
    "negative binomial many": (lambda: counts.NEGATIVE_BINOMIAL(250.0, 0.6), st.nbinom(250.0, 0.6)),
    "bernoulli": (lambda: finite.BERNOULLI(probs=0.3), st.bernoulli(0.3)),
    "bernoulli logit": (lambda: finite.BERNOULLI(logits=1.5), st.bernoulli(1 / (1 + np.exp(-1.5)))),
    "binomial": (lambda: finite.BINOMIAL(9, 0.3), st.binom(9, 0.3)),
    "binomial logit": (lambda: finite.BINOMIAL(400, logits=1.5), st.binom(400, 1 / (1 + np.exp(-1.5)))),
    "beta binomial": (lambda: finite.BETA_BINOMIAL(12, 0.7, 2.5), st.betabinom(12, 0.7, 2.5)),
    "beta binomial large": (lambda: finite.BETA_BINOMIAL(300, 150.0, 40.0), st.betabinom(300, 150.0, 40.0)),
    "discrete uniform": (lambda: finite.DISCRETE_UNIFORM(-2.0, 5.0), st.randint(-2, 6)),
    "categorical": (
        lambda: finite.CATEGORICAL(probs=jnp.array([0.5, 0.0, 1.5])),
        st.rv_discrete(values=([0, 1, 2], [0.25, 0.0, 0.75])),
    ),
    "categorical logits": (
        lambda: finite.CATEGORICAL(logits=jnp.log(jnp.array([0.5, 1.0, 1.5]))),
        st.rv_discrete(values=([0, 1, 2], [1 / 6, 1 / 3, 1 / 2])),
    ),
}
OUTSIDE = np.array([-3.0, -1.0, 0.5, np.inf, -np.inf, np.nan])
GIVEN = pytest.mark.parametrize("name", COUNTS)


def carried(p):
    return np.asarray(p.family.grid(p.params))


@GIVEN
@pytest.mark.usefixtures("x64")
def test_masses_and_tails(name):
    build, law = COUNTS[name]
    p, x = build(), carried(build())
    expected = law.logpmf(x)
    got = log_prob(p, jnp.asarray(x))
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)
    assert not np.any(np.isnan(got))
    np.testing.assert_array_equal(got, log_prob(p, jnp.asarray(x, float)))
    np.testing.assert_allclose(np.sum(np.exp(got)), 1.0, rtol=1e-11)
    np.testing.assert_array_equal(
        log_prob(p, jnp.asarray(OUTSIDE if name != "discrete uniform" else OUTSIDE[2:])), -np.inf
    )
    if p.family.tails is not None:
        below, above = tails(p, jnp.asarray(np.append(x, x[:-1] + 0.5)))
        at = np.append(x, x[:-1])
        np.testing.assert_allclose(below, law.cdf(at), rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(above, law.sf(at), rtol=1e-9, atol=1e-14)
        np.testing.assert_array_equal(tails(p, jnp.asarray([-5.5, 1e6])), [[0.0, 1.0], [1.0, 0.0]])


@GIVEN
def test_gradients_are_finite(name):
    """In every parameter, at all that carries mass and at what does not."""
    p = COUNTS[name][0]()
    x = jnp.asarray(np.concatenate([carried(p), OUTSIDE[:3]]), jnp.float32)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes(p, x)))


@GIVEN
def test_draws(name):
    """Frequencies of 20000 draws, within five standard errors of the distribution function."""
    build, law = COUNTS[name]
    drawn = source(build())
    z = jnp.zeros((20000, drawn.dim))
    x = np.asarray(draws_of(build(), jax.random.key(1), z))
    assert x.shape == (20000,)
    assert not drawn.pathwise
    for level in (0.1, 0.5, 0.9):
        at = law.ppf(level)
        assert abs(np.mean(x <= at) - law.cdf(at)) < 5 * np.sqrt(0.25 / 20000)


def exact_log_mass(name, *t):
    """At 40 digits."""
    mp.mp.dps = 40
    x, *rest = map(mp.mpf, t)
    choose = lambda n, x: mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)  # noqa: E731
    if name == "poisson":
        (rate,) = rest
        return x * mp.log(rate) - rate - mp.loggamma(x + 1)
    if name == "binomial":
        n, p = rest
        return choose(n, x) + x * mp.log(p) + (n - x) * mp.log1p(-p)
    if name == "negative binomial":
        r, f = rest
        return choose(x + r - 1, x) + r * mp.log1p(-f) + x * mp.log(f)
    n, a, b = rest
    log_beta = lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)  # noqa: E731
    return choose(n, x) + log_beta(x + a, n - x + b) - log_beta(a, b)


LARGE = [
    ("poisson", counts.POISSON, (1e6,), (1e6, 1002000.0, 990000.0)),
    ("poisson", counts.POISSON, (1e-30,), (0.0, 1.0, 3.0)),
    ("binomial", finite.BINOMIAL, (1e6, 0.25), (250000.0, 251000.0, 0.0, 1e6)),
    ("binomial", finite.BINOMIAL, (100.0, 1e-30), (0.0, 1.0, 100.0)),
    ("negative binomial", lambda r, f: counts.NEGATIVE_BINOMIAL(r, failure=f), (2e5, 0.5), (2e5, 201000.0, 0.0)),
    ("negative binomial", lambda r, f: counts.NEGATIVE_BINOMIAL(r, failure=f), (1e-3, 0.5), (0.0, 1.0, 30.0)),
    ("beta binomial", finite.BETA_BINOMIAL, (1e5, 2e5, 3e5), (40000.0, 41000.0, 0.0)),
    ("beta binomial", finite.BETA_BINOMIAL, (1e5, 1e-3, 1e4), (0.0, 1.0, 1000.0)),
]


@pytest.mark.parametrize(("name", "record", "parameters", "x"), LARGE)
def test_large_counts_in_float32(name, record, parameters, x):
    """log 10⁶! is 10⁷, of which float32 keeps seven digits: none is to be seen in the mass."""
    parameters = [float(np.float32(t)) for t in parameters]
    got = log_prob(record(*parameters), jnp.asarray(x, jnp.float32))
    expected = [float(exact_log_mass(name, x, *parameters)) for x in x]
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-4)


def test_certain_events():
    """Probabilities 0 and 1: logarithms −inf, nothing NaN."""
    assert log_prob(finite.BINOMIAL(5, 1.0), jnp.array([5, 4])).tolist() == [0.0, -np.inf]
    assert log_prob(finite.BINOMIAL(5, 0.0), jnp.array([0, 4])).tolist() == [0.0, -np.inf]
    assert log_prob(counts.GEOMETRIC(1.0), jnp.array([0, 1])).tolist() == [0.0, -np.inf]
    assert log_prob(counts.NEGATIVE_BINOMIAL(2.0, 1.0), jnp.array([0, 1])).tolist() == [0.0, -np.inf]
    assert log_prob(counts.POISSON(0.0), jnp.array([0, 1])).tolist() == [0.0, -np.inf]
    gradients = jax.grad(lambda p: finite.BINOMIAL(5, p).family.log_prob(finite.BINOMIAL(5, p).params, 5.0))(1.0)
    assert np.isfinite(gradients)


def test_zero_inflated():
    p = zeros.zero_inflated(counts.POISSON(2.0), 0.25)
    x = np.arange(8)
    expected = 0.75 * st.poisson(2.0).pmf(x) + 0.25 * (x == 0)
    np.testing.assert_allclose(np.exp(log_prob(p, jnp.asarray(x))), expected, rtol=1e-5)
    below, above = tails(p, jnp.asarray(x))
    np.testing.assert_allclose(below, np.cumsum(expected), rtol=1e-5)
    np.testing.assert_allclose(above, 1 - np.cumsum(expected), rtol=1e-3)
    by_logits = zeros.zero_inflated(counts.POISSON(2.0), logits=np.log(1 / 3))
    np.testing.assert_allclose(log_prob(by_logits, jnp.asarray(x)), log_prob(p, jnp.asarray(x)), rtol=1e-5)
    draws = p.family.draw(jax.random.key(0), p.params, (20000,))
    assert abs(np.mean(draws == 0) - expected[0]) < 0.02
    assert zeros.zero_inflated(counts.POISSON(jnp.ones(3)), 0.5).batch_shape == (3,)


@pytest.mark.parametrize("rate", [1e-3, 2.0, 30.0])
def test_hurdle(rate):
    """Of rates at which almost all of the base is 0, and almost nothing."""
    p, x = zeros.hurdle(counts.POISSON(rate), 0.25), np.arange(80)
    rest = st.poisson(rate).pmf(x[1:]) / -np.expm1(-rate)
    expected = np.concatenate([[0.25], 0.75 * rest])
    np.testing.assert_allclose(np.exp(log_prob(p, jnp.asarray(x)))[:12], expected[:12], rtol=2e-5)
    below, above = tails(p, jnp.asarray(x))
    np.testing.assert_allclose(below, np.cumsum(expected), rtol=1e-5)
    np.testing.assert_allclose(above, 1 - np.cumsum(expected), rtol=2e-5, atol=1e-6)
    draws = p.family.draw(jax.random.key(0), p.params, (20000,))
    assert abs(np.mean(draws == 0) - 0.25) < 4 * 0.0031
    mean = 0.75 * rate / -np.expm1(-rate)  # E X² = mean (1 + rate)
    assert abs(np.mean(draws) - mean) < 4 * np.sqrt((mean * (1 + rate) - mean**2) / 20000)
    got = jax.grad(lambda t: log_prob(zeros.hurdle(counts.POISSON(t), 0.25), jnp.asarray(3.0)))(rate)
    np.testing.assert_allclose(got, 3 / rate - 1 - 1 / np.expm1(rate), rtol=1e-4)


def test_what_carries_the_mass_of_a_batch():
    """One list for all members; none while tracing where the end is not known."""
    p = counts.POISSON(jnp.array([0.1, 50.0]))
    x = carried(p)
    assert x[0] == 0
    for rate in (0.1, 50.0):
        assert st.poisson(rate).sf(x[-1]) < 1e-12
    assert len(carried(counts.POISSON(1e6))) < 20000
    assert counts.GEOMETRIC(1e-7).family.grid(counts.GEOMETRIC(1e-7).params) is None
    jax.jit(lambda rate: not_known(counts.POISSON(rate)))(1.0)
    jax.jit(lambda probs: np.testing.assert_array_equal(carried(finite.BINOMIAL(3, probs)), np.arange(4)))(0.5)
    jax.grad(lambda rate: rate * len(carried(counts.POISSON(rate))))(1.0)


def not_known(p):
    assert p.family.grid(p.params) is None


def test_batches_of_counts():
    """Parameters with axes in front broadcast against x, as in ``jax.vmap``."""
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    p, x = finite.CATEGORICAL(logits=logits), jnp.array([[0, 1, 2, 1], [2, 2, 0, 0]])
    expected = jax.vmap(jax.vmap(log_prob), (None, 0))(p, x)
    np.testing.assert_allclose(log_prob(p, x), expected, rtol=1e-6)
    q = finite.ONE_HOT(logits=logits)
    np.testing.assert_allclose(log_prob(q, jax.nn.one_hot(x, 3)), expected, rtol=1e-6)
    assert (p.batch_shape, p.event_shape, q.batch_shape, q.event_shape) == ((4,), (), (4,), (3,))
    assert p.family.draw(jax.random.key(0), p.params, (5,)).shape == (5, 4)
    assert q.family.draw(jax.random.key(0), q.params, (5,)).shape == (5, 4, 3)


@pytest.mark.usefixtures("x64")
def test_multinomial_and_one_hot():
    probs = np.array([0.2, 0.5, 0.3])
    p, law = finite.MULTINOMIAL(7, probs=2.0 * probs), st.multinomial(7, probs)
    x = np.array([[1, 4, 2], [7, 0, 0], [0, 3, 4]])
    np.testing.assert_allclose(log_prob(p, jnp.asarray(x)), law.logpmf(x), rtol=1e-12)
    bad = jnp.array([[1, 4, 3], [-1, 4, 4], [1.5, 3.5, 2.0]])
    np.testing.assert_array_equal(log_prob(p, bad), -np.inf)
    draws = p.family.draw(jax.random.key(0), p.params, (4000,))
    assert draws.shape == (4000, 3)
    np.testing.assert_array_equal(draws.sum(1), 7)
    np.testing.assert_allclose(draws.mean(0), 7 * probs, atol=0.15)
    one = finite.ONE_HOT(probs=probs)
    np.testing.assert_allclose(log_prob(one, jnp.asarray(carried(one))), np.log(probs), rtol=1e-12)
    assert log_prob(one, jnp.array([1.0, 1.0, 0.0])) == -np.inf


# --- Vectors -----------------------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
LOC, FACTOR = RNG.normal(size=3), np.tril(0.4 * RNG.normal(size=(3, 3)), -1) + np.diag([0.5, 1.0, 2.0])
COVARIANCE = FACTOR @ FACTOR.T
WIDE, DIAG = RNG.normal(size=(3, 2)), np.array([0.3, 1.0, 0.6])
POINTS = RNG.normal(size=(2, 5, 3)) * 2.0
SIMPLEX = RNG.dirichlet(np.ones(3), size=(2, 5))
VECTORS = {
    "normal": (lambda: vectors.MULTIVARIATE_NORMAL(LOC, FACTOR), st.multivariate_normal(LOC, COVARIANCE)),
    "covariance": (lambda: vectors.from_covariance(LOC, COVARIANCE), st.multivariate_normal(LOC, COVARIANCE)),
    "precision": (
        lambda: vectors.from_precision(LOC, np.linalg.inv(COVARIANCE)),
        st.multivariate_normal(LOC, COVARIANCE),
    ),
    "diagonal": (
        lambda: vectors.multivariate_normal_diag(LOC, DIAG),
        st.multivariate_normal(LOC, np.diag(DIAG**2)),
    ),
    "low rank": (
        lambda: vectors.LOW_RANK_NORMAL(LOC, WIDE, DIAG),
        st.multivariate_normal(LOC, WIDE @ WIDE.T + np.diag(DIAG)),
    ),
    "student t": (lambda: vectors.MULTIVARIATE_STUDENT_T(4.5, LOC, FACTOR), st.multivariate_t(LOC, COVARIANCE, 4.5)),
    "dirichlet": (lambda: vectors.DIRICHLET(np.array([0.5, 2.0, 30.0])), st.dirichlet([0.5, 2.0, 30.0])),
}
OF_VECTORS = pytest.mark.parametrize("name", VECTORS)


def points_of(name):
    return SIMPLEX if name == "dirichlet" else POINTS


def density_of(name, law, x):
    if name != "dirichlet":
        return law.logpdf(x)
    return np.apply_along_axis(law.logpdf, -1, x)


@OF_VECTORS
@pytest.mark.usefixtures("x64")
def test_densities_of_vectors(name):
    build, law = VECTORS[name]
    p, x = build(), points_of(name)
    np.testing.assert_allclose(log_prob(p, jnp.asarray(x)), density_of(name, law, x), rtol=1e-11)
    assert (p.event_shape, p.batch_shape) == ((3,), ())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes(p, jnp.asarray(x))))


@OF_VECTORS
def test_batches_of_vectors(name):
    """Members along axes in front: a point each, and many points each."""
    p, x = VECTORS[name][0](), jnp.asarray(points_of(name), jnp.float32)
    members = jax.tree.map(lambda leaf: jnp.stack([leaf, 1.1 * leaf, 0.9 * leaf, leaf, leaf]), p)
    assert members.batch_shape == (5,)
    expected = jax.jit(jax.vmap(jax.vmap(log_prob), (None, 0)))(members, x)
    np.testing.assert_allclose(log_prob(members, x), expected, rtol=1e-5, atol=1e-5)


@OF_VECTORS
def test_draws_of_vectors(name):
    """Means and covariances, and one draw of each of many members."""
    build, law = VECTORS[name]
    p = build()
    drawn = source(p)
    key, num = jax.random.key(2), 40000
    z = jax.random.normal(jax.random.key(5), (num, drawn.dim))
    x = np.asarray(draws_of(p, key, z))
    assert x.shape == (num, 3)
    assert drawn.pathwise
    if name == "student t":
        mean, covariance = LOC, COVARIANCE * 4.5 / 2.5
    else:
        mean, covariance = (law.mean(), law.cov()) if name == "dirichlet" else (law.mean, law.cov)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.25 if name == "student t" else 0.1)
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (7, *leaf.shape)), p)
    assert draws_of(many, key, z[:7]).shape == (7, 3)


def test_draws_move_with_the_parameters():
    """The mean of x·1 along the factor: pathwise derivatives through the χ² variable and the gamma variables."""

    def mean(df):
        p = vectors.MULTIVARIATE_STUDENT_T(df, jnp.zeros(2), jnp.eye(2))
        return jnp.mean(p.family.draw(jax.random.key(0), p.params, (40000,))[:, 0] ** 2)

    # E x² = df/(df − 2), whose derivative is −2/(df − 2)²
    np.testing.assert_allclose(jax.grad(mean)(9.0), -2 / 49, rtol=0.3)


def test_far_points_in_float32():
    """Squares that overflow: no NaN, a Gaussian far down, a power tail that goes on."""
    x = jnp.full((3,), 1e25, jnp.float32)
    normal, student = VECTORS["normal"][0](), VECTORS["student t"][0]()
    for p in (normal, student):
        value, slopes = jax.value_and_grad(log_prob)(jax.tree.map(jnp.float32, p), x)
        assert np.isfinite(value)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
    expected = st.multivariate_t(LOC, COVARIANCE, 4.5).logpdf(np.full(3, 1e25))
    np.testing.assert_allclose(log_prob(student, x), expected, rtol=1e-5)


def test_large_parameters_in_float32():
    """Degrees of freedom and concentrations whose log Γ would cancel."""
    p = vectors.MULTIVARIATE_STUDENT_T(1e7, jnp.zeros(3), jnp.eye(3))
    x = jnp.asarray(POINTS, jnp.float32)
    np.testing.assert_allclose(log_prob(p, x), st.multivariate_normal(np.zeros(3), np.eye(3)).logpdf(x), rtol=1e-5)
    a, y = [1e6, 2e6, 5e6], np.float32([[0.125, 0.25, 0.625], [0.12506103515625, 0.25, 0.62493896484375]])
    mp.mp.dps = 40
    log_beta = sum(mp.loggamma(t) for t in a) - mp.loggamma(sum(a))
    expected = [float(sum((t - 1) * mp.log(float(s)) for t, s in zip(a, point, strict=True)) - log_beta) for point in y]
    np.testing.assert_allclose(log_prob(vectors.DIRICHLET(jnp.asarray(a)), jnp.asarray(y)), expected, rtol=2e-5)


def test_off_the_simplex():
    p = vectors.DIRICHLET(jnp.array([2.0, 3.0]))
    assert log_prob(p, jnp.array([-0.5, 1.5])) == -np.inf
    slope = jax.grad(log_prob, 1)(p, jnp.array([0.25, 0.75]))
    np.testing.assert_allclose(slope, [1 / 0.25, 2 / 0.75], rtol=1e-5)


def test_factors_of_one_covariance():
    factor = FACTOR * np.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(vectors.positive_diagonal(jnp.asarray(factor)), FACTOR, rtol=1e-6)
