"""The post's other models: topics of documents, factors of ratings, and how unrealistic what they generate is."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from scipy.special import gammaln

import divjax as dj
from divjax.diagnostics.levels import rate_below
from divjax.models import factorisation, topics
from divjax.plots import look
from divjax.studies.topics import plot as figures
from divjax.studies.topics import study
from divjax.studies.topics import table as in_words
from divjax.training.alternating import _solved, alternating
from divjax.training.iteration import run
from divjax.training.topic_em import topic_em
from tests.test_plots import said

TOPICS = np.array([[0.5, 0.3, 0.1, 0.05, 0.05], [0.05, 0.05, 0.1, 0.3, 0.5]])
LENGTHS = np.array([3, 7, 5, 6, 4, 7, 6, 5, 7, 3])


def corpus(seed=0):
    return topics.draw_corpus(jax.random.key(seed), jnp.asarray(TOPICS), np.array([0.3, 0.3]), LENGTHS)


def some_nodes(num=64, k=2):
    return topics.draw_proportions(jax.random.key(5), np.full(k, 0.3), num_draws=num)


def values_of(iteration, case, num):
    """The objective at the start and after each of ``num`` steps."""
    state, step = iteration.init(case), jax.jit(iteration.step)
    values = [float(state.value)]
    for _ in range(num):
        state = step(state, case)
        values.append(float(state.value))
    return np.array(values)


# Levels


def test_a_level_gives_the_rate_of_the_line():
    """Two Gaussians, where the region is an interval and its mass is known."""
    x, y = (np.random.default_rng(i).normal(size=40_000) for i in range(2))
    found = rate_below(stats.norm.logpdf(x), stats.norm.logpdf(2.0 * y + 0.5))
    end = stats.norm.ppf(0.995)  # the region is from −end to end
    expected = stats.norm.cdf(-end, 0.5, 2.0) + stats.norm.sf(end, 0.5, 2.0)
    assert abs(found.rate - expected) < 4.0 * found.stderr < 0.02


def test_the_error_of_a_rate_is_that_of_both_samples():
    """Over 300 pairs, each of few real draws: the level is then most of the error."""
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(300, 400)), 1.5 * rng.normal(size=(300, 4000))
    found = jax.vmap(lambda x, y: rate_below(x, y, mass=0.95))(-jnp.square(real), -jnp.square(generated))
    truth = 2.0 * stats.norm.cdf(stats.norm.ppf(0.025) / 1.5)
    z = (found.rate - truth) / found.stderr
    assert abs(z.mean()) < 0.3
    assert 0.8 < z.std() < 1.25
    alone = jax.vmap(dj.diagnostics.rate_stderr)(found.rate, jnp.full(300, 4000))
    assert (found.stderr > 1.5 * alone).mean() > 0.9


def test_ranks_and_edges_of_levels():
    real = jnp.arange(1.0, 1000.0)  # 999 draws: the level is the tenth
    np.testing.assert_allclose(rate_below(real, jnp.array([9.0, 10.0, -jnp.inf, 11.0])).rate, 0.5)
    traced = jax.jit(lambda mass: rate_below(jnp.arange(1.0, 1000.0), jnp.arange(1.0, 1000.0), mass=mass).rate)
    np.testing.assert_allclose(999.0 * traced(0.99), 9.0, rtol=1e-6)  # rank 10, though 1 − 0.99 rounds below 0.01
    assert np.isnan(rate_below(real, jnp.array([jnp.nan, 1.0]))).all()
    assert rate_below(jnp.zeros(200), jnp.zeros(5)).rate == 0.0  # ties are inside
    for call, message in (
        (lambda: rate_below(real[:50], real), "at least 1"),
        (lambda: rate_below(real, real, mass=1.5), "mass"),
        (lambda: rate_below(real, real[:, None]), r"as \[n\]"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# Topics


def test_a_document_is_as_likely_as_the_sum_over_assignments_says(x64):
    """Every assignment of topics to words, with the Dirichlet integral of each in gamma functions."""
    a, words = np.array([0.4, 0.9]), [0, 4, 4, 2]
    total = 0.0
    for chosen in itertools.product(range(2), repeat=len(words)):
        counts = np.bincount(chosen, minlength=2)
        log_share = gammaln(a.sum()) - gammaln(a.sum() + 4) + np.sum(gammaln(a + counts) - gammaln(a))
        total += np.exp(log_share) * np.prod([TOPICS[z, w] for z, w in zip(chosen, words, strict=True)])
    document = jnp.asarray(np.bincount(words, minlength=5))
    for longest in (4, 6):
        found = topics.exact_log_likelihood(document, jnp.asarray(TOPICS), a, longest=longest)
        np.testing.assert_allclose(found, np.log(total), rtol=1e-12)
    nodes = topics.draw_proportions(jax.random.key(0), a, num_draws=20_000)
    of_nodes = np.exp(topics.node_log_likelihoods(document[None], jnp.asarray(TOPICS), nodes)[0])
    by_nodes = topics.document_log_likelihood(document, jnp.asarray(TOPICS), nodes)
    assert abs(np.exp(by_nodes) - total) < 4.0 * of_nodes.std() / 20_000**0.5


def test_of_one_topic_the_likelihood_is_the_multinomial_and_the_fit_the_frequencies():
    counts = corpus()
    start = topics.random_topics(jax.random.key(1), counts, num_topics=1)
    end = run(topic_em(start, jnp.ones((1, 1))), counts)
    frequencies = np.asarray(counts).sum(0) / np.sum(counts)
    np.testing.assert_allclose(end.topics[0], frequencies, rtol=1e-6)
    np.testing.assert_allclose(end.log_likelihood, np.sum(frequencies * np.log(frequencies)), rtol=1e-6)
    assert end.status == dj.status.OK
    exact = topics.exact_log_likelihood(counts[0], end.topics, np.ones(1), longest=7)
    np.testing.assert_allclose(exact, np.sum(np.asarray(counts[0]) * np.log(frequencies)), rtol=1e-5)


def em_by_hand(counts, of_words, nodes, smoothing):
    """One step in loops over documents, nodes, words and topics."""
    new, total = np.full(of_words.shape, smoothing), 0.0
    for document in counts:
        likelihood = [np.prod([(theta @ of_words[:, v]) ** n for v, n in enumerate(document)]) for theta in nodes]
        total += np.log(np.mean(likelihood))
        for weight, theta in zip(likelihood / np.sum(likelihood), nodes, strict=True):
            for v, n in enumerate(document):
                new[:, v] += n * weight * theta * of_words[:, v] / (theta @ of_words[:, v])
    return total, new / new.sum(1, keepdims=True)


@pytest.mark.parametrize("smoothing", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_em_against_loops(smoothing, x64):
    counts, nodes = np.asarray(corpus()), np.asarray(some_nodes(8))
    start = np.asarray(topics.random_topics(jax.random.key(1), counts, num_topics=2))
    steps = topic_em(jnp.asarray(start), jnp.asarray(nodes), smoothing=smoothing)
    state, expected = steps.init(counts), start
    for _ in range(3):
        log_likelihood, proposal = em_by_hand(counts, expected, nodes, smoothing)
        objective = log_likelihood + smoothing * np.log(expected).sum() if smoothing else log_likelihood
        np.testing.assert_allclose(state.value, objective / counts.sum(), rtol=1e-10)
        np.testing.assert_allclose(state.topics, expected, rtol=1e-9, atol=1e-15)
        state, expected = steps.step(state, counts), proposal


def test_every_step_of_em_raises_the_objective_whatever_it_starts_from():
    counts = corpus()
    for smoothing in (0.0, 0.1):
        start = topics.random_topics(jax.random.key(3), counts, num_topics=3, spread=2.0)
        values = values_of(topic_em(start, some_nodes(64, 3), smoothing=smoothing), counts, 30)
        assert (np.diff(values) > -2e-6).all()
        assert values[-1] > values[0] + 0.05


def test_a_step_of_em_goes_up_the_gradient(x64):
    """At an optimum inside the simplex no direction along it gains: the gradient is the same for all words."""
    counts, nodes = corpus(), some_nodes()
    end = run(
        topic_em(topics.random_topics(jax.random.key(1), counts, num_topics=2), nodes, smoothing=0.5, tol=1e-14), counts
    )

    def objective(of_words):
        one = jax.vmap(topics.document_log_likelihood, (0, None, None))
        return jnp.sum(one(counts, of_words, nodes)) + 0.5 * jnp.sum(jnp.log(of_words))

    gradient = jax.grad(objective)(end.topics)
    np.testing.assert_allclose(gradient, np.broadcast_to(gradient[:, :1], gradient.shape), rtol=1e-4)


def test_words_without_probability():
    of_words = jnp.asarray([[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]])
    possible, impossible = jnp.asarray([3, 1, 0]), jnp.asarray([3, 1, 1])
    nodes = some_nodes(16)
    assert np.isfinite(topics.document_log_likelihood(possible, of_words, nodes))
    assert topics.document_log_likelihood(impossible, of_words, nodes) == -jnp.inf
    assert topics.exact_log_likelihood(impossible, of_words, np.ones(2), longest=5) == -jnp.inf
    end = run(topic_em(of_words, nodes), impossible[None])
    assert end.status == dj.status.NON_FINITE
    assert run(topic_em(of_words, nodes, smoothing=0.1), jnp.asarray([[3, 1, 0]])).topics.min() > 0.0


def test_a_corpus_has_its_lengths_and_its_words():
    lengths = np.tile([1, 4, 9], 1000)
    counts = topics.draw_corpus(jax.random.key(0), jnp.asarray(TOPICS), np.array([0.5, 0.5]), lengths)
    np.testing.assert_array_equal(counts.sum(1), lengths)
    share = np.asarray(counts).sum(0) / lengths.sum()
    assert np.abs(share - TOPICS.mean(0)).max() < 0.02
    left_out = topics.draw_proportions(jax.random.key(0), np.array([0.01, 0.0, 0.01]), num_draws=200)
    np.testing.assert_allclose(left_out.sum(1), 1.0, rtol=1e-6)
    assert (left_out[:, 1] == 0.0).all()


# Ratings


def table(seed=0, share=0.7, num=40):
    profiles = jnp.asarray(np.random.default_rng(1).normal(size=(3, 12)))
    return factorisation.draw_ratings(jax.random.key(seed), profiles, (0.5, 0.3, 0.2), 0.1, num_users=num, share=share)


def test_without_gaps_and_ridge_it_is_the_singular_value_decomposition(x64):
    ratings = np.asarray(table(share=1.0))
    start = factorisation.random_factors(jax.random.key(1), 40, 12, rank=2)
    end = run(alternating(start, tol=1e-13), ratings)
    u, s, v = np.linalg.svd(ratings - ratings.mean())
    expected = ratings.mean() + (u[:, :2] * s[:2]) @ v[:2]
    np.testing.assert_allclose(factorisation.predictions(end.params), expected, atol=1e-5)
    np.testing.assert_allclose(np.exp(2.0 * end.params["log_scale"]), np.sum(s[2:] ** 2) / ratings.size, rtol=1e-8)


def test_one_sweep_against_least_squares_row_by_row(x64):
    ratings, ridge = np.asarray(table()), 0.3
    start = factorisation.random_factors(jax.random.key(1), 40, 12, rank=2)
    steps = alternating(start, ridge=ridge)
    state = steps.step(steps.init(ratings), ratings)

    def by_hand(held, centred):
        rows = []
        for row in centred:
            there = ~np.isnan(row)
            design = np.vstack([held[there], math.sqrt(ridge) * np.eye(2)])
            rows.append(np.linalg.lstsq(design, np.append(row[there], [0.0, 0.0]), rcond=None)[0])
        return np.array(rows)

    centred = ratings - np.nanmean(ratings)
    users = by_hand(np.asarray(start["items"]), centred)
    np.testing.assert_allclose(state.users, users, rtol=1e-8)
    np.testing.assert_allclose(state.items, by_hand(users, centred.T), rtol=1e-8)


def test_it_ends_where_a_gradient_fit_of_the_same_objective_does(x64):
    ratings, ridge = table(), 0.3
    start = factorisation.random_factors(jax.random.key(1), 40, 12, rank=2)
    values = values_of(alternating(start, ridge=ridge), ratings, 30)
    assert (np.diff(values) <= 1e-12).all()
    end = run(alternating(start, ridge=ridge, tol=1e-12), ratings)
    offset, num = jnp.nanmean(ratings), jnp.sum(~jnp.isnan(ratings))

    def loss(factors, case):
        penalty = ridge * sum(jnp.sum(leaf**2) for leaf in factors.values())
        return (factorisation.squared_errors(factors | {"offset": offset}, ratings) + penalty) / num

    found = run(dj.fit(loss, start, optax.lbfgs(), max_steps=500, tol=1e-7))
    np.testing.assert_allclose(end.value, found.value, rtol=1e-6)


def test_ratings_are_as_likely_as_scipy_says():
    ratings = table()
    end = run(alternating(factorisation.random_factors(jax.random.key(1), 40, 12, rank=3)), ratings)
    there = ~np.isnan(ratings)
    scale = float(np.exp(end.params["log_scale"]))
    residuals = np.asarray(ratings - factorisation.predictions(end.params))[there]
    np.testing.assert_allclose(scale, np.sqrt(np.mean(residuals**2)), rtol=1e-4)
    np.testing.assert_allclose(end.log_likelihood, stats.norm.logpdf(residuals, scale=scale).mean(), rtol=1e-4)
    profiles = jnp.asarray([[0.0, 1.0], [2.0, -1.0]])
    expected = np.log(
        0.3 * stats.norm.pdf([0.5, 0.5], [0, 1], 0.4).prod() + 0.7 * stats.norm.pdf([0.5, 0.5], [2, -1], 0.4).prod()
    )
    np.testing.assert_allclose(
        factorisation.row_log_density(jnp.full(2, 0.5), profiles, (0.3, 0.7), 0.4), expected, rtol=1e-5
    )


def test_users_without_ratings_are_predicted_by_the_mean():
    ratings = np.array(table())
    ratings[3], ratings[:, 2] = np.nan, np.nan
    ratings[5, 1:] = np.nan  # one rating for two factors
    end = run(alternating(factorisation.random_factors(jax.random.key(1), 40, 12, rank=2)), ratings)
    assert end.status == dj.status.OK
    means = np.asarray(factorisation.predictions(end.params))
    np.testing.assert_allclose(means[3], np.nanmean(ratings), rtol=1e-5)
    np.testing.assert_allclose(means[:, 2], np.nanmean(ratings), rtol=1e-5)
    assert np.isfinite(means).all()


def test_generated_ratings_have_the_moments_of_the_model():
    users, items = jax.random.normal(jax.random.key(1), (30, 2)) + 1.0, jnp.array([[1.0, 0.0], [1.0, 2.0]])
    model = {"offset": jnp.asarray(3.0), "log_scale": jnp.log(0.5), "users": users, "items": items}
    means = np.asarray(factorisation.predictions(model))
    for generate in (factorisation.generate_ratings, factorisation.generate_new_users):
        rows = np.asarray(generate(jax.random.key(2), model, num_users=20_000))
        np.testing.assert_allclose(rows.mean(0), means.mean(0), atol=0.08)
        np.testing.assert_allclose(np.cov(rows.T, ddof=0), np.cov(means.T, ddof=0) + 0.25 * np.eye(2), rtol=0.06)


# The study


@pytest.mark.slow
def test_rates_fall_with_the_number_of_topics_and_with_the_rank(tmp_path):
    found = study.run((1, 2, 4), 2, 3)
    best = study.likeliest(found)
    assert (best["status"] == 0).all()
    for model, last in ((study.DOCUMENTS, 0.01), (study.RATINGS, 0.035)):
        rate = best["unrealistic"].sel(model=model).transpose("size", "seed").values
        error = best["stderr"].sel(model=model).transpose("size", "seed").values
        steps = rate[:-1] - rate[1:]
        assert (steps > 3.0 * np.hypot(error[:-1], error[1:])).all()
        assert (rate[0] > 0.95).all()
        assert (np.abs(rate[-1] - last) < 4.0 * error[-1]).all()
    new = best["unrealistic_of_new_users"].sel(model=study.RATINGS, size=4)
    assert (new > 0.7).all()  # a Gaussian over users in clusters: no rank mends that
    assert (found["log_likelihood"].sel(size=4) > found["log_likelihood"].sel(size=1)).all()
    assert study.words(best["example_documents"].sel(model=study.DOCUMENTS).values[0, 0, 0])
    look.save(figures.unrealistic(found), tmp_path / "post_models.png")
    assert (tmp_path / "post_models.png").stat().st_size > 10_000
    assert "2 data sets" in said(figures.unrealistic(found.sel(size=[2])))  # one size is a figure too
    rows = [line.split() for line in in_words.topics(found).splitlines()]
    mean = 100.0 * best["unrealistic"].sel(model=study.DOCUMENTS, size=1).mean()
    assert rows[4][:2] == ["1", f"{float(mean):.1f}"]


@pytest.mark.parametrize("make", [study.documents, study.ratings])
def test_of_real_data_one_in_a_hundred_is_outside(make):
    truth = make(3000)
    log_p = jax.jit(lambda key: truth.log_p(truth.draw(key, 2000)))(jax.random.key(1))
    found = rate_below(truth.real, log_p)
    assert abs(found.rate - 0.01) < 4.0 * found.stderr < 0.02


@pytest.mark.slow
def test_the_nodes_of_the_true_documents_are_enough():
    """Against the exact recursion: an error far below the spread of log p over documents."""
    truth, prior = study.documents(100), np.full(4, study.CONCENTRATION, np.float32)
    counts = truth.draw(jax.random.key(2), 50)
    of_words = jnp.asarray(study.true_topics(), jnp.float32)
    exact = jax.jit(
        lambda x: jax.lax.map(lambda one: topics.exact_log_likelihood(one, of_words, prior, longest=study.LENGTH), x)
    )(counts)
    off = np.asarray(truth.log_p(counts)) - np.asarray(exact)
    assert np.sqrt(np.mean(off**2)) < 0.05 * np.std(exact)


def test_the_truth_is_a_distribution():
    np.testing.assert_allclose(study.true_topics().sum(1), 1.0)
    assert study.true_profiles().shape == (4, study.GENRES * study.PER_GENRE)
    assert len(set(study.VOCABULARY)) == study.true_topics().shape[1]


def rated(*, weights=(0.5, 0.5), scale=0.3, share=1.0, num=3):
    return factorisation.draw_ratings(jax.random.key(0), TWO, list(weights), scale, num_users=num, share=share)


EMPTY = np.array([[1, 2], [0, 0], [3, 0]])
TWO = np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: topics.check_corpus(EMPTY), "no empty document; got 1 of 3, the first at 1"),
     (lambda: run(topic_em(TWO, some_nodes()), EMPTY), "no empty document"),
     (lambda: topics.check_corpus([[1, -2]]), "whole numbers >= 0; got -2"),
     (lambda: topics.check_corpus([[1.5, 2.0]]), "whole numbers >= 0; got 1.5"),
     (lambda: topics.check_corpus([[np.nan, 2.0]]), "whole numbers >= 0; got nan"),
     (lambda: topics.check_corpus([1, 2]), "counts"),
     (lambda: topics.random_topics(jax.random.key(0), [[1, 2]], num_topics=0), "num_topics >= 1; got 0"),
     (lambda: topics.draw_corpus(jax.random.key(0), TWO, np.ones(2), np.array([3, 0])), "lengths from 1"),
     (lambda: topics.draw_corpus(jax.random.key(0), TWO, np.ones(2), np.array([3.0])), "whole numbers"),
     (lambda: topics.draw_corpus(jax.random.key(0), TWO, np.array([1.0, -1.0]), np.array([3])), "concentration >= 0"),
     (lambda: topics.draw_corpus(jax.random.key(0), TWO, np.ones(3), np.array([3])), r"concentration \[k\]"),
     (lambda: run(topic_em(TWO, some_nodes(4, 3)), np.array([[1, 2]])), "proportions"),
     (lambda: topic_em(TWO, some_nodes(), smoothing=-1.0), "smoothing"),
     (lambda: run(topic_em(TWO, 3.0 * some_nodes()), np.array([[1, 2]])), "proportions >= 0 with rows that sum to 1"),
     (lambda: run(topic_em(-TWO, some_nodes()), np.array([[1, 2]])), "topics >= 0 with rows that sum to 1"),
     (lambda: topics.draw_corpus(jax.random.key(0), 3.0 * TWO, np.ones(2), [3]), "got a least entry of 1.5"),
     (lambda: topics.draw_proportions(jax.random.key(0), [1.0, -0.1], num_draws=3), "concentration >= 0"),
     (lambda: topics.draw_proportions(jax.random.key(0), 0.1, num_draws=3), r"concentration \[k\]"),
     (lambda: topics.draw_proportions(jax.random.key(0), [0.1], num_draws=-1), "num_draws >= 1; got -1"),
     (lambda: topics.document_log_likelihood(EMPTY, TWO, some_nodes()), "of one document.*jax.vmap for a corpus"),
     (lambda: topics.document_log_likelihood([1, 2], TWO, [[1.0, 0.0, 0.0]]), r"proportions \[s, 2\]"),
     (lambda: topics.exact_log_likelihood(EMPTY[0], TWO, np.ones(2), longest=2), "at most longest = 2 words; got 3"),
     (lambda: topics.exact_log_likelihood(EMPTY[0], TWO, np.ones(3), longest=9), r"concentration \[k\]"),
     (lambda: rated(weights=[-0.5, 1.5]), "weights >= 0"), (lambda: rated(scale=-0.3), "scale in"),
     (lambda: rated(share=2.0), "share in"), (lambda: rated(weights=[1.0]), r"profiles \[c, m\]"),
     (lambda: rated(num=-2), "num_users >= 1; got -2"),
     (lambda: factorisation.generate_ratings(jax.random.key(0), {"users": TWO}, num_users=3),
      "Add offset, items, log_scale"),
     (lambda: run(alternating({"user": TWO}), np.ones((2, 2))), "users, items; got user. Add users, items"),
     (lambda: factorisation.check_ratings(np.full((2, 2), np.nan)), "at least one observed rating; got none"),
     (lambda: factorisation.check_ratings([[1.0, np.inf]]), "finite ratings"),
     (lambda: factorisation.check_ratings([1.0]), "ratings"),
     (lambda: factorisation.random_factors(jax.random.key(0), 3, 3, rank=0), "rank >= 1; got 0"),
     (lambda: run(alternating({"users": TWO, "items": TWO}), np.full((2, 2), np.nan)), "observed rating"),
     (lambda: run(alternating({"users": TWO, "items": TWO}), np.ones((3, 2))), "users"),
     (lambda: alternating({"users": TWO, "items": TWO}, ridge=-1.0), "ridge"),
     (lambda: study.run((0,)), "sizes of whole numbers from 1"),
     (lambda: study.run((1.5,)), "sizes of whole numbers from 1"),
     (lambda: study.run((25,)), "to 24, topics or factors; got 25"),
     (lambda: study.run((2, 3, 2)), "different sizes; got 2, 3, 2"),
     (lambda: study.run(()), "sizes"),
     (lambda: study.run((1,), models=("songs",)), "models")],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: topic_em(TWO, some_nodes(), max_steps=2.5), "max_steps to be a whole number; got 2.5"),
        (lambda: alternating({"users": TWO, "items": TWO}, max_steps=2.5), "max_steps to be a whole number; got 2.5"),
        (lambda: run(alternating(None), np.ones((2, 2))), "a dict with users, items; got NoneType"),
        (
            lambda: topics.random_topics(jax.random.key(0), [[1, 2]], num_topics=2.0),
            "num_topics to be a whole number; got 2.0",
        ),
        (lambda: rated(num=2.0), "num_users to be a whole number; got 2.0"),
    ],
)
def test_what_is_of_another_type(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_lists_are_arrays():
    nodes = [[1.0, 0.0], [0.5, 0.5]]
    value = topics.document_log_likelihood([3, 1], [[0.5, 0.5], [0.9, 0.1]], nodes)
    np.testing.assert_allclose(value, np.log(0.5 * 0.5**4 + 0.5 * 0.7**3 * 0.3), rtol=1e-6)
    assert topics.draw_corpus(jax.random.key(0), [[0.5, 0.5]], [0.1], [2, 3]).sum(1).tolist() == [2, 3]
    assert run(topic_em(TWO, nodes), [[3, 1], [1, 2]]).status == 0


def test_data_must_be_a_function():
    for call in (lambda: topic_em(TWO, TWO, data=EMPTY), lambda: alternating({}, data=EMPTY)):
        with pytest.raises(TypeError, match="Pass a function"):
            call()


def test_what_is_fitted_exactly_has_an_infinite_likelihood():
    found = run(alternating(factorisation.random_factors(jax.random.key(0), 3, 3, rank=1)), jnp.full((3, 3), 4.0))
    assert (float(found.value), float(found.log_likelihood), int(found.status)) == (0.0, np.inf, 0)


def test_undetermined_users_get_the_shortest_factors():
    """Two ratings and 32 factors: of all that fit, numpy's of minimum norm."""
    rng = np.random.default_rng(0)
    items, ratings = rng.normal(size=(40, 32)), np.full((20, 40), np.nan)
    for row in ratings:
        row[rng.choice(40, 2, replace=False)] = rng.normal(size=2)
    found = _solved(jnp.asarray(items, jnp.float32), jnp.asarray(ratings, jnp.float32), 0.0)
    for row, factors in zip(ratings, np.asarray(found), strict=True):
        rated = ~np.isnan(row)
        shortest = np.linalg.lstsq(items[rated], row[rated])[0]
        assert np.linalg.norm(factors - shortest) < 0.02 * np.linalg.norm(shortest)


def test_single_precision_data_stay_so_where_double_is_enabled(x64):
    table = np.array([[1.0, np.nan, 2.0], [np.nan, 3.0, 1.0]], np.float32)
    fit = alternating({"users": np.ones((2, 1), np.float32), "items": np.ones((3, 1), np.float32)})
    assert run(fit, table).value.dtype == jnp.float32
    nodes = np.array([[0.3, 0.7], [0.6, 0.4]], np.float32)
    found = run(topic_em(np.full((2, 3), 1 / 3, np.float32), nodes), np.array([[1, 2, 0], [0, 1, 4]], np.float32))
    assert found.log_likelihood.dtype == jnp.float32
