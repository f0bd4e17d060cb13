"""The sweep engine: an iteration over labelled cases, one program per iteration, chunk by chunk."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, count, pairwise, takewhile
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from divjax.numerics.calls import said
from divjax.sweeps.cases import Cases, canonical, chunk_shape, indices, regions, take
from divjax.sweeps.configuration import attributes, configuration
from divjax.sweeps.devices import Threads, share
from divjax.sweeps.lanes import Outcome
from divjax.sweeps.processes import this_process
from divjax.sweeps.program import Program, Runner, program
from divjax.sweeps.progress import interruptible, reporter
from divjax.sweeps.store import in_store, peek
from divjax.sweeps.table import Sink, Table, describe, in_memory, named_leaves, stored_dtype
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

# Lanes: on a CPU enough to fill its vector units and amortise a dispatch, small in memory; other devices are to be
# filled (an H100 makes 530,000 fits a second of 4,096 at a time, 1,630,000 of 65,536, no more of 262,144).
CHUNK_SIZE, CHUNK_SIZE_ELSEWHERE = 4096, 65536
# Chunks under way at which stragglers are waited for: it bounds memory, and what a crash costs.
CROWD = 6
COMPILERS = 2  # threads: XLA compiles without the interpreter's lock


@said
def sweep(
    iterations: dict[str, Iteration],
    cases: Cases,
    *,
    store: str | PathLike | None = None,
    resume: bool = True,
    chunk_size: int | None = None,
    tile: int | None = None,
    progress: bool | Callable[[int, int], Any] = False,
    dims: dict[str, tuple[str, ...]] | None = None,
    dim: str = "divergence",
    config: dict[str, Any] | None = None,
    derive: Callable[[PyTree, PyTree], PyTree] | None = None,
) -> "xarray.Dataset":
    """Every iteration over every case: a Dataset with the dimensions (``dim``, the cases', the result's own).

    Results are named by their path in what ``Iteration.result`` returns: ``theta``, ``params.loc``; a bare
    array is ``value``. Where an iteration lacks a result that another has, NaN stands (-1 in integers, 0 or
    False without a sign). Every program is compiled once, for each local device, among which a chunk is dealt
    (and, where there is one device, a CPU, among its cores). A case's result is the same, bit by bit, on any number of
    devices and cores and beside any other cases; with another chunk size or tile it may round otherwise.

    A case that a step makes NaN (``Iteration.healthy``) stops with the state before and is flagged in a variable
    ``quarantined``, unless the iteration sees to that itself, as ``fit`` does. ``summary`` counts and lists them.

    Args:
        iterations: by name; the names label ``dim``.
        cases: from ``product`` or ``zipped``. An iteration gets a dict of unbatched arrays.
        store: a directory for zarr v3, written chunk by chunk; read it with plain ``xarray.open_zarr``. What
            an interrupted sweep of the same configuration left there is kept, and only the rest is run; a
            finished one is returned as it is. Nothing that is whole is ever overwritten; a chunk whose files are
            lost or damaged is run again. One sweep at a time, or the processes of one: see ``sweeps.join``. Ctrl-C
            and SIGTERM end the sweep after the running chunk.
        resume: False refuses a store that is already there (to one process; several always go on).
        chunk_size: at most so many cases at once; by default 4,096 on a CPU and 65,536 elsewhere. A store
            keeps the one it began with.
        tile: lanes that are stepped together, 1 or rounded up to a multiple of 16; a lane that is done makes room for
            the next case. By default so many that the largest array of a step takes half a mebibyte on a CPU, and
            at most 128: known without a measurement, so that every run has the same. Another tile is another program,
            for a store too.
        progress: True for a bar of fits on stderr (silent where that is no terminal), or a function of (done,
            total).
        dims: names for the trailing dimensions of results and of vector-valued axes:
            ``{"mode_mass": ("mode",)}``.
        dim: the name of the iterations' dimension.
        config: settings that the cases do not show (tolerances, weights); part of the fingerprint, kept in
            the attributes. Numbers, strings, arrays, lists and dicts.
        derive: ``(result, case) -> further results``, a dict, for what all iterations have in common, such as
            diagnostics: one program for all of them, where in every ``Iteration.result`` it would be compiled anew.

    Raises:
        TypeError: iterations that are no dict of ``Iteration``, cases that are no ``Cases``, sizes that are no numbers.
        ValueError: nothing to run, names that clash, one result with two dtypes or shapes, a step that changes the
            dtypes or shapes of the state, a store that is an address (s3://...).
        FileExistsError: ``store`` holds something else. Raised before anything is computed.

    Examples:
        >>> fit = dj.fit(lambda params, case: (params - case["target"]) ** 2, jnp.zeros(()), optax.sgd(0.5))
        >>> table = dj.sweep({"squares": fit}, dj.sweeps.product(target=[1.0, 3.0]))
        >>> table.params.sel(divergence="squares").values.tolist()
        [1.0, 3.0]
    """
    check_arguments(iterations, cases, {"chunk_size": chunk_size, "tile": tile}, dims)
    found = None if store is None else peek(store)
    if found and not resume and this_process().count == 1:  # of several processes one finds what another began
        raise FileExistsError(f"Expected no store at {store}; got one. Pass resume=True to go on with it.")
    cases = canonical(cases)
    chunk = chunk_shape(cases.shape, default_chunk() if chunk_size is None else chunk_size)
    if found is not None and len(found.chunk) == len(chunk):
        chunk = found.chunk
    further = None if derive is None else _mapped(derive)
    with compilers() as begin:
        programs = []
        for each in iterations.values():
            programs.append(program(each, cases, math.prod(chunk), further, tile=tile))
            if found is None:  # all of it will run: compiled while the next one is traced
                begin(programs[-1].compile), begin(programs[-1].derive)
        results = dict(zip(iterations, (each.result for each in programs), strict=True))
        table = describe(cases, chunk, results, dim, dims or {})
        check_read(cases, programs)
        setting = configuration(table, results, config)
        table = table._replace(attributes=attributes(setting))
        texts = [each.text() for each in programs] if store is not None else []
        place = in_memory(table) if store is None else in_store(store, table, found, setting, texts, this_process())
        with place as sink, reporter(progress, len(iterations) * cases.size, sink.tally) as report:
            with interruptible(store) as stopped:
                fill(table, cases, programs, begin, sink, report, stopped)
            return sink.finish()


def check_read(cases: Cases, programs: Iterable[Program]) -> None:
    """Warns of an axis along which nothing differs. A column beside others that are read may be a label."""
    read = frozenset().union(*(each.reads for each in programs))
    if unread := [axis.dim for axis in cases.axes if read.isdisjoint(axis.columns)]:
        warnings.warn(
            f"No iteration reads {', '.join(map(repr, unread))} of the cases: along it all results are the same. "
            "Read it by case[...], or leave it out.",
            stacklevel=3,
        )


@contextmanager
def compilers() -> Iterator[Callable[[Callable | None], Future | None]]:
    """``begin(compile)`` has it done by a thread, once however often it is begun; None is nothing to do."""
    pool, futures = ThreadPoolExecutor(COMPILERS), {None: None}

    def begin(compile):
        if compile not in futures:
            futures[compile] = pool.submit(compile)
        return futures[compile]

    try:
        yield begin
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=32)
def _mapped(derive: Callable) -> Callable:
    return jax.jit(jax.vmap(derive))


def default_chunk() -> int:
    return CHUNK_SIZE if jax.default_backend() == "cpu" else CHUNK_SIZE_ELSEWHERE


def check_arguments(iterations: Any, cases: Any, sizes: dict[str, Any], dims: Any) -> None:
    if not isinstance(iterations, dict) or not all(isinstance(each, Iteration) for each in iterations.values()):
        got = {k: type(v).__name__ for k, v in iterations.items()} if isinstance(iterations, dict) else iterations
        raise TypeError(f"Expected iterations as {{name: Iteration}}; got {str(got)[:80]}. Pass {{name: dj.fit(...)}}.")
    if not iterations:
        raise ValueError("Expected at least one iteration; got none. Pass sweep({name: iteration}, cases).")
    if not isinstance(cases, Cases):
        raise TypeError(f"Expected cases from dj.sweeps.product or dj.sweeps.zipped; got {type(cases).__name__}.")
    for name, size in sizes.items():
        if size is not None and (not isinstance(size, int | np.integer) or isinstance(size, bool)):
            raise TypeError(f"Expected {name} to be an integer; got {size!r}. Pass a number of cases.")
        if size is not None and size < 1:
            raise ValueError(f"Expected {name} >= 1; got {size}. Pass a number of cases.")
    if dims is not None and (not isinstance(dims, dict) or any(isinstance(each, str) for each in dims.values())):
        raise TypeError(f"Expected dims as {{name: (dimension, ...)}}; got {dims!r}. Write ('mode',) for one.")


def fill(
    table: Table,
    cases: Cases,
    programs: list[Program],
    begin: Callable[[Callable | None], Future | None],
    sink: Sink,
    report: Callable[[], None],
    stopped: Callable[[], bool],
) -> None:
    """Runs what the sink does not have, until that is done or it is stopped. While a chunk is computed, those before
    are written and the next programs are compiled."""
    boxes = list(regions(cases.shape, table.chunk))
    shapes = [tuple(part.stop - part.start for part in box) for box in boxes]
    counts = np.array([math.prod(shape) for shape in shapes])
    num = math.prod(table.chunk)
    report()

    def load(block, rows):
        return take(cases, indices(boxes[block], cases.shape, rows))

    def settle(chunk):
        launch = chunk.launch
        result, derive = launch.runner().pytree, begin(programs[launch.iteration].derive)
        results = chunk.columns
        if derive is not None:
            results = results | named_leaves(derive.result()(result(results), load(launch.block, num)))
        values = {name: on_host(leaf, launch.size) for name, leaf in results.items()}
        shape = shapes[launch.block]
        values = {name: value.reshape(shape + value.shape[1:]) for name, value in values.items()}
        sink.write(launch.iteration, launch.block, boxes[launch.block], values)
        report()

    todo = np.argwhere(sink.mine & ~sink.done).tolist()
    for i, _ in todo:
        begin(programs[i].compile), begin(programs[i].derive)
    launches = (
        Launch(begin(programs[i].compile).result, programs[i].constants, i, block, int(counts[block]))
        for i, block in todo
    )
    for chunk in completed(takewhile(lambda _: not stopped(), launches), load, num):
        settle(chunk)


def on_host(leaf: jax.Array, num: int) -> np.ndarray:
    """The first ``num`` rows, without the padding, as they are stored."""
    return np.asarray(leaf)[:num].astype(stored_dtype(leaf.dtype), copy=False)


# --- Chunks under way, put together from lanes that finish in any order ------------------------------------


class Launch(NamedTuple):
    """A chunk to be run."""

    runner: Callable[[], Runner]  # waits for its compilation
    constants: dict[str, np.ndarray] | None
    iteration: int
    block: int
    size: int  # cases, without padding


class Chunk(NamedTuple):
    """A chunk that was launched and is not complete."""

    launch: Launch
    columns: dict[str, np.ndarray]
    missing: list[int]  # how many cases, one entry


def completed(launches: Iterable[Launch], load: Callable[[int, int], PyTree], num: int) -> Iterator[Chunk]:
    """Runs chunks of ``num`` cases, gives those that are complete. While the host is busy with one, the next runs.

    ``load(block, n)`` are the n cases of a block, padded.
    """
    threads = Threads()
    try:
        yield from _completed(threads, launches, load, num)
    finally:
        threads.close()


def _completed(threads, launches, load, num):
    chunks: dict[int, Chunk] = {}
    before = left = None
    for launch, following in pairwise(chain(launches, [None])):
        runner = launch.runner()
        if left is None:
            left = [(runner.begin, np.int32(0))] * len(runner.advance)
        slot = next(k for k in count() if k not in chunks)  # a lane's id says where it belongs: slot, then row
        chunks[slot] = opened(launch, runner, num)
        last = following is None or following.iteration != launch.iteration
        keep = 0 if last or len(chunks) > CROWD else runner.keep
        outcomes = advance(threads, runner, launch, load(launch.block, num), slot * num, left, keep)
        left = None if last else [(outcome.left, outcome.first) for outcome in outcomes]
        yield from put(chunks, before, num)
        before = outcomes
    yield from put(chunks, before, num)


def opened(launch: Launch, runner: Runner, num: int) -> Chunk:
    columns = {name: np.zeros((num, *leaf.shape), leaf.dtype) for name, leaf in runner.columns.items()}
    return Chunk(launch, columns, [launch.size])


def advance(
    threads: Threads, runner: Runner, launch: Launch, cases: PyTree, base: int, left: list[tuple], keep: int
) -> list[Outcome]:
    """The next call on every share."""
    futures = []
    for index, call in enumerate(runner.advance):
        mine = share(launch.size, len(runner.advance), index)
        rows = np.resize(mine, runner.rows) if mine.size else np.zeros(runner.rows, np.int32)
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], cases)
        arguments = (launch.constants, base + rows, part, np.int32(mine.size), *left[index], np.int32(keep))
        futures.append(threads.call(index, call, arguments))
    return [future.result() for future in futures]


def put(chunks: dict[int, Chunk], outcomes: list[Outcome] | None, num: int) -> list[Chunk]:
    """The finished lanes in their places; gives the chunks that are complete now, and forgets them."""
    for outcome in outcomes or ():
        finished = slice(int(outcome.first), int(outcome.last))
        slots, places = np.divmod(np.asarray(outcome.id)[finished], num)
        leaves = [np.asarray(leaf)[finished] for leaf in (*jax.tree.leaves(outcome.result), outcome.ill)]
        for slot in np.unique(slots).tolist():
            mine = slots == slot
            for column, leaf in zip(chunks[slot].columns.values(), leaves, strict=False):
                column[places[mine]] = leaf[mine]
            chunks[slot].missing[0] -= int(mine.sum())
    return [chunks.pop(slot) for slot in sorted(chunks) if chunks[slot].missing == [0]]
