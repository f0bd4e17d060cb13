"""Data in double precision that single precision cannot hold: said, not measured as if nothing were."""

import warnings

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

import divjax as dj

X = np.random.default_rng(0).normal(size=(60, 1))
KEY = jax.random.key(0)
OF_SAMPLES = {
    "wasserstein": lambda x, y: dj.wasserstein(x[:, 0], y[:, 0]),
    "energy": lambda x, y: dj.energy(x[:, 0], y[:, 0]),
    "energy in space": dj.energy,
    "cramer": lambda x, y: dj.cramer(x[:, 0], y[:, 0]),
    "coupling": lambda x, y: dj.coupling(x[:, 0], y[:, 0]).x,
    "mmd2": lambda x, y: dj.mmd2(x, y, kernel=dj.kernels.rbf(1.0)),
    "sliced_wasserstein": lambda x, y: dj.sliced_wasserstein(KEY, x, y, num_directions=4),
    "neighbour_kl": dj.samples.neighbour_kl,
}


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_far_from_zero_is_a_warning(name):
    """Where 128 seconds are one number, 5 seconds are none."""
    with pytest.warns(dj.status.AccuracyWarning, match="float32 resolves"):
        OF_SAMPLES[name](X + 1.7e9, X + 1.7e9 + 5.0)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_near_zero_is_none(shift):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(dj.wasserstein(X[:, 0] + shift, X[:, 0] + shift + 5.0)) == pytest.approx(5.0, rel=1e-5)


def test_in_double_precision_it_is_right(x64):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(dj.wasserstein(X[:, 0] + 1.7e9, X[:, 0] + 1.7e9 + 5.0)) == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_judged_by_itself(broken):
    """By a NaN or an infinity no other value is said to be lost."""
    x = X[:, 0].copy()
    x[3] = broken
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = float(dj.wasserstein(x, X[:, 0]))
    assert not np.isfinite(found)


def test_the_order_of_bytes_is_no_matter():
    x = X[:, 0].astype(">f4")
    assert float(dj.wasserstein(x, x + np.float32(1.0))) == pytest.approx(1.0, rel=1e-5)


def test_masked_entries_are_refused():
    x = np.ma.masked_array([1.0, 2.0, 9.0], [False, False, True])
    with pytest.raises(ValueError, match="without masked entries; got 1 of 3"):
        dj.wasserstein(x, X[:, 0])
    assert float(dj.wasserstein(x.compressed(), np.array([2.0, 3.0]))) == pytest.approx(1.0)
    assert float(dj.wasserstein(np.ma.masked_array([1.0, 2.0]), np.array([2.0, 3.0]))) == pytest.approx(1.0)


def test_columns_of_pandas_whatever_holds_their_numbers():
    pandas = pytest.importorskip("pandas")
    x, y = pandas.Series([1.0, 2.0, 3.0], dtype="Float64"), pandas.Series([1, 2, 4], dtype="Int64")
    assert float(dj.wasserstein(x, y)) == pytest.approx(1.0 / 3.0)
    assert np.isnan(dj.wasserstein(pandas.Series([1.0, None, 3.0], dtype="Float64"), y))
    both = [pandas.DataFrame({"a": x, "b": each}) for each in (x, y)]
    bare = [each.to_numpy(float) for each in both]
    assert float(dj.energy(*both)) == pytest.approx(float(dj.energy(*bare)))
    with pytest.raises(TypeError, match="sample of real numbers"):
        dj.energy(pandas.DataFrame({"a": ["x", "y"]}), pandas.DataFrame({"a": ["x", "y"]}))


def test_a_weight_that_is_nan_makes_no_number():
    broken = dj.Points(jnp.array([0.0, 1.0, 2.0]), jnp.log(jnp.array([0.3, jnp.nan, 0.4])))
    for other in (jnp.array([0.0, 1.0, 2.0]), distrax.Normal(0.0, 1.0)):
        for divergence in (dj.wasserstein, dj.energy, dj.cramer):
            assert np.isnan(divergence(broken, other)), divergence.__name__
            assert np.isnan(divergence(other, broken)), divergence.__name__


def test_laws_of_two_precisions_are_measured_in_the_better_one(x64):
    """Parameters that float32 holds exactly: the law is the same, and so is what comes out."""
    del x64
    gamma = tfp.distributions.Gamma
    narrow = gamma(np.float32(3.5), np.float32(1.25)), gamma(np.float64(5.0), np.float64(1.0))
    wide = gamma(np.float64(3.5), np.float64(1.25)), narrow[1]
    for divergence in (dj.kl, dj.jensen_shannon):  # in closed form, and by quadrature
        assert float(divergence(*narrow)) == pytest.approx(float(divergence(*wide)), rel=1e-13)
