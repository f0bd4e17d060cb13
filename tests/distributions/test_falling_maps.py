"""Laws with one infinite end under affine maps that fall, known or traced: the mirror images of known ones."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax.distributions.source import dtype_of

tfd, tfb = tfp.distributions, tfp.bijectors
NORMAL = distrax.Normal(0.0, 1.0)


def of_distrax(slope):
    return distrax.Transformed(distrax.Gamma(1.0, 1.0), distrax.ScalarAffine(0.0, slope))


def of_tfp(slope):
    return tfd.TransformedDistribution(tfd.Exponential(1.0), tfb.Scale(slope))


@pytest.mark.slow
def test_distances_of_mirrored_laws():
    p, q = of_distrax(-2.0), of_distrax(-1.0)
    assert float(dj.wasserstein(p, q)) == pytest.approx(1.0, rel=1e-4)  # of ordered variables the means' difference
    assert float(dj.energy(p, q)) == pytest.approx(1.0 / 3.0, rel=1e-4)  # 2 E|X − Y| is 10/3, and 2 and 1 are within
    assert float(dj.kl(q, p)) == pytest.approx(np.log(2.0) - 0.5, rel=1e-4)
    assert float(dj.kl(NORMAL, p)) == np.inf
    assert float(dj.diagnostics.unrealistic_rate(p, p)) == pytest.approx(0.01, rel=1e-3)
    assert float(dj.kl(of_tfp(-1.0), of_tfp(-2.0))) == pytest.approx(np.log(2.0) - 0.5, rel=1e-4)


@pytest.mark.parametrize("divergence", [dj.jensen_shannon, dj.cramer])
def test_a_slope_that_is_traced_may_fall(divergence):
    """Nobody knows while tracing which way it goes: value and slope are those of the mirror image."""
    found = jax.jit(jax.vmap(jax.value_and_grad(lambda slope: divergence(of_distrax(slope), NORMAL))))
    values, slopes = found(jnp.array([-2.0, -1.0, 1.0, 2.0]))
    np.testing.assert_allclose(values, values[::-1], rtol=1e-4)
    np.testing.assert_allclose(slopes, -slopes[::-1], rtol=1e-3)
    rising = divergence(of_distrax(2.0), NORMAL)  # whose slope is known
    np.testing.assert_allclose(values[-1], rising, rtol=1e-4)


def test_what_diverges_below_does_so_as_above():
    known = [dj.estimate(dj.pearson_chi2, of_distrax(3.0 * side), of_distrax(1.0 * side)) for side in (1.0, -1.0)]
    assert [float(each.value) for each in known] == [np.inf, np.inf]
    assert [int(each.status) for each in known] == [dj.status.INFINITE] * 2


def test_an_image_of_an_image_that_falls():
    """−2 e^Z against e^Z: the differences of means 2 e^½ and e^½ where no mass overlaps."""
    falling = distrax.Transformed(NORMAL, distrax.Chain([distrax.ScalarAffine(0.0, -2.0), distrax.Lambda(jnp.exp)]))
    rising = distrax.Transformed(NORMAL, distrax.Lambda(jnp.exp))
    assert float(dj.wasserstein(falling, rising)) == pytest.approx(3.0 * np.exp(0.5), rel=1e-4)
    assert float(dj.jensen_shannon(falling, rising)) == pytest.approx(np.log(2.0), rel=1e-5)


def test_a_traced_shift_of_a_positive_law_and_a_traced_slope_of_one_behind_a_map():
    def law(shift, slope):
        maps = tfb.Chain([tfb.Shift(shift), tfb.Scale(slope), tfb.Exp()])
        return tfd.TransformedDistribution(tfd.Normal(0.2, 1.1), maps)

    other = law(0.1, 1.3)
    for divergence in (dj.jensen_shannon, dj.energy):
        wanted = divergence(law(0.5, 2.0), other)
        shifted = jax.jit(lambda shift, of=divergence: of(law(shift, 2.0), other))(0.5)
        mirrored = jax.jit(lambda slope, of=divergence: of(law(-0.5, slope), law(-0.1, -1.3)))(-2.0)
        np.testing.assert_allclose([shifted, mirrored], wanted, rtol=1e-4)


def test_the_dtype_of_parameters_that_are_numbers_of_python():
    """As numpyro's transforms hold them: AffineTransform(0.3, 2.0) of a law on a half-line was an AttributeError."""
    assert dtype_of({"loc": 0.3, "scale": jnp.float32(2.0)}) == jnp.float32
    assert dtype_of({"loc": 0.3}) == jnp.result_type(float)
