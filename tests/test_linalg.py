"""Decompositions and solves: values and derivatives as LAPACK's, one or a thousand, and no batch that is dealt out."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular

import divjax as dj
from divjax.distributions.vectors import from_covariance
from divjax.numerics import linalg

RNG = np.random.default_rng(5)


def problem(batch, d, k):
    a = RNG.normal(size=(*batch, d, d))
    square = a @ np.swapaxes(a, -1, -2) / d + np.eye(d)
    return square, np.linalg.cholesky(square), RNG.normal(size=(*batch, d, k))


def pair(a, b):
    return from_covariance(b[:, 0], a), from_covariance(b[:, 1], 2.0 * a)


def triangle(transposed):
    return (
        lambda _, factor, b: linalg.solve_triangular(factor, b, transposed=transposed),
        lambda _, factor, b: solve_triangular(factor, b, lower=True, trans=int(transposed)),
    )


FUNCTIONS = {
    "cholesky": (lambda a, _, b: linalg.cholesky(a), lambda a, _, b: jnp.linalg.cholesky(a)),
    "solve": (lambda a, _, b: linalg.solve(a, b), lambda a, _, b: jnp.linalg.solve(a, b)),
    "lower": triangle(transposed=False),
    "transposed": triangle(transposed=True),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    ours, theirs = FUNCTIONS[name]
    one = problem((), 3, 2)
    many = problem((7,), 3, 2)

    def total(function):
        return lambda *arrays: jnp.sum(jnp.sin(function(*arrays)))

    for arrays, mapped in ((one, lambda f: f), (many, jax.vmap), (many, lambda f: f)):
        np.testing.assert_allclose(mapped(ours)(*arrays), mapped(theirs)(*arrays), rtol=1e-12)
    shared = (*one[:2], many[2])
    found, expected = (jax.vmap(f, (None, None, 0))(*shared) for f in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for derivative in (jax.grad, jax.hessian):
        found, expected = (derivative(total(f), argnums=(0, 1, 2))(*one) for f in (ours, theirs))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_parts_are_the_whole():
    """Batches that do not divide, two axes of them, matrices too large for a part of two."""
    for batch, d in (((1001,), 8), ((3, 67), 16), ((3,), 70)):
        square, factor, b = (jnp.asarray(x, jnp.float32) for x in problem(batch, d, 3))
        mapped = lambda f: f if len(batch) == 1 else jax.vmap(f)  # noqa: E731, B023
        np.testing.assert_allclose(mapped(jax.vmap(linalg.cholesky))(square), np.linalg.cholesky(square), atol=1e-5)
        np.testing.assert_allclose(
            mapped(jax.vmap(linalg.solve_triangular))(factor, b), np.linalg.solve(factor, b), rtol=2e-3, atol=2e-4
        )
        np.testing.assert_allclose(mapped(jax.vmap(linalg.eigvalsh))(square), np.linalg.eigvalsh(square), rtol=1e-4)
        np.testing.assert_allclose(mapped(jax.vmap(linalg.svd))(square)[1], np.linalg.svd(square)[1], rtol=1e-4)


def batches(lowered):
    """The cost of every batch that a lowered program hands to LAPACK, in floating-point operations at least."""
    calls = re.finditer(r"lapack_(\w+?)_ffi[^\n]*?: \(tensor<([\dx]+)xf32>(?:, tensor<([\dx]+)xf32>)?", lowered)
    for call in calls:
        a, b = ([int(n) for n in (shape or "").split("x") if n] for shape in call.group(2, 3))
        d, columns = a[-1], b[-1] if call.group(1).endswith("trsm") else a[-1]
        times = {"spotrf": 1 / 3, "ssyevd": 5, "sgesdd": 10}.get(call.group(1), 1)
        yield math.prod(a[:-2]), math.prod(a[:-2]) * times * d * d * columns


def test_no_batch_is_dealt_to_threads():
    """What jaxlib deals to the threads that wait for it hangs where two of them meet."""
    square, _, b = (jnp.asarray(x, jnp.float32) for x in problem((1000,), 16, 5))

    def gaussians(name):
        return lambda a, b: getattr(dj.exact, name)(*pair(a, b))

    names = ("kl", "fisher", "wasserstein2", "cauchy_schwarz")
    functions = [linalg.solve, lambda a, b: (linalg.cholesky(a), linalg.eigvalsh(a), linalg.svd(b))]
    functions += map(gaussians, names)
    for function in functions:
        found = list(batches(jax.jit(jax.vmap(function)).lower(square, b).as_text()))
        assert found
        if linalg._DEALT:
            assert all(cost < 200_000 or count == 1 for count, cost in found), found


def test_a_thousand_pairs_come_back():
    square, _, b = (jnp.asarray(x, jnp.float32) for x in problem((1000,), 16, 2))
    kl = jax.jit(jax.vmap(lambda a, b: dj.exact.kl(*pair(a, b))))
    shift = b[..., 0] - b[..., 1]
    distance = np.einsum("ni,nij,nj->n", shift, np.linalg.inv(square.astype(float)), shift)
    expected = 0.5 * (8.0 + 16.0 * math.log(2.0) - 16.0 + 0.5 * distance)
    np.testing.assert_allclose(kl(square, b), expected, rtol=1e-4)
