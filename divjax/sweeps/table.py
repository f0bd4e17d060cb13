"""The labelled table that a sweep fills: names, dimensions and dtypes, before anything has run."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, PyTree

from divjax.sweeps.cases import Cases, grid

RESERVED = ("", ".", "..", "_sweep", "zarr.json")  # what a store has, or cannot have, beside its arrays


class Variable(NamedTuple):
    """One result: its own dimensions and lengths (those of the cases come before them) and its dtype."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype


class Table(NamedTuple):
    """All of a sweep but the values. ``chunk`` is the box of cases that is run, written and marked as one."""

    dim: str  # the dimension of the iterations
    names: tuple[str, ...]  # of the iterations
    case_dims: tuple[str, ...]
    case_shape: tuple[int, ...]
    chunk: tuple[int, ...]
    coordinates: dict[str, tuple[tuple[str, ...], np.ndarray]]
    variables: dict[str, Variable]
    attributes: dict[str, Any]

    @property
    def dims(self) -> tuple[str, ...]:
        return (self.dim, *self.case_dims)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.names), *self.case_shape)

    @property
    def blocks(self) -> tuple[int, ...]:
        return (len(self.names), *grid(self.case_shape, self.chunk))

    @property
    def marks(self) -> tuple[int, int]:
        return (self.blocks[0], math.prod(self.blocks[1:]))


class Tally(NamedTuple):
    """How fits ended. Only those with an integer ``status`` count as converged (0) or failed (anything else)."""

    fits: int
    converged: int
    failed: int


class Sink(NamedTuple):
    """Where results go. ``done[iteration, chunk]`` says what is there already, ``mine`` what this process runs of
    the rest."""

    done: Bool[np.ndarray, "iterations chunks"]
    mine: Bool[np.ndarray, "iterations chunks"]
    write: Callable[[int, int, tuple[slice, ...], dict[str, np.ndarray]], None]
    tally: Callable[[], Tally]  # of all that is there
    finish: Callable[[], Any]  # -> xarray.Dataset


def named_leaves(tree: PyTree, root: str = "value") -> dict[str, Any]:
    """The leaves of a pytree by path: ``params.loc``, ``losses.0``; a single leaf is called ``root``.

    Raises:
        ValueError: two leaves get the same name, or a name holds a slash.
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    named = {jax.tree_util.keystr(path, simple=True, separator=".") or root: leaf for path, leaf in leaves}
    if len(named) < len(leaves) or any("/" in name for name in named):
        raise ValueError(f"Expected different names without '/'; got {sorted(named)}. Rename the dict keys.")
    return named


def describe(
    cases: Cases,
    chunk: tuple[int, ...],
    results: dict[str, dict[str, jax.ShapeDtypeStruct]],
    dim: str,
    dims: dict[str, tuple[str, ...]],
) -> Table:
    """The table of a sweep, from its cases and from what each iteration returns for one of them; no
    attributes yet.

    Raises:
        ValueError: names, dtypes or shapes that contradict each other.
    """
    labelled, union = coordinates(cases, dims), variables(results, dims)
    table = Table(dim, tuple(results), cases.dims, cases.shape, chunk, labelled, union, {})
    check_names(table, dims)
    return table


def coordinates(cases: Cases, dims: dict[str, tuple[str, ...]]) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Coordinates by name: 1-D axes index their dimension; columns and leaves lie along it.

    An axis of vectors cannot carry the name of its own dimension: it becomes ``name.value``.
    """
    labelled = {}
    for axis in cases.axes:
        for column, values in axis.columns.items():
            for path, leaf in named_leaves(values, "").items():
                name = f"{column}.{path}" if path else column
                if name == axis.dim and leaf.ndim > 1:
                    name = f"{name}.value"
                labelled[name] = (
                    (axis.dim, *_trailing(name, leaf.ndim - 1, dims)),
                    leaf.astype(stored_dtype(leaf.dtype)),
                )
    return labelled


def variables(
    results: dict[str, dict[str, jax.ShapeDtypeStruct]], dims: dict[str, tuple[str, ...]]
) -> dict[str, Variable]:
    """The union of what the iterations return, each ``[...]`` for one case; they must agree where they share
    a name.

    Raises:
        ValueError: a variable has two dtypes or two shapes.
    """
    union: dict[str, Variable] = {}
    for iteration, result in results.items():
        for name, leaf in result.items():
            trailing = _trailing(name, len(leaf.shape), dims)
            variable = Variable(trailing, tuple(leaf.shape), stored_dtype(leaf.dtype))
            if union.setdefault(name, variable) != variable:
                raise ValueError(
                    f"Expected {name!r} to be {union[name].dtype}{list(union[name].shape)} everywhere; "
                    f"got {variable.dtype}{list(variable.shape)} from {iteration!r}. Cast or rename it."
                )
    return union


def check_names(table: Table, dims: Iterable[str]) -> None:
    """Every name means one thing, every dimension has one length, ``dims`` names only what is there."""
    taken = {*table.dims, *table.coordinates}
    if wrong := sorted(name for name in taken | set(table.variables) if name in RESERVED or "/" in name):
        raise ValueError(f"Expected names that a store can hold; got {wrong}. Rename them.")
    if clash := sorted(taken & set(table.variables)):
        raise ValueError(f"Expected results named unlike the axes; got {clash} as both. Rename the results.")
    if table.dim in {*table.case_dims, *table.coordinates}:
        raise ValueError(f"Expected a new name for dim; got {table.dim!r}, an axis. Pass another dim.")
    known = {*table.coordinates, *table.variables}
    if unknown := sorted(set(dims) - known):
        raise ValueError(f"Expected dims for some of {sorted(known)}; got {unknown}. Correct the names.")
    lengths = dict(zip(table.dims, table.shape, strict=True))
    leaves = [(name, d, value.shape) for name, (d, value) in table.coordinates.items()]
    leaves += [(name, table.dims + each.dims, table.shape + each.shape) for name, each in table.variables.items()]
    for name, names, shape in leaves:
        if len(set(names)) < len(names):
            raise ValueError(f"Expected different dimensions of {name!r}; got {names}. Rename one in dims.")
        for dim, length in zip(names, shape, strict=True):
            if lengths.setdefault(dim, length) != length:
                raise ValueError(f"Expected length {lengths[dim]} along {dim!r}; got {length} in {name!r}. Rename it.")


def stored_dtype(dtype: Any) -> np.dtype:
    """As it is, but narrow floats that only JAX knows (bfloat16, ...) as float32."""
    if jax.dtypes.issubdtype(dtype, jax.dtypes.extended):
        raise ValueError(f"Expected numbers as results; got {dtype}. Return jax.random.key_data(key).")
    return np.dtype(np.float32) if np.dtype(dtype).kind == "V" else np.dtype(dtype)


def absent(dtype: np.dtype) -> Any:
    """What stands where an iteration has no such result, or has not run yet.

    NaN; -1 for integers, so that no status reads as good; 0 and False where there is no -1.
    """
    return {"f": np.nan, "c": complex(np.nan, np.nan), "i": -1, "b": False}.get(dtype.kind, 0)


def tally(values: dict[str, np.ndarray], num: int) -> Tally:
    """Of a chunk of ``num`` fits."""
    status = values.get("status")
    if status is None or status.dtype.kind not in "iu":
        return Tally(num, 0, 0)
    good = int((status == 0).sum())
    return Tally(num, good, status.size - good)


def total(tallies: Iterable[Tally]) -> Tally:
    return Tally(*map(sum, zip(Tally(0, 0, 0), *tallies, strict=True)))


@contextmanager
def in_memory(table: Table) -> Iterator[Sink]:
    """A sink of numpy arrays. Every process of several fills its own with everything."""
    ended = Tally(0, 0, 0)
    arrays = {
        name: np.full(table.shape + variable.shape, absent(variable.dtype), variable.dtype)
        for name, variable in table.variables.items()
    }

    def write(iteration, _, region, values):
        for name, value in values.items():
            arrays[name][(iteration, *region)] = value
        nonlocal ended
        ended = total([ended, tally(values, math.prod(part.stop - part.start for part in region))])

    def finish():
        import xarray

        labelled = {name: (table.dims + table.variables[name].dims, array) for name, array in arrays.items()}
        return xarray.Dataset(labelled, coords=labels(table), attrs=table.attributes)

    nothing = np.zeros(table.marks, bool)
    yield Sink(nothing, ~nothing, write, lambda: ended, finish)


def labels(table: Table) -> dict[str, Any]:
    """The coordinates as xarray takes them, the names of the iterations among them."""
    return {table.dim: list(table.names), **table.coordinates}


def _trailing(name: str, ndim: int, dims: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    trailing = tuple(dims.get(name, (f"{name}_{k}" for k in range(ndim))))
    if len(trailing) != ndim:
        raise ValueError(
            f"Expected {ndim} names for the dimensions of {name!r}; got {trailing}. Name each axis of one case's value."
        )
    return trailing
