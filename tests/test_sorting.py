"""The sort through numpy on XLA's buffers, against numpy itself and against what XLA alone does."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax import sorting
from divjax.sorting import host
from divjax.sorting import order as ordering

RNG = np.random.default_rng(0)
NAN, INF = np.nan, np.inf
VECTORS = {
    "normal": RNG.normal(size=1000),
    "ties": RNG.integers(-3, 4, 500) * 0.5,
    "special": np.array([NAN, 1.0, -INF, 0.0, -0.0, INF, -1.0, 0.0, -NAN, 2.0, -0.0, INF, NAN]),
    "one": np.array([3.0]),
    "empty": np.zeros(0),
    "extremes": np.array([3e38, -3e38, 1.2e-38, -1.2e-38, 0.0]),
}
sort, ranked = jax.jit(sorting.sort), jax.jit(sorting.ranked)
vector = pytest.mark.parametrize("x", VECTORS.values(), ids=VECTORS)


@vector
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_order(x, dtype, x64):
    x = x.astype(dtype)
    values, order = ranked(x)
    assert values.dtype == sort(x).dtype == dtype
    np.testing.assert_array_equal(sort(x), np.sort(x))
    np.testing.assert_array_equal(values, np.sort(x))
    np.testing.assert_array_equal(order, np.argsort(x, kind="stable"))


def test_argument_is_left_as_it_was():
    x = jnp.asarray(VECTORS["normal"], jnp.float32)
    before = np.array(x)
    sorting.sort(x), sorting.ranked(x), sort(x), ranked(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.int32])
def test_other_dtypes(dtype):
    x = jnp.asarray(RNG.integers(-9, 9, 50), dtype)
    np.testing.assert_array_equal(np.asarray(sort(x), np.float32), np.sort(np.asarray(x, np.float32)))
    values, order = ranked(x)
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(order, np.argsort(np.asarray(x, np.float32), kind="stable"))


def test_batches():
    """Two mapped axes, one of them not the leading one, and a scan."""
    x = RNG.normal(size=(3, 50, 4)).astype(np.float32)
    twice = jax.jit(jax.vmap(jax.vmap(sorting.ranked), in_axes=2))
    values, order = twice(x)
    expected = np.sort(x.transpose(2, 0, 1), axis=-1)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.take_along_axis(x.transpose(2, 0, 1), np.asarray(order), -1), expected)
    _, rows = jax.lax.scan(lambda total, row: (total, sorting.sort(row + total)), 1.0, x[0].T)
    np.testing.assert_array_equal(rows, np.sort(x[0].T + 1.0, axis=-1))


@pytest.mark.slow
def test_derivatives():
    """The permutation and its transpose; second derivatives of what follows."""
    x, weights = (RNG.normal(size=30).astype(np.float32) for _ in range(2))
    order = np.argsort(x)
    for function in (sorting.sort, lambda x: sorting.ranked(x)[0]):
        _, forward = jax.jvp(function, (x,), (weights,))
        np.testing.assert_array_equal(forward, weights[order])
        backward = jax.grad(lambda x, f=function: f(x) @ weights)(x)
        np.testing.assert_array_equal(np.asarray(backward)[order], weights)
        hessian = jax.hessian(lambda x, f=function: f(x) ** 3 @ weights)(x)
        np.testing.assert_allclose(hessian[order][:, order], np.diag(6.0 * np.sort(x) * weights), rtol=1e-6)
    batch = jax.vmap(jax.grad(lambda x: sorting.sort(x) @ weights))(np.stack([x, -x]))
    np.testing.assert_array_equal(np.asarray(batch)[1][order[::-1]], weights)


def _merge(x, y):
    z, label = np.concatenate([x, y]), np.repeat([0, 1], [x.size, y.size])
    order = np.lexsort((label, z))
    return z[order], np.cumsum(label[order] == 0)


@pytest.mark.parametrize("scale", [1.0, 2.0**-100, 2.0**100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_merged(scale, dtype, x64):
    """Ties, neighbouring numbers and what is no number, at any scale."""
    x, y = (scale * RNG.normal(size=60)).astype(dtype), (scale * RNG.integers(-2, 3, 40)).astype(dtype)
    y[:5] = x[:5]
    y[5:9] = np.nextafter(x[5:9], np.full(4, INF, dtype))
    x[50:54], y[30:34] = [INF, -INF, 0.0, NAN], [INF, -INF, -0.0, -NAN]
    values, counts = jax.jit(sorting.merged)(x, y)
    expected = _merge(x, y)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(counts, expected[1])
    weights = RNG.normal(size=values.size).astype(dtype)
    slope_x, slope_y = jax.grad(lambda x, y: sorting.merged(x, y)[0] @ weights, (0, 1))(x, y)
    order = np.argsort(np.concatenate([x, y]), kind="stable")
    np.testing.assert_array_equal(np.concatenate([slope_x, slope_y])[order], weights)


def test_merged_flushes_only_the_negligible():
    x, y = np.array([2.0**100, 2.0**-25], np.float32), np.array([2.0**-28, -(2.0**-24), 2.0**-25], np.float32)
    values, counts = sorting.merged(x, y)
    np.testing.assert_array_equal(values, [-(2.0**-24), 0.0, 2.0**-25, 2.0**-25, 2.0**100])
    np.testing.assert_array_equal(counts, [0, 0, 1, 1, 2])


@pytest.mark.slow
def test_without_a_handler(monkeypatch):
    """Where this jaxlib takes none, and on other devices, the formulas in jax.numpy give the same."""
    monkeypatch.setattr(ordering, "on_cpu", lambda function, otherwise, result, *, in_place: otherwise)
    for x in VECTORS.values():
        x = x.astype(np.float32)
        np.testing.assert_array_equal(sorting.sort(x), np.sort(x))
        np.testing.assert_array_equal(sorting.ranked(x)[1], np.argsort(x, kind="stable"))
    x, y = (VECTORS[name].astype(np.float32) for name in ("normal", "ties"))
    np.testing.assert_array_equal(sorting.merged(x, y)[1], _merge(x, y)[1])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere XLA sorts")
def test_an_error_in_numpy_is_an_error_of_the_program():
    def fails(_, result):
        raise ValueError("on purpose")

    x = jnp.zeros(3)
    call = host.on_cpu(fails, jnp.sort, jax.ShapeDtypeStruct(x.shape, x.dtype), in_place=True)
    with pytest.raises(jax.errors.JaxRuntimeError, match="on purpose"):
        jax.block_until_ready(jax.jit(call)(x))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs to choose a core")
def test_one_core_is_enough():
    """Large sorts in one program on one core: a callback that copies through XLA's thread pool never returns."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "import jax, jax.numpy as jnp; from divjax.sorting import sort;"
        "f = jax.jit(lambda x, y: jnp.sum(jnp.abs(sort(x) - sort(y))) + jnp.sum(sort(x + y)));"
        "x = jax.random.normal(jax.random.key(0), (10**6,)); values = [f(x + i, x) for i in range(20)];"
        "print(float(values[-1]))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
