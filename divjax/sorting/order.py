"""Sorting that is fast on CPU too, where XLA's own sort takes a hundred times as long as numpy's.

Unbatched; under vmap all rows are sorted in one call. On other devices it is XLA's sort.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from divjax.sorting.host import on_cpu


@jax.custom_jvp
def sort(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """x in ascending order, NaN last. Its derivative is the permutation: of equal values, the order in x."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.sort(x)
    # numpy has no vectorised sort of half precision, and none of bfloat16 at all
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    shape = jax.ShapeDtypeStruct(wide.shape, wide.dtype)
    return on_cpu(_sort_values, jnp.sort, shape, in_place=True)(wide).astype(x.dtype)


@sort.defjvp
def _sort_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    values, order = ranked(x)
    return values, take(tangent, order)


@jax.custom_jvp
def ranked(x: Float[Array, " n"]) -> tuple[Float[Array, " n"], Int[Array, " n"]]:
    """``sort(x)`` and the permutation: values = x[order]. Equal values, ±0 too, keep their order; NaN is last.

    In float32 one sort of 64-bit integers, of value and index together: numpy's argsort takes five times as long.
    """
    if x.dtype == jnp.float64 or not jnp.issubdtype(x.dtype, jnp.floating):
        shape = jax.ShapeDtypeStruct(x.shape, jnp.int32)
        order = on_cpu(_argsort, lambda x: jnp.argsort(x).astype(jnp.int32), shape, in_place=False)(x)
        return take(x, order), order
    index = jax.lax.iota(jnp.uint32, x.shape[0])
    pairs = jnp.stack([index, _key(x.astype(jnp.float32))], axis=-1)
    pairs = on_cpu(_sort_pairs, _sorted_pairs, jax.ShapeDtypeStruct(pairs.shape, pairs.dtype), in_place=True)(pairs)
    return _apart(_value(pairs[:, 1])).astype(x.dtype), pairs[:, 0].astype(jnp.int32)


@ranked.defjvp
def _ranked_jvp(primals, tangents):
    (x,), (tangent,) = primals, tangents
    values, order = ranked(x)
    return (values, order), (take(tangent, order), np.zeros(order.shape, jax.dtypes.float0))


def take(x: Array, order: Int[Array, " n"]) -> Array:
    """x[order] for a permutation: no index is out of bounds or comes twice, which makes the transpose cheap."""
    return jnp.asarray(x).at[order].get(mode="promise_in_bounds", unique_indices=True)


@jax.custom_jvp
def merged(x: Float[Array, " n"], y: Float[Array, " m"]) -> tuple[Float[Array, " n+m"], Int[Array, " n+m"]]:
    """Both samples in one ascending order, and how many of x are among the first i + 1; of equal values x first.

    In float32 one sort of 32-bit integers, of value and sample together, twice as fast as ``ranked``. There numbers
    smaller than 2⁻¹²⁶ times the largest finite one count as 0, as subnormal numbers do anyway.
    """
    if not x.dtype == y.dtype == jnp.float32:
        values, order = ranked(jnp.concatenate([x, y]))
        return values, running_count(order < x.shape[0])
    least = _least_magnitude(x, y)
    keys = _short_key(x, least) * 2, _short_key(y, least) * 2 + 1
    shape = jax.ShapeDtypeStruct((x.shape[0] + y.shape[0],), jnp.uint32)
    key = on_cpu(_sort_joined, lambda *keys: jnp.sort(jnp.concatenate(keys)), shape, in_place=False)(*keys)
    return _apart(_short_value(key // 2, least)), running_count(key % 2 == 0)


@merged.defjvp
def _merged_jvp(primals, tangents):
    values, order = ranked(jnp.concatenate(primals))
    tangent = take(jnp.concatenate(tangents), order)
    counts = running_count(order < primals[0].shape[0])
    return (values, counts), (tangent, np.zeros(counts.shape, jax.dtypes.float0))


def running_count(flags: Array) -> Int[Array, " n"]:
    """How many of flags[:i+1] are true."""
    shape = jax.ShapeDtypeStruct(flags.shape, jnp.int32)
    return on_cpu(_cumsum, jnp.cumsum, shape, in_place=True)(flags.astype(jnp.int32))


def _apart(values: Array) -> Array:
    """values, computed before what uses them: fused with logarithms, XLA would do all of it number by number."""
    return on_cpu(_nothing, lambda x: x, jax.ShapeDtypeStruct(values.shape, values.dtype), in_place=True)(values)


# --- Order-preserving integers of float32 -------------------------------------------------------------------

_SIGN = np.uint32(1 << 31)
_LAST = np.uint32(0xFFFFFFFF)  # a NaN, after every number


def _key(x: Float[Array, " n"]) -> Array:
    """Unsigned integers in the order of x; ±0 alike, every NaN the largest."""
    bits = jax.lax.bitcast_convert_type(jnp.where(x == 0.0, 0.0, x), jnp.uint32)
    key = jnp.where(bits >= _SIGN, ~bits, bits | _SIGN)
    return jnp.where(jnp.isnan(x), _LAST, key)


def _value(key: Array) -> Float[Array, " n"]:
    return jax.lax.bitcast_convert_type(jnp.where(key >= _SIGN, key ^ _SIGN, ~key), jnp.float32)


def _sorted_pairs(pairs: Array) -> Array:
    key, index = jax.lax.sort((pairs[:, 1], pairs[:, 0]), num_keys=1, is_stable=True)
    return jnp.stack([index, key], axis=-1)


# --- And of 31 bits ------------------------------------------------------------------------------------------

_ZERO = np.int32(1 << 30)
_FINITE = np.int32(_ZERO - 3)  # how far from _ZERO the key of the largest finite magnitude may be


def _magnitude(x):
    return jax.lax.bitcast_convert_type(jnp.abs(x), jnp.int32)


def _least_magnitude(*samples):
    """The largest magnitude, as an integer, that counts as 0."""
    most = [jnp.max(jnp.where(jnp.abs(x) < jnp.inf, jnp.abs(x), 0.0), initial=0.0) for x in samples]
    return jnp.maximum(_magnitude(jnp.max(jnp.stack(most))) - _FINITE, 0)


def _short_key(x, least):
    """Integers below 2³¹ in the order of x; ±0 alike, infinities at the ends but for NaN, the largest."""
    size = jnp.where(jnp.abs(x) < jnp.inf, jnp.maximum(_magnitude(x) - least, 0), _FINITE + 1)
    key = _ZERO + jnp.where(x < 0.0, -size, size)
    return jnp.where(jnp.isnan(x), _ZERO + _FINITE + 2, key).astype(jnp.uint32)


def _short_value(key, least):
    distance = key.astype(jnp.int32) - _ZERO
    size = jnp.abs(distance)
    value = jax.lax.bitcast_convert_type(jnp.where(size == 0, 0, size + least), jnp.float32)
    value = jnp.where(size > _FINITE, jnp.inf, value)
    return jnp.where(distance > _FINITE + 1, jnp.nan, jnp.where(distance < 0, -value, value))


# --- What numpy does, on arrays with any leading axes -------------------------------------------------------


def _sort_values(_, values: np.ndarray) -> None:
    values.sort(axis=-1)


def _sort_joined(first: np.ndarray, second: np.ndarray, joined: np.ndarray) -> None:
    np.concatenate([first, second], axis=-1, out=joined)
    joined.sort(axis=-1)


def _sort_pairs(_, pairs: np.ndarray) -> None:
    # little-endian, as every machine that XLA compiles for: the key is the high half
    pairs.view(np.uint64)[..., 0].sort(axis=-1)


def _nothing(_, values: np.ndarray) -> None:
    pass


def _argsort(x: np.ndarray, order: np.ndarray) -> None:
    order[...] = np.argsort(x, axis=-1, kind="stable")


def _cumsum(_, counts: np.ndarray) -> None:
    np.cumsum(counts, axis=-1, out=counts)
