"""Decompositions and solves of matrices, alone or in batches, that always come back.

On the CPU, jaxlib 0.10.0 to 0.11.0 deals a batch of at least 200,000 floating-point operations to the threads that also
wait for it (taken back in jax-ml/jax 8599924): where as many such batches are under way as the machine has cores, the
program never ends. Two triangular solves of one jitted formula are enough on two cores. Smaller batches are done where
they are: here, what is large is done in such parts, one after the other.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxlib.version import __version_info__ as _JAXLIB
from jaxtyping import Array, Float

from divjax.numerics.arrays import matmul

_DEALT = (0, 10, 0) <= _JAXLIB[:3] <= (0, 11, 0)
_LARGE = 200_000  # floating-point operations of a batch that is dealt


def _in_parts(op: Callable, cost: int, arrays: tuple[Array, ...]) -> Any:
    """op(*arrays) of arrays with the same leading axes; cost: floating-point operations of one matrix."""
    batch = arrays[0].shape[:-2]
    part = max(1, (_LARGE - 1) // cost)
    if not _DEALT or math.prod(batch) <= part:
        return op(*arrays)

    count = math.prod(batch)
    size = -(-count // -(-count // part))  # parts of equal size, and with the last row again where that is not enough

    def parts(*arrays):
        rows = [a.reshape(count, *a.shape[len(batch) :]) for a in arrays]
        rows = [jnp.pad(a, [(0, -count % size), (0, 0), (0, 0)], mode="edge") for a in rows]
        found = jax.lax.map(lambda row: op(*row), rows, batch_size=size)
        return jax.tree.map(lambda out: out[:count].reshape(*batch, *out.shape[1:]), found)

    return jax.lax.platform_dependent(*arrays, cpu=parts, default=op)


def _batched(op: Callable, cost: Callable[..., int], *, fold: bool = False) -> Callable:
    """op with batches in parts, under vmap too. fold: op(a, b) solves a x = b, where one a takes all b as columns."""

    @jax.custom_batching.custom_vmap
    def call(*arrays):
        return _in_parts(op, cost(*arrays), arrays)

    @call.def_vmap
    def mapped(size, is_mapped, *arrays):
        if fold and not is_mapped[0]:
            columns = jnp.moveaxis(arrays[1], 0, -2)
            x = call(arrays[0], columns.reshape(*columns.shape[:-2], -1))
            return jnp.moveaxis(x.reshape(columns.shape), -2, 0), True
        arrays = [
            a if here else jnp.broadcast_to(a, (size, *a.shape)) for a, here in zip(arrays, is_mapped, strict=True)
        ]
        found = call(*arrays)
        return found, jax.tree.map(lambda _: True, found)

    return call


def _cubes(times: int) -> Callable[..., int]:
    return lambda a: times * a.shape[-2] * a.shape[-1] * min(a.shape[-2:])


def _by_triangle(*, transposed: bool) -> Callable:
    solve = functools.partial(jax.lax.linalg.triangular_solve, left_side=True, lower=True, transpose_a=transposed)
    return _batched(solve, lambda a, b: a.shape[-1] ** 2 * b.shape[-1], fold=True)


_lower, _lower_transposed = _by_triangle(transposed=False), _by_triangle(transposed=True)
_general = _batched(jnp.linalg.solve, lambda a, b: a.shape[-1] ** 2 * max(a.shape[-1], b.shape[-1]), fold=True)
_factor = _batched(functools.partial(jax.lax.linalg.cholesky, symmetrize_input=False), _cubes(1))
_spectrum = _batched(jnp.linalg.eigvalsh, _cubes(5))
_singular = _batched(lambda a: tuple(jnp.linalg.svd(a, full_matrices=False)), _cubes(10))


def _linear(a: Array, b: Array, solve: Callable, solve_transposed: Callable) -> Array:
    """a⁻¹ b of a [..., d, d] and b [..., d, k] or [d], with derivatives of every order."""
    is_vector = b.ndim == 1
    b = b[:, None] if is_vector else b
    batch = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (jnp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    x = jax.lax.custom_linear_solve(
        lambda x: matmul(a, x), b, lambda _, b: solve(a, b), lambda _, b: solve_transposed(a, b)
    )
    return x[:, 0] if is_vector else x


def solve_triangular(
    factor: Float[Array, "*b d d"], b: Float[Array, "*b d k"] | Float[Array, " d"], *, transposed: bool = False
) -> Float[Array, "*b d k"] | Float[Array, " d"]:
    """L⁻¹ b, or L⁻ᵀ b, of a lower triangular L: what stands above its diagonal is not read."""
    factor = jnp.tril(factor)
    if transposed:
        return _linear(
            jnp.swapaxes(factor, -1, -2), b, lambda _, b: _lower_transposed(factor, b), lambda _, b: _lower(factor, b)
        )
    return _linear(factor, b, _lower, _lower_transposed)


def solve(
    a: Float[Array, "*b d d"], b: Float[Array, "*b d k"] | Float[Array, " d"]
) -> Float[Array, "*b d k"] | Float[Array, " d"]:
    """a⁻¹ b of a square matrix."""
    return _linear(a, b, _general, lambda a, b: _general(jnp.swapaxes(a, -1, -2), b))


@jax.custom_jvp
def cholesky(matrix: Float[Array, "*b d d"]) -> Float[Array, "*b d d"]:
    """The lower triangular L of L Lᵀ = ½ (A + Aᵀ); NaN where A is not positive definite."""
    return _factor(0.5 * (matrix + jnp.swapaxes(matrix, -1, -2)))


@cholesky.defjvp
def _cholesky_jvp(primals, tangents):
    """dL = L Φ(L⁻¹ dA L⁻ᵀ), Φ the lower triangle with half the diagonal."""
    (matrix,), (step,) = primals, tangents
    factor = cholesky(matrix)
    half = solve_triangular(factor, 0.5 * (step + jnp.swapaxes(step, -1, -2)))
    whitened = solve_triangular(factor, jnp.swapaxes(half, -1, -2))
    eye = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)
    return factor, matmul(factor, jnp.tril(whitened) * (1.0 - 0.5 * eye))


def eigvalsh(matrix: Float[Array, "*b d d"]) -> Float[Array, "*b d"]:
    """Eigenvalues of a symmetric matrix, rising. Without a derivative."""
    return _spectrum(jax.lax.stop_gradient(matrix))


def svd(
    matrix: Float[Array, "*b n d"],
) -> tuple[Float[Array, "*b n k"], Float[Array, "*b k"], Float[Array, "*b k d"]]:
    """U, the singular values, falling, and Vᵀ of U diag(s) Vᵀ, k = min(n, d). Without a derivative."""
    return _singular(jax.lax.stop_gradient(matrix))
