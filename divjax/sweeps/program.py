"""One iteration as a program over chunks of cases: its shapes, its text, its compilation."""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from divjax.sweeps import lanes
from divjax.sweeps.cases import Cases, take
from divjax.sweeps.devices import compiled, on_each, shares
from divjax.sweeps.table import named_leaves
from divjax.training.iteration import Iteration, bound

Like = jax.ShapeDtypeStruct
NONE = np.zeros(0, np.int32)  # no index: what a case looks like, without one
FLAG = "quarantined"
# Bytes that the largest array within a step may take in a tile, and the widest tile. On a CPU a few such arrays fit
# into the cache of a core; other devices are to be filled.
ROOM, ROOM_ELSEWHERE = (2**19, 128), (2**26, 8192)
CARRY = 4  # tiles in a chunk, from which on what does not fill a tile waits for the next chunk


class Program(NamedTuple):
    """One iteration over chunks of a fixed number of cases."""

    result: dict[str, jax.ShapeDtypeStruct]  # of one case
    reads: frozenset[str]  # names of the cases on which anything depends
    text: Callable[[], str]  # what will run, as text: equal texts give equal results
    compile: Callable[[], "Runner"]  # the same function for iterations that differ in their constants alone
    derive: Callable[[], Callable] | None  # compiles what is derived: the same function for results that look the same
    constants: dict[str, np.ndarray] | None = None


class Runner(NamedTuple):
    """A compiled program."""

    advance: list[Callable[..., lanes.Outcome]]  # constants, lanes -> ``lanes.advance`` of a share
    begin: list[np.ndarray]  # what the first calls find as left: nothing
    rows: int  # of a share, the padding included
    keep: int  # so many unfinished lanes of a share may wait for the next chunk
    columns: dict[str, jax.ShapeDtypeStruct]  # what ``advance`` gives for one case, by name
    pytree: Callable[[dict[str, np.ndarray]], PyTree]  # these -> what the iteration returned


def program(
    iteration: Iteration,
    cases: Cases,
    num: int,
    derive: Callable | None = None,
    *,
    tile: int | None = None,
) -> Program:
    """``num`` cases at a time, traced here, compiled when asked; then ``derive``, jitted by its owner.

    Kept in the process for the next sweep of the same iteration, the same functions, over cases of the same shapes.
    """
    leaves, structure = jax.tree.flatten(case := take(cases, NONE))
    shapes = tuple((leaf.shape[1:], leaf.dtype) for leaf in leaves)
    where = (jax.default_backend(), jax.config.jax_enable_x64, jax.config.jax_default_device)
    constants = iteration.constants and {name: np.asarray(value) for name, value in iteration.constants.items()}
    if constants and (both := constants.keys() & case.keys()):
        raise ValueError(f"Expected constants that no case has; got {sorted(both)}. Rename them.")
    outlines = constants and tuple((name, value.shape, value.dtype) for name, value in constants.items())
    arguments = (iteration._replace(check=None, constants=None), outlines, structure, shapes, num, derive, tile, where)
    try:
        hash(arguments)
    except TypeError:
        return of_constants(_program.__wrapped__(*arguments), constants)
    return of_constants(_program(*arguments), constants)


def of_constants(program: Program, constants: dict[str, np.ndarray] | None) -> Program:
    """The program that several iterations may share, as that of one of them."""
    if constants is None:
        return program
    values = {name: value.tolist() for name, value in constants.items()}
    return program._replace(constants=constants, text=lambda: f"{program.text()}{values}")


@lru_cache(maxsize=32)
def _program(iteration, outlines, structure, shapes, num, derive, tile, where):
    iteration = Iteration(*(part and once(part) for part in iteration))
    constants = outlines and {name: Like(*each) for name, *each in outlines}
    case = structure.unflatten([Like(*each) for each in shapes])
    state, width = outlined(iteration, case if constants is None else {**case, **constants}, num, tile)
    like = lanes.Lanes(Like((), np.int32), case, state, Like((), bool))
    count = shares(num, width)
    lowered = [each.lower() for each in trace(iteration, like, constants, num, width, count)]
    one = jax.tree.map(unbatched, lowered[0].out_info.result)
    leaves, flag = named_leaves(one), {} if iteration.healthy is None else {FLAG: like.ill}
    derived = None if derive is None else derivation(derive, one, case, num, where)
    more = {} if derived is None else jax.tree.map(unbatched, named_leaves(derived.lowered.out_info))
    check_names(leaves, more, flag)

    whole = jax.jit(partial(lane, iteration)).trace(state, case, constants)
    reads = read(whole, state, case) | (frozenset() if derived is None else read(derived.traced, one, case))

    @cache
    def text():
        """Of a lane: how many of them run beside it makes no difference, but for how many are stepped together."""
        return f"{whole.lower().as_text()}{width}" + ("" if derived is None else derived.lowered.as_text())

    def pytree(columns):
        return jax.tree.structure(one).unflatten([columns[name] for name in leaves])

    begin = jax.tree.map(blank, jax.eval_shape(lanes.pack, batched(like, width)))

    @cache
    def compile_all():
        rows = share_rows(num, count, width)
        keep = width - 1 if rows >= CARRY * width else 0
        made = [compiled(each) for each in lowered]
        programs = made if len(made) == count else made * count  # shares of one device have one
        return Runner(programs, begin, rows, keep, leaves | flag, pytree)

    return Program(leaves | more | flag, reads, text, compile_all, derived and compiler(derived.lowered))


def outlined(iteration: Iteration, case: PyTree, num: int, tile: int | None) -> tuple[PyTree, int]:
    """What a state looks like, and how many lanes are stepped together."""
    state = jax.eval_shape(iteration.init, case)
    check_step(iteration, state, case)
    # Of the whole chunk, so that it is the same on any number of devices.
    width = min(default_tile(iteration, state, case) if tile is None else tile, num)
    return state, round_up(width, lanes.WIDTH) if width > 1 else 1


def lane(iteration: Iteration, state: PyTree, case: PyTree, constants: dict[str, Any] | None) -> Any:
    """Every part of an iteration, once."""
    iteration = bound(iteration, constants)
    parts = (iteration.init(case), iteration.step(state, case), iteration.done(state), iteration.result(state, case))
    return parts if iteration.healthy is None else (*parts, iteration.healthy(state))


def read(program: jax.stages.Traced, before: PyTree, case: dict[str, PyTree]) -> frozenset[str]:
    """The names of a case of which a program that takes it after ``before`` reads anything."""
    jaxpr = program.jaxpr.jaxpr
    used = {id(var) for equation in jaxpr.eqns for var in equation.invars} | {id(var) for var in jaxpr.outvars}
    names = [name for name, leaves in sorted(case.items()) for _ in jax.tree.leaves(leaves)]
    given = jaxpr.invars[len(jax.tree.leaves(before)) :]
    return frozenset(name for name, var in zip(names, given, strict=False) if id(var) in used)  # constants come after


class Derived(NamedTuple):
    """What is computed from results and cases together, traced and lowered."""

    traced: jax.stages.Traced
    lowered: jax.stages.Lowered


def derivation(derive: Callable, result: PyTree, case: PyTree, num: int, where: tuple) -> Derived:
    """What is derived from ``num`` results and cases, kept for the next iteration whose results look the same."""
    leaves, structure = jax.tree.flatten((batched(result, num), batched(case, num)))
    return _derivation(derive, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), where)


@lru_cache(maxsize=32)
def _derivation(derive, structure, shapes, where):
    traced = derive.trace(*structure.unflatten([Like(*each) for each in shapes]))
    return Derived(traced, traced.lower())


@lru_cache(maxsize=32)
def compiler(lowered: jax.stages.Lowered) -> Callable[[], Callable]:
    """The same function each time, so that who asks for it twice knows."""
    return cache(partial(compiled, lowered))


def trace(
    iteration: Iteration, like: lanes.Lanes, constants: dict[str, Like] | None, num: int, width: int, count: int
) -> list[Any]:
    """``lanes.advance`` on each device, traced for one of ``count`` shares of ``num`` cases."""
    rows, whole = share_rows(num, count, width), Like((), np.int32)
    left = jax.eval_shape(lanes.pack, batched(like, width))
    arguments = (constants, batched(like.id, rows), batched(like.case, rows), whole, left, whole, whole)
    return on_each(partial(lanes.advance, iteration, like, tile=width), arguments, count)


def share_rows(num: int, count: int, width: int) -> int:
    """Rows of one of ``count`` shares of a chunk: whole tiles."""
    return round_up(-(-num // count), width)


def default_tile(iteration: Iteration, state: PyTree, case: PyTree) -> int:
    """As many lanes as leave a step's largest array in cache: known from the trace, so the same in every run.

    A measured width would not be, and another width may round otherwise. A step with so much to do that fewer than
    ``WIDTH`` would fit fills the vector units by itself: then one lane at a time, so that none is stepped for nothing.
    """
    room, widest = ROOM if jax.default_backend() == "cpu" else ROOM_ELSEWHERE
    step = jax.make_jaxpr(iteration.step)(state, case)
    largest = max((var.aval.size * var.aval.dtype.itemsize for var in variables(step.jaxpr)), default=1)
    fit = room // max(largest, 1)
    return min(fit // lanes.WIDTH * lanes.WIDTH, widest) if fit >= lanes.WIDTH else 1


def variables(jaxpr: Any) -> Iterator[Any]:
    """Every array that a program computes, those of its inner programs too."""
    for equation in jaxpr.eqns:
        yield from (var for var in equation.outvars if hasattr(var.aval, "size"))
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda node: hasattr(node, "eqns")):
            if hasattr(inner, "eqns"):
                yield from variables(inner)


def check_step(iteration: Iteration, state: PyTree, case: PyTree) -> None:
    """A step gives a state like the one it got, and ``done`` and ``healthy`` a truth value."""

    def outline(tree):
        return {
            jax.tree_util.keystr(path): (leaf.shape, str(leaf.dtype))
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }

    before, after = outline(state), outline(jax.eval_shape(iteration.step, state, case))
    if before != after:
        name = next(key for key in [*before, *after] if before.get(key) != after.get(key))
        raise ValueError(
            f"Expected a step to keep shapes and dtypes; got {before.get(name)} -> {after.get(name)} at state{name}. "
            "Give init the dtype that the step computes."
        )
    for name, verdict in (("done", iteration.done), ("healthy", iteration.healthy)):
        out = None if verdict is None else jax.eval_shape(verdict, state)
        if verdict is not None and (getattr(out, "shape", None), getattr(out, "dtype", None)) != ((), bool):
            raise ValueError(f"Expected {name}(state) to give one truth value; got {out}. Use jnp.all or jnp.any.")


def check_names(leaves: dict, more: dict, flag: dict) -> None:
    if both := leaves.keys() & more.keys():
        raise ValueError(
            f"Expected new names from derive; got {sorted(both)}, which the iterations return. Rename them."
        )
    if both := flag.keys() & (leaves.keys() | more.keys()):
        raise ValueError(
            f"Expected results without {FLAG!r}, the engine's own; got {sorted(both)}. Rename it, or pass healthy=None."
        )


def once(function: Callable) -> Callable:
    """The function, traced but once however often it is used."""
    return jax.jit(lambda *args: function(*args), inline=True)


def blank(leaf: jax.ShapeDtypeStruct) -> Any:
    """Zeros, on the host where numpy knows the dtype: nothing to compile."""
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    return (jnp if is_key else np).zeros(leaf.shape, leaf.dtype)


def batched(tree: PyTree, num: int) -> PyTree:
    return jax.tree.map(lambda leaf: Like((num, *leaf.shape), leaf.dtype), tree)


def unbatched(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return Like(leaf.shape[1:], leaf.dtype)


def round_up(num: int, multiple: int) -> int:
    return -(-num // multiple) * multiple
