"""What divjax compare finds: verdicts on real images and in the plane, and their parts."""

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits, load_iris

from divjax import diagnostics
from divjax.compare import checks, scaling
from divjax.compare import judge as compare
from tests.marks import cases


def digits(kind, seed):
    """A random half of scikit-learn's digits, and a generator's samples of the kind."""
    data = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.data))[:1796]
    real, other = data.data[order[:898]], data.data[order[898:]]
    if kind == "real":
        return real, other
    if kind == "gaussian":
        return real, rng.multivariate_normal(real.mean(axis=0), np.cov(real.T, bias=True), 898)
    if kind == "one class":
        return real, other[data.target[order[898:]] == seed][:75]
    copies = real[rng.choice(898, 898)]
    return real, copies if kind == "copies" else copies + 0.05 * rng.normal(size=copies.shape)


RIGHT = {
    "real": lambda verdict: verdict == ("indistinguishable",),
    "gaussian": lambda verdict: "unrealistic" in verdict and not {"indistinguishable", "memorised"} & set(verdict),
    "one class": lambda verdict: verdict == ("mode_dropping",),
    "copies": lambda verdict: verdict == ("memorised",),
    "noisy copies": lambda verdict: verdict == ("memorised",),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", cases([0, 1, 2], exhaustive=[1, 2]))
@pytest.mark.parametrize("kind", RIGHT)
def test_the_verdict_on_digits(kind, seed):
    found = compare.compare(seed, *digits(kind, seed), image=(8, 8))
    assert RIGHT[kind](found.verdict), (found.verdict, found.reasons)


@pytest.mark.slow
def test_training_rows_of_their_own_show_what_the_held_out_rows_cannot():
    train, held_out = digits("real", 3)
    copies = np.random.default_rng(0).permutation(train)
    assert "memorised" in compare.compare(0, held_out, copies, train=train).verdict
    assert compare.compare(0, held_out, copies).verdict == ("indistinguishable",)


@pytest.fixture(scope="module")
def judge():
    """The verdict on small samples in the plane; sizes are the same so that one compilation serves all."""
    rng = np.random.default_rng(0)
    centers = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0]])

    def draw(modes, n=400):
        return centers[rng.choice(modes, n)] + rng.normal(size=(n, 2))

    return draw, lambda generated: compare.compare(0, draw([0, 1, 2, 3]), generated).verdict


@pytest.mark.slow
def test_the_verdict_in_the_plane(judge):
    draw, verdict = judge
    real = draw([0, 1, 2, 3])
    assert verdict(draw([0, 1, 2, 3])) == ("indistinguishable",)
    assert verdict(draw([0, 1, 3])) == ("mode_dropping",)
    gaussian = np.random.default_rng(1).multivariate_normal(real.mean(axis=0), np.cov(real.T), 400)
    assert "unrealistic" in verdict(gaussian)
    assert set(verdict(draw([0]) + np.array([40.0, 0.0]))) >= {"unrealistic", "mode_dropping"}


@pytest.mark.slow
def test_no_finding_where_there_is_none():
    """The checks' p-values under the null: at most as often below a level as it says."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        reference, held_out, generated = rng.normal(size=(3, 60, 3))
        p_values.append(
            [
                checks.distance_to_data(reference, held_out, generated)[0].p_value,
                checks.missing_mass(reference, held_out, generated, rng, 199)[0].p_value,
                checks.covered(reference, held_out, generated, rng, 199).p_value,
                checks.copies(np.concatenate([reference, held_out]), None, generated)[0].p_value,
            ]
        )
    for level in (0.05, 0.2):
        assert np.all(np.mean(np.array(p_values) <= level, axis=0) <= stats.binom.ppf(0.9999, 200, level) / 200)


def test_fisher_is_scipys():
    for hits, num, other, size in ((5, 20, 1, 30), (0, 10, 3, 10), (10, 10, 0, 12), (0, 5, 0, 5), (300, 900, 4, 450)):
        table = [[hits, num - hits], [other, size - other]]
        assert checks.fisher(hits, num, other, size) == pytest.approx(stats.fisher_exact(table, "greater").pvalue)


def test_copies_are_found_and_rows_of_the_same_distribution_are_not():
    rng = np.random.default_rng(0)
    train, fresh = rng.normal(size=(2, 300, 4)).astype(np.float32)
    check, copied, source = checks.copies(train, None, np.concatenate([train[40:70] + 1e-3, fresh[:200]]))
    np.testing.assert_array_equal(source[:30], np.arange(40, 70))
    assert copied[:30].all()
    assert copied[30:].mean() < 0.05
    assert check.p_value < 1e-6
    # Against themselves rows are compared with the others.
    assert check.real_rate == pytest.approx(3 / 300)


@pytest.mark.slow
def test_one_definition_of_copies_and_of_unrealistic_rows():
    """What the command counts is what the diagnostics count."""
    reference, held_out, generated = np.random.default_rng(1).normal(size=(3, 120, 2)).astype(np.float32)
    generated = np.concatenate([1.5 * generated, reference[:10]])
    unrealistic, far, far_real = checks.distance_to_data(reference, held_out, generated)
    assert unrealistic.rate == pytest.approx(float(diagnostics.unrealistic_rate_of_samples(reference, generated)))
    assert unrealistic.real_rate == pytest.approx(float(diagnostics.unrealistic_rate_of_samples(reference, held_out)))
    assert (far.shape, far_real.shape) == ((130,), (120,))
    memorised, copied, _ = checks.copies(reference, held_out, generated)
    assert memorised.rate == pytest.approx(float(diagnostics.memorisation_rate(reference, generated)))
    assert memorised.real_rate == pytest.approx(float(diagnostics.memorisation_rate(reference, held_out)))
    assert copied[120:].all()


@pytest.mark.slow
def test_a_few_copies_are_found_and_one_column_has_no_more_than_its_share():
    rng = np.random.default_rng(0)
    train, fresh = rng.normal(size=(2, 500, 1)).astype(np.float32)
    check, *_ = checks.copies(train, None, fresh)
    assert check.rate < 0.03
    check, *_ = checks.copies(train, None, np.concatenate([fresh[:475], train[:25]]))
    assert check.p_value < 1e-3


@pytest.mark.slow
def test_spread_mass_is_not_dropped_mass():
    """A Gaussian over the modes, and modes with more noise, are unrealistic; a dropped mode is one beside noise too."""
    rng = np.random.default_rng(0)

    def draw(noise, n=500, share=0.5):
        return np.where(rng.random(n) < share, 0.0, 16.0)[:, None] + noise * rng.normal(size=(n, 1))

    for generated in (8.0 + 8.06 * rng.normal(size=(500, 1)), draw(2.0), draw(3.0)):
        assert compare.compare(0, draw(1.0), generated).verdict == ("unrealistic",)
    assert compare.compare(0, draw(1.0), draw(2.0, share=1.0)).verdict == ("mode_dropping", "unrealistic")
    assert compare.compare(0, draw(1.0), draw(1.0, share=0.9)).verdict == ("mode_dropping",)


def test_rows_that_were_used_are_said():
    def measured_on(*rows):
        return [compare.Discrepancy("d", 0.0, 0.0, 0.0, rows, "")]

    assert not compare._subsampling(400, 300, 400, measured_on(400, 300))
    notes = " ".join(compare._subsampling(20000, 1000, 200_000, measured_on(5000, 1000)))
    for words in ("2,000 × 1,000", "1,000 generated and 2,000 held-out", "100,000 of the 200,000 training rows"):
        assert words in notes


def test_images_are_told_from_tables():
    assert scaling.guess_image(load_digits().data) == (8, 8)
    assert scaling.guess_image(np.random.default_rng(0).uniform(size=(100, 64))) is None
    assert scaling.guess_image(load_iris().data) is None


def test_decide_follows_the_rules():
    def check(name, p, rate=0.5):
        return checks.Check(name, rate, 0.01, p, "")

    def verdict(tests=(0.5,), **p_values):
        judged = tuple(check(name, p_values.get(name, 1.0)) for name in compare.CHECKS)
        return compare.decide([compare.Test("t", 0.0, p, "") for p in tests], judged, 0.001)[0]

    assert verdict() == ("indistinguishable",)
    assert verdict(tests=(1e-4,)) == ()
    assert verdict(missing=1e-4) == ("mode_dropping",)
    assert verdict(uncovered=1e-4) == ("mode_dropping",)
    assert verdict(uncovered=1e-4, unrealistic=1e-4) == ("unrealistic",)
    assert verdict(memorised=1e-9, missing=1e-4) == ("mode_dropping", "memorised")
