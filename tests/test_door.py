"""The door: a measure, two distributions or two samples in; what is neither is refused in one line."""

import inspect
import warnings

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.stats as st
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import divergences
from divjax.rows import Row, Table

P, Q = distrax.Logistic(0.3, 0.8), distrax.Normal(0.0, 2.0)
SGD = optax.sgd(0.1)
X, Y = jax.random.normal(jax.random.key(0), (2, 40, 3))


def test_two_distributions_are_measured():
    """Logistic against Gaussian has no closed form of JS; wasserstein, energy and fisher by scipy."""
    p, q = st.logistic(0.3, 0.8), st.norm(0.0, 2.0)

    def js(x):
        m = 0.5 * (p.pdf(x) + q.pdf(x))
        return 0.5 * (p.pdf(x) * np.log(p.pdf(x) / m) + q.pdf(x) * np.log(q.pdf(x) / m))

    def scores(x):
        return p.pdf(x) * (-np.tanh((x - 0.3) / 1.6) / 0.8 + x / 4.0) ** 2

    integral = lambda f, a, b: scipy.integrate.quad(f, a, b, limit=400, epsabs=1e-12)[0]  # noqa: E731
    assert float(dj.jensen_shannon(P, Q)) == pytest.approx(integral(js, -40, 40), rel=1e-5)
    energy = 2.0 * integral(lambda x: (p.cdf(x) - q.cdf(x)) ** 2, -40, 40)
    assert float(dj.energy(P, Q)) == pytest.approx(energy, rel=1e-4)
    squared = integral(lambda u: (p.ppf(u) - q.ppf(u)) ** 2, 1e-12, 1 - 1e-12)
    assert float(dj.wasserstein(P, Q, order=2)) == pytest.approx(squared**0.5, rel=1e-3)
    assert float(dj.fisher(P, Q)) == pytest.approx(integral(scores, -40, 40), rel=1e-5)


def test_a_closed_form_is_taken_where_there_is_one():
    one, other = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0)
    assert float(dj.kl(one, other)) == 0.5
    far = distrax.MultivariateNormalDiag(jnp.zeros(7), jnp.ones(7))
    near = distrax.MultivariateNormalDiag(jnp.ones(7), jnp.ones(7))
    assert float(dj.kl(far, near)) == pytest.approx(3.5)
    assert float(dj.wasserstein(far, near, order=2)) == pytest.approx(7**0.5)
    assert dj.estimate(dj.kl, far, near)[:2] == (3.5, 0.0)
    assert float(dj.mmd2(one, other, kernel=dj.kernels.rbf(1.0))) == pytest.approx(
        float(dj.exact.mmd2(one, other, bandwidth=1.0))
    )


def test_discrete_laws_are_summed():
    p, q = st.binom(10, 0.3), st.poisson(2.0)
    n = np.arange(11)
    truth = np.sum(p.pmf(n) * (p.logpmf(n) - q.logpmf(n)))
    found = dj.estimate(dj.kl, tfp.distributions.Binomial(10, probs=0.3), tfp.distributions.Poisson(2.0))
    assert float(found.value) == pytest.approx(truth, rel=2e-6)
    assert abs(float(found.value) - truth) < 3.0 * float(found.stderr)
    assert int(found.status) == 0


def test_samples_go_through_the_same_door():
    assert float(dj.energy(X, Y)) == pytest.approx(float(divergences.energy_of_samples(X, Y)))
    line = dj.wasserstein(X[:, 0], Y[:, 0])
    assert float(line) == pytest.approx(st.wasserstein_distance(np.asarray(X[:, 0]), np.asarray(Y[:, 0])), rel=1e-5)
    assert np.isfinite(dj.energy(Q, X[:, 0]))


def test_a_batch_is_mapped():
    loc = jnp.arange(3.0)
    found = jax.vmap(dj.kl)(distrax.Normal(loc, jnp.ones(3)), distrax.Normal(jnp.zeros(3), jnp.ones(3)))
    np.testing.assert_allclose(found, 0.5 * loc**2, rtol=1e-6)
    with pytest.raises(ValueError, match=r"unbatched; got batch_shape \(3,\)\. Use jax\.vmap\(dj\.kl\)\(p, q\)"):
        dj.kl(distrax.Normal(loc, 1.0), Q)


def test_gradients_go_through():
    slope = jax.grad(lambda m: dj.jensen_shannon(P, distrax.Normal(m, 2.0), weight=0.3))
    value = lambda m: float(dj.jensen_shannon(P, distrax.Normal(m, 2.0), weight=0.3))  # noqa: E731
    assert float(slope(0.5)) == pytest.approx((value(0.6) - value(0.4)) / 0.2, rel=1e-2)


def test_an_eager_answer_that_is_not_fine_enough_warns():
    """Student's t of hardly more than two degrees of freedom against Gaussian: most of KL is where no node is."""
    pair = tfp.distributions.StudentT(2.001, 0.0, 1.0), distrax.Normal(0.0, 1.0)
    with pytest.warns(dj.AccuracyWarning, match=r"dj\.estimate\(dj\.kl, p, q\)"):
        dj.kl(*pair)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.jit(dj.kl)(*pair)


@pytest.mark.parametrize("divergence", [dj.kl, dj.jensen_shannon, dj.wasserstein, dj.energy])
def test_parameters_that_make_no_distribution_do_not_pass_in_silence(divergence):
    with pytest.warns(dj.AccuracyWarning, match="is nan: look for a scale"):
        assert np.isnan(divergence(distrax.Normal(0.0, -1.0), Q))


REFUSED = {
    "a measure and a distribution": (lambda: dj.kl(dj.pmf(jnp.zeros(1), jnp.zeros(1)), Q), TypeError, "holds both"),
    "the wrong measure": (lambda: dj.kl(dj.coupling(X[:, 0], Y[:, 0])), TypeError, r"Use dj\.quadrature"),
    "one distribution": (lambda: dj.kl(P), TypeError, "Expected two distributions for kl"),
    "samples for densities": (lambda: dj.kl(X, Y), TypeError, r"dj\.pmf\(log_p, log_q\)"),
    "a sample and a distribution": (lambda: dj.renyi(P, X), TypeError, "a distribution and a sample"),
    "points for transport on the line": (lambda: dj.wasserstein(X, Y), ValueError, "sliced_wasserstein"),
    "a class": (lambda: dj.kl(P, distrax.Normal), TypeError, "the class Normal"),
    "a number": (lambda: dj.kl(P, 3.0), TypeError, "got float"),
    "a string": (lambda: dj.wasserstein("p", Q), TypeError, "got str"),
    "nothing": (lambda: dj.kl(None, Q), TypeError, "got NoneType"),
    "another dimension": (
        lambda: dj.kl(P, distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))), ValueError, "equal event shapes"
    ),
    "too many dimensions": (
        lambda: dj.jensen_shannon(*(distrax.MultivariateNormalDiag(m * jnp.ones(5), jnp.ones(5)) for m in (0.0, 1.0))),
        ValueError,
        r"dj\.monte_carlo",
    ),
    "counts and lengths": (lambda: dj.kl(distrax.Bernoulli(probs=0.5), Q), ValueError, "both discrete or both"),
    "a weight outside its domain": (lambda: dj.jensen_shannon(P, Q, weight=2.0), ValueError, "weight"),
}  # fmt: skip


class Bare:
    """Of one's own: the moments are attributes, the draws are ``sample(key, shape)``."""

    mean, variance = 0.5, 1.0

    def log_prob(self, x):
        return jax.scipy.stats.norm.logpdf(x, 0.5)

    def sample(self, key, shape):
        return 0.5 + jax.random.normal(key, shape)


class OfNumpy(Bare):
    def log_prob(self, x):
        return st.norm.logpdf(x, 0.5)


class OneDraw(Bare):
    mean = property()

    def sample(self, key):
        return 0.5 + jax.random.normal(key)


class Registered:
    """To a function that returns no density."""


dj.distributions.register(Registered, lambda bell: (0.0, 1.0))
KEY = jax.random.key(0)
PLANE = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.ones(2))
RBF = dj.kernels.rbf(1.0)
SHORT = dj.Points(X[:, 0], jnp.zeros(5))
REFUSED |= {
    "a parameter of another": (lambda: dj.kl(P, Q, alpha=2.0), TypeError, r"no parameters for kl; got alpha=\. Leave"),
    "a parameter by another name": (
        lambda: dj.wasserstein(P, Q, p=2),
        TypeError,
        r"parameter order.*Did you mean order=",
    ),
    "of samples": (lambda: dj.wasserstein(X[:, 0], Y[:, 0], p=2), TypeError, r"Did you mean order="),
    "of a measure": (lambda: dj.renyi(dj.pmf(X[0], Y[0], log_w=0.0), order=2.0), TypeError, r"Did you mean alpha="),
    "of an estimate": (lambda: dj.estimate(dj.renyi, P, Q, order=2.0), TypeError, r"Did you mean alpha="),
    "of draws": (
        lambda: dj.monte_carlo(KEY, P, Q, num_samples=9),
        TypeError,
        r"num_samples=\. Did you mean num_draws=",
    ),
    "of logits": (lambda: dj.logits.kl(X, Y, T=2.0), TypeError, r"Did you mean temperature="),
    "a parameter by its place": (lambda: dj.renyi(P, Q, 2.0), TypeError, r"Write dj\.renyi\(p, q, alpha=2\.0\)"),
    "an order by its place": (lambda: dj.wasserstein(X[:, 0], Y[:, 0], 2), TypeError, r"\(p, q, order=2\)"),
    "no kernel": (lambda: dj.mmd2(X, Y), TypeError, r"of shape \(40, 3\)\. Write mmd2\(p, q, kernel=dj\.kernels\.rbf"),
    "no key": (
        lambda: dj.monte_carlo(P, Q, num_draws=9),
        TypeError,
        r"A key comes first: write monte_carlo\(jax\.random",
    ),
    "no key for slices": (lambda: dj.sliced_wasserstein(X, Y), TypeError, "A key comes first"),
    "a number as key": (lambda: dj.monte_carlo(0, P, Q, num_draws=9), TypeError, r"got 0\. Make one: jax\.random\.key"),
    "None as key": (lambda: dj.sliced_wasserstein(None, X, Y), TypeError, r"got None\. Make one"),
    "many keys": (lambda: dj.monte_carlo(jax.random.split(KEY), P, Q, num_draws=9), ValueError, r"a batch .* \(2,\)"),
    "a maker of kernels": (
        lambda: dj.mmd2(X, Y, kernel=dj.kernels.rbf),
        TypeError,
        r"makes one\. Write dj\.kernels\.rbf",
    ),
    "no bandwidth": (lambda: dj.kernels.rbf(0.0), ValueError, "Expected bandwidth > 0; got 0"),
    "a bandwidth by name": (lambda: dj.kernels.rbf("median"), TypeError, r"dj\.kernels\.median_distance"),
    "a distribution for a sample": (
        lambda: dj.samples.mmd2_unbiased(X, P, kernel=RBF),
        TypeError,
        "Expected y .* Logistic",
    ),
    "distributions for samples": (lambda: dj.sinkhorn_divergence(P, Q), TypeError, r"distributions use dj\.kl"),
    "distributions for slices": (
        lambda: dj.sliced_wasserstein(KEY, PLANE, PLANE),
        TypeError,
        r"distributions use dj\.kl",
    ),
    "distributions to diagnose": (
        lambda: dj.diagnostics.precision_recall(P, Q),
        TypeError,
        r"distributions use dj\.kl",
    ),
    "distributions for logits": (lambda: dj.logits.kl(P, Q), TypeError, r"distributions use dj\.kl\(p, q\)"),
    "one of each": (lambda: dj.mmd2(P, X, kernel=RBF), TypeError, r"got Logistic and an array of shape \(40, 3\)"),
    "an estimate of samples": (lambda: dj.estimate(dj.energy, X, Y), TypeError, r"Of samples use dj\.wasserstein"),
    "a table of samples": (lambda: dj.table(X, Y), TypeError, r"Of samples use dj\.wasserstein"),
    "a table in a program": (lambda: jax.jit(dj.table)(P, Q), TypeError, r"outside of jax\.jit"),
    "a rate of samples": (lambda: dj.diagnostics.unrealistic_rate(P, X), TypeError, "unrealistic_rate_of_samples"),
    "a rate in the plane": (lambda: dj.diagnostics.unrealistic_rate(PLANE, PLANE), ValueError, "rate_of_samples"),
    "energy in the plane": (lambda: dj.energy(PLANE, PLANE), ValueError, r"draw samples .* dj\.sliced_wasserstein"),
    "orders": (lambda: dj.wasserstein(X[:, 0], Y[:, 0], order=jnp.ones(2)), ValueError, r"Use jax\.vmap over order"),
    "fewer weights than points": (
        lambda: dj.wasserstein(SHORT, Y[:, 0]),
        ValueError,
        "one log-weight for each of the 40",
    ),
    "no points": (lambda: dj.wasserstein(X[:0, 0], Y[:, 0]), ValueError, "Look where its points were lost"),
    "a batch of samples": (
        lambda: dj.samples.neighbour_kl(X[None], Y[None]),
        ValueError,
        r"Use jax\.vmap over batches",
    ),
    "samples on the line": (
        lambda: dj.samples.neighbour_kl(X[:, 0], Y[:, 0]),
        ValueError,
        r"x\[:, None\].*dj\.wasserstein",
    ),
    "no fit": (lambda: dj.run(lambda x: x**2), TypeError, r"got function\. Write dj\.run\(dj\.fit"),
    "a misspelt name": (
        lambda: dj.run(dj.fit(lambda params, case: case["lok"], jnp.zeros(()), SGD), {"loc": 1.0}),
        KeyError,
        r"given \(case: 'loc'\); got 'lok'. Did you mean case\['loc'\]\?",
    ),
    "a number for a case": (
        lambda: dj.run(dj.fit(lambda params, case: case["loc"], jnp.zeros(()), SGD), 1.0),
        TypeError,
        r"got an array of shape \(\)\. Write dj\.run",
    ),
    "no case": (
        lambda: dj.run(dj.fit(lambda params, case: case["loc"], jnp.zeros(()), SGD)),
        TypeError,
        "which reads one; got none",
    ),
    "a loss of one argument": (lambda: dj.fit(abs, jnp.zeros(()), SGD), TypeError, r"loss\(params, case\); got one"),
    "a loss that is a word": (
        lambda: dj.run(dj.fit(lambda params, case: "low", jnp.zeros(()), SGD)),
        TypeError,
        "got a str",
    ),
    "swapped": (lambda: dj.fit({"loc": 0.0}, abs, SGD), TypeError, r"The loss comes first: fit\(loss, init, optimizer"),
    "a key last": (lambda: dj.sliced_wasserstein(X, Y, KEY), TypeError, r"got an array of shape \(40, 3\)\. Make one"),
    "a gradient of two": (
        lambda: dj.estimate_gradient(dj.kl, P, Q),
        TypeError,
        "from parameters .* got Logistic",
    ),
    "a closed form's error": (lambda: dj.estimate(dj.exact.kl, P, Q), TypeError, "closed form exact.kl"),
    "too many values": (lambda: dj.kl(st.zipf(2.5), st.zipf(3.0)), ValueError, "too many.*gradient='score'"),
    "a stretched circle": (lambda: dj.kl(st.vonmises(2.0, 0.0, 2.0), Q), ValueError, "vonmises_line"),
    "a misspelt option": (lambda: dj.sweep({}, None, stor=1), TypeError, "Did you mean store="),
    "a generator of numpy": (lambda: dj.f_divergence(P, Q, f=np.log), TypeError, "Expected f .* got one of numpy"),
    "an axis without a name": (lambda: dj.sweeps.product([1.0]), TypeError, r"Write product\(name=\.\.\.\)"),
    "a summary of cases": (
        lambda: dj.sweeps.summary(dj.sweeps.product(a=[1.0])),
        TypeError,
        r"dj\.sweep returned.*Cases",
    ),
    "in capitals": (lambda: dj.KL, AttributeError, r"Did you mean dj\.kl\?"),
    "a divergence of two sides": (
        lambda: dj.estimate(lambda p, q: dj.kl(p, q), P, Q),
        TypeError,
        "of a measure, such as dj.kl, first",
    ),
    "a generator by its place": (
        lambda: dj.f_divergence(P, Q, jnp.log),
        TypeError,
        r"Write dj\.f_divergence\(p, q, f=\.\.\.\)",
    ),
    "no status": (lambda: dj.explain("kl"), TypeError, r"got str\. Write dj\.explain"),
    "registered to a tuple": (lambda: dj.kl(Registered(), Q), TypeError, "registered for Registered; got tuple"),
    "written with numpy": (lambda: dj.kl(OfNumpy(), Q), TypeError, r"OfNumpy that JAX can trace.*jax\.numpy"),
    "draws of no shape": (lambda: dj.kl(OneDraw(), Q), TypeError, r"got sample\(key\)"),
    "without a cdf": (lambda: dj.wasserstein(Bare(), Q), TypeError, "Give it a cdf"),
    "scipy in a program": (
        lambda: jax.grad(lambda m: dj.kl(st.norm(m), Q))(1.0),
        TypeError,
        r"such as distrax\.Normal",
    ),
    "a density estimate of scipy": (lambda: dj.kl(st.gaussian_kde(X[:, 0]), Q), TypeError, r"dist\.resample"),
    "values of scipy": (lambda: dj.kl(st.rv_discrete(values=([0, 1], [0.5, 0.5])), Q), TypeError, r"Call it, dist\(\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name):
    call, error, match = REFUSED[name]
    with pytest.raises(error, match=match) as raised:
        call()
    assert "\n" not in str(raised.value).split("\n-----")[0]


def test_kl_between_families_keeps_its_digits_in_single_precision():
    """An entropy less a cross-entropy would be -.04 here; KL of Gamma(a, 1) | Normal(a, √a) is 1/(3a) for large a."""
    found = dj.estimate(dj.kl, st.beta(3e4, 1e4), st.norm(0.75, 0.0022))
    np.testing.assert_allclose(found.value, 2.650385e-4, rtol=1e-4)
    assert 0.0 < found.stderr < 1e-6
    np.testing.assert_allclose(dj.kl(st.gamma(1e4), st.norm(1e4, 100.0)), 3.3335e-5, rtol=1e-2)


def test_a_class_of_ones_own_may_be_written_as_in_numpyro():
    assert float(dj.kl(Bare(), distrax.Normal(0.0, 1.0))) == pytest.approx(0.125, rel=1e-5)


def test_categoricals_of_different_lengths_are_laws_over_the_same_numbers():
    short, long = (distrax.Categorical(probs=jnp.ones(n) / n) for n in (2, 3))
    assert float(dj.kl(short, long)) == pytest.approx(np.log(1.5), rel=1e-6)
    assert dj.kl(long, short) == np.inf


def test_tables_of_numbers_are_samples():
    pandas = pytest.importorskip("pandas")
    frames = (pandas.DataFrame(np.asarray(side)) for side in (X, Y))
    assert float(dj.energy(*frames)) == pytest.approx(float(dj.energy(X, Y)), rel=1e-6)


def test_a_table_is_read_by_name():
    table = Table([Row("kl", 0.5, 0.0, "exact", 0), Row("cramer", np.nan, np.nan, "none", 0)])
    assert table["kl"].value == 0.5
    assert "kl" in table
    assert "KL" not in table
    assert table.keys() == ["kl", "cramer"]
    assert repr(table).splitlines()[-1].split() == ["cramer", "nan", "none", "none"]
    with pytest.raises(KeyError, match=r"got 'KL'\. Choose one of kl"):
        table["KL"]
    pytest.importorskip("pandas")
    assert table.to_pandas().loc["kl", "route"] == "exact"


@pytest.mark.slow
def test_the_table_has_every_divergence():
    found = dj.table(P, Q)
    assert [row.name for row in found] == [entry.name for entry in dj.catalog.ENTRIES]
    assert found["kl"].value == pytest.approx(float(dj.kl(P, Q)), rel=1e-6)
    assert {row.route for row in found} <= {"exact", "quadrature", "coupling", "cdfs"}
    lines = repr(found).splitlines()
    assert len(lines) == len(found) + 2
    assert lines[0].split() == ["divergence", "value", "±", "route", "status"]


def test_what_a_user_sees_is_what_a_user_may_call():
    names = dir(dj)
    assert {"kl", "exact", "samples", "score_matching", "logits", "catalog", "plots", "table", "pmf"} <= set(names)
    assert len(names) <= 69
    assert not {"door", "measures", "checks", "numerics", "importlib", "jax"} & set(names)
    assert all(hasattr(dj, name) for name in names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dj.kl(P), "got Logistic. Write dj.kl"),
        (lambda: dj.renyi(P, P, 0.5), "its parameters by name; got Logistic, Logistic, float"),
        (lambda: dj.kl(p=P, q=P), "by their place.*got p=, q="),
        (lambda: dj.estimate("kl", P, P), "Expected a divergence such as dj.kl first; got str"),
        (lambda: dj.estimate(P, P, dj.kl), "Expected a divergence such as dj.kl first; got Logistic"),
        (lambda: dj.kl(scipy.stats.norm, P), "got norm_gen. Freeze it"),
    ],
)
def test_a_call_that_is_put_wrongly_has_one_line(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_transport_between_counts_and_other_laws():
    """Σ|P − Q| of two Poisson laws is the difference of their means; a discrete law beside a continuous one, too."""
    p, q, gamma = tfp.distributions.Poisson(3.0), tfp.distributions.Poisson(4.5), distrax.Gamma(9.0, 3.0)
    assert float(dj.wasserstein(p, q)) == pytest.approx(1.5, rel=1e-5)
    n = np.arange(60)
    gap = st.poisson(3.0).cdf(n) - st.poisson(4.5).cdf(n)
    assert float(dj.energy(p, q)) == pytest.approx(2.0 * np.sum(gap**2), rel=1e-5)
    slope = jax.grad(lambda rate: dj.energy(tfp.distributions.Poisson(rate), q))(3.0)
    assert float(slope) == pytest.approx(-4.0 * np.sum(gap * st.poisson(3.0).pmf(n)), rel=1e-4)
    u = (np.arange(2 * 10**5) + 0.5) / 2e5
    truth = np.mean(np.abs(st.poisson(3.0).ppf(u) - st.gamma(9.0, scale=1.0 / 3.0).ppf(u)))
    assert float(dj.wasserstein(p, gamma)) == pytest.approx(truth, rel=2e-5)
    with pytest.raises(ValueError, match="both discrete or both continuous"):
        dj.kl(p, gamma)


def test_a_name_from_elsewhere_is_pointed_to_ours():
    with pytest.raises(AttributeError, match=r"no attribute 'js'. Did you mean dj.jensen_shannon"):
        _ = dj.js
    with pytest.raises(AttributeError, match=r"Did you mean dj.wasserstein"):
        _ = dj.wassertein
    with pytest.raises(AttributeError, match=r"Did you mean rbf"):
        _ = dj.kernels.gaussian
    with pytest.raises(AttributeError, match=r"Did you mean dj.jensen_shannon"):
        _ = dj.exact.jensen_shannon


@pytest.mark.parametrize(
    ("divergence", "name", "outside"), [(dj.renyi, "alpha", -0.5), (dj.jensen_shannon, "weight", 1.5)]
)
def test_a_traced_parameter_outside_of_its_domain_is_nan(divergence, name, outside):
    nodes = dj.pmf(jnp.log(jnp.array([0.3, 0.7])), jnp.log(jnp.array([0.6, 0.4])))
    at = jax.jit(lambda value: divergence(nodes, **{name: value}))
    assert np.isnan(at(outside))
    assert float(at(0.3)) == pytest.approx(float(divergence(nodes, **{name: 0.3})))


def test_signatures_and_docstrings_say_what_may_be_called():
    assert list(inspect.signature(dj.renyi).parameters) == ["p", "q", "alpha"]
    assert inspect.signature(dj.kl).bind(P, Q)
    assert (
        "``energy(p, q)``: of two distributions of any known library, two samples, or one of each" in dj.energy.__doc__
    )
    assert "``kl(measure)``: of Nodes" in dj.kl.__doc__


def test_combined_divergences_take_distributions():
    one, other = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 2.0)
    assert float(dj.symmetrize(dj.kl)(one, other)) == pytest.approx(float(dj.jeffreys(one, other)), rel=1e-5)
    assert float(dj.reverse(dj.kl)(one, other)) == pytest.approx(float(dj.kl(other, one)), rel=1e-5)
    assert float(dj.jensen(dj.kl)(one, other)) == pytest.approx(float(dj.jensen_shannon(one, other)), rel=1e-5)


def test_log_probabilities_without_mass_1_are_warned_of():
    half = jnp.log(jnp.array([0.5, 0.5]))
    for wrong in (jnp.array([0.25, 0.75]), half - 1.0, jnp.stack([half, half])):
        with pytest.warns(dj.AccuracyWarning, match=r"mass 1; got .* give log_w"):
            dj.pmf(wrong, jnp.broadcast_to(half, wrong.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dj.pmf(half, half)
        dj.pmf(half - 1.0, half, log_w=0.0)


def test_every_line_that_makes_a_nan_is_warned_of():
    with pytest.warns(dj.AccuracyWarning, match="is nan") as told:
        dj.kl(distrax.Normal(0.0, -1.0), distrax.Normal(0.0, 1.0))
    assert told[0].filename == __file__
