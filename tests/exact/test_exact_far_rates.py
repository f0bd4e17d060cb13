"""Gamma distributions of rates that are orders of magnitude apart."""

import distrax
import jax
import mpmath as mp
import numpy as np
import pytest

import divjax as dj


@pytest.mark.parametrize("rates", [(1.0, 1e3), (1e-6, 1e6), (1e6, 1e-6), (1.0, 8.0), (1.0, 7.0)])
@pytest.mark.parametrize("shapes", [(1.0, 1.0), (2.0, 3.5)])
def test_kl_and_its_gradient(shapes, rates):
    (a, c), (b, d) = shapes, rates

    def exact(b):
        shape = (a - c) * mp.digamma(a) - mp.loggamma(a) + mp.loggamma(c)
        return shape + c * mp.log(b / d) + a * (d / b - 1)

    with jax.enable_x64(True):  # noqa: FBT003
        got, slope = jax.value_and_grad(lambda b: dj.kl(distrax.Gamma(a, b), distrax.Gamma(c, d)))(b)
    np.testing.assert_allclose(got, float(exact(mp.mpf(b))), rtol=1e-12)
    np.testing.assert_allclose(slope, float(c / mp.mpf(b) - a * mp.mpf(d) / mp.mpf(b) ** 2), rtol=1e-11)
