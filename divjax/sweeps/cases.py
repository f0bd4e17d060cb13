"""Cases: what a sweep runs over. Labelled axes, kept apart; the grid exists only as index arithmetic."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from divjax.numerics.calls import said


class Axis(NamedTuple):
    """One dimension of the grid: columns that run in parallel along it. Every leaf is ``[length, ...]``."""

    dim: str
    columns: dict[str, PyTree]

    @property
    def length(self) -> int:
        return len(jax.tree.leaves(self.columns)[0])


class Cases(NamedTuple):
    """A grid of cases, the last axis fastest. Made by ``product`` or ``zipped``, read by ``take``."""

    axes: tuple[Axis, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(axis.dim for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.length for axis in self.axes)

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@said
def product(**axes: Any) -> Cases:
    """Every combination of the axes: ``product(separation=jnp.linspace(0, 16, 33), seed=jnp.arange(64))``.

    An axis is an array ``[length, ...]`` (or a list or range that becomes one), a dict or NamedTuple of
    arrays that share their leading axis, or ``zipped`` columns, which keep their own names along the
    dimension named here::

        product(problem=zipped(weights=W, scales=S), seed=jnp.arange(64))   # case: weights, scales, seed

    A case is a dict of unbatched arrays, one for each axis (for each column of a zipped one). Integers stay
    integers; values are data: NaN and inf are allowed. Nothing is multiplied out.

    Raises:
        ValueError: no axis, an empty one, a scalar, unequal lengths, text, typed keys, a name used twice.

    Examples:
        >>> dj.sweeps.product(separation=jnp.linspace(0.0, 16.0, 33), seed=range(64)).shape
        (33, 64)
    """
    if not axes:
        raise ValueError("Expected at least one axis; got none. Pass product(name=array, ...).")
    return _checked(Cases(tuple(_axis(dim, values) for dim, values in axes.items())))


@said
def zipped(*, dim: str = "case", **columns: Any) -> Cases:
    """Columns in parallel along one dimension: ``zipped(loc=[0., 1.], scale=[1., 2.])`` is two cases.

    Columns are what axes of ``product`` may be: arrays, or pytrees of arrays, with the same leading length.
    Inside ``product`` the dimension takes the name given there.

    Raises:
        ValueError: no column, an empty one, a scalar, unequal lengths, text, typed keys.

    Examples:
        >>> dj.sweeps.zipped(loc=[0.0, 1.0], scale=[1.0, 2.0]).shape
        (2,)
    """
    if not columns:
        raise ValueError("Expected at least one column; got none. Pass zipped(name=array, ...).")
    arrays = {name: _arrays(name, values) for name, values in columns.items()}
    lengths = {name: len(jax.tree.leaves(values)[0]) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"Expected columns of one length; got {lengths}. Use product(...) to combine them in every way."
        )
    return _checked(Cases((Axis(dim, arrays),)))


def take(cases: Cases, indices: Int[np.ndarray, " n"]) -> dict[str, PyTree]:
    """The cases at flat indices (the last axis fastest), batched: every leaf is ``[n, ...]``.

    Examples:
        >>> cases = dj.sweeps.product(loc=[0.0, 1.0], seed=[5, 6, 7])
        >>> {name: column.tolist() for name, column in dj.sweeps.take(cases, jnp.array([0, 4])).items()}
        {'loc': [0.0, 1.0], 'seed': [5, 6]}
    """
    places = np.unravel_index(indices, cases.shape)
    return {
        name: _rows(column, place)
        for axis, place in zip(cases.axes, places, strict=True)
        for name, column in axis.columns.items()
    }


def canonical(cases: Cases) -> Cases:
    """The same cases in the dtypes that JAX will compute in (float32 and int32 unless x64 is on).

    Raises:
        ValueError: an integer does not fit, so that two cases might silently become one.
    """
    return Cases(
        tuple(
            Axis(axis.dim, {name: _canonical(name, column) for name, column in axis.columns.items()})
            for axis in cases.axes
        )
    )


def chunk_shape(shape: tuple[int, ...], num: int) -> tuple[int, ...]:
    """The box of at most ``num`` cases that tiles the grid: whole trailing axes, part of one, 1 of those
    before.

    Such a box is contiguous in the flat order, so a chunk of a run is a chunk of the stored arrays as well.
    The cut axis is cut evenly, so that little of the last box is padding.
    """
    if num < 1:
        raise ValueError(f"Expected chunk_size >= 1; got {num}. Pass the number of cases to run at once.")
    box: list[int] = []
    for length in reversed(shape):
        pieces = math.ceil(length / max(num // math.prod(box), 1))
        box.append(math.ceil(length / pieces))
        if pieces > 1:
            break
    return (1,) * (len(shape) - len(box)) + tuple(reversed(box))


def regions(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The boxes that tile the grid, in flat order; those at the end of the cut axis may be smaller."""
    for block in np.ndindex(*grid(shape, chunk)):
        yield tuple(slice(b * c, min((b + 1) * c, length)) for b, c, length in zip(block, chunk, shape, strict=True))


def grid(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    """How many boxes there are along each axis."""
    return tuple(math.ceil(length / c) for length, c in zip(shape, chunk, strict=True))


def indices(region: tuple[slice, ...], shape: tuple[int, ...], num: int) -> Int[np.ndarray, " num"]:
    """Flat indices of a box, padded to ``num`` by repeating its last case."""
    first = int(np.ravel_multi_index([part.start for part in region], shape))
    count = math.prod(part.stop - part.start for part in region)
    return first + np.minimum(np.arange(num), count - 1)


def _axis(dim: str, values: Any) -> Axis:
    if not isinstance(values, Cases):
        return Axis(dim, {dim: _arrays(dim, values)})
    if len(values.axes) != 1:
        raise ValueError(
            f"Expected zipped(...) or arrays for axis {dim!r}; got a product over {values.dims}. "
            "Pass its axes to this product."
        )
    return Axis(dim, values.axes[0].columns)


def _arrays(name: str, values: Any) -> PyTree:
    """The pytree with numpy leaves that share a leading axis. Lists, ranges and plain tuples are arrays."""
    tree = jax.tree.map(lambda leaf: _array(name, leaf), values, is_leaf=_is_sequence)
    lengths = sorted({len(leaf) for leaf in jax.tree.leaves(tree)})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(
            f"Expected values of one positive length for {name!r}; got lengths {lengths}. "
            "Give every leaf the same leading axis, with at least one entry."
        )
    return tree


def _is_sequence(node: Any) -> bool:
    return isinstance(node, list | range) or type(node) is tuple


def _array(name: str, leaf: Any) -> np.ndarray:
    if jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key):
        raise ValueError(
            f"Expected numbers for {name!r}; got typed keys. "
            "Sweep over integer seeds and call jax.random.key(case[...]) inside."
        )
    array = np.asarray(leaf)
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool):
        raise ValueError(
            f"Expected numbers for {name!r}; got dtype {array.dtype}. "
            "Sweep over numbers and name them afterwards with Dataset.assign_coords."
        )
    if array.ndim == 0:
        raise ValueError(f"Expected an axis of values for {name!r}; got the scalar {array}. Pass [value].")
    return array


def _checked(cases: Cases) -> Cases:
    """A name is one column or one dimension; a column may share the name of the dimension it lies along."""
    owner: dict[str, str] = {}
    for axis in cases.axes:
        for name in dict.fromkeys((axis.dim, *axis.columns)):
            if name in owner:
                raise ValueError(
                    f"Expected different names; got {name!r} along both {owner[name]!r} and {axis.dim!r}. "
                    "Rename one of them."
                )
            owner[name] = axis.dim
    return cases


def _rows(column: PyTree, place: np.ndarray) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[place], column)


def _canonical(name: str, column: PyTree) -> PyTree:
    def cast(leaf):
        array = leaf.astype(jax.dtypes.canonicalize_dtype(leaf.dtype))
        if array.dtype != leaf.dtype and leaf.dtype.kind in "iu" and not np.array_equal(array, leaf):
            raise ValueError(
                f"Expected integers that fit {array.dtype} for {name!r}; got {leaf.min()} to {leaf.max()}. "
                "Use smaller ones, or run under jax.enable_x64(True)."
            )
        if array.dtype != leaf.dtype and leaf.dtype.kind == "f":
            lost = len(np.unique(leaf, axis=0)) - len(np.unique(array, axis=0))
            if lost:
                raise ValueError(
                    f"Expected values of {name!r} that differ in {array.dtype}; got {lost} that do not. "
                    "Space them wider, or run under jax.enable_x64(True)."
                )
        return array

    return jax.tree.map(cast, column)
