"""A public function as one compiled program, kept for the next call.

Op by op, a first call would compile hundreds of small programs, and every later one would start them one after another.
"""

import contextvars
import functools
import inspect
import types
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from divjax import status
from divjax.numerics.calls import callers_level, check_call

_DTYPES = "biufc"  # kinds of numpy dtypes that JAX has too
_Shape = jax.ShapeDtypeStruct


class _Form(NamedTuple):
    """What a program is made of: how its arguments are nested, and those that are no arrays, with their types."""

    structure: Any
    leaves: tuple[tuple[type, Any, Any] | int, ...]  # the number of an array; anything else with its type and contents
    is_checked: bool  # JAX's own debug switch, which functions look at too


class _AllSeen(BaseException):
    """Of a function that was shown its numbers, all have been looked at: the rest need not be traced."""


_UNSEEN: contextvars.ContextVar[set[int] | None] = contextvars.ContextVar("unseen", default=None)


def seen(number: Any) -> None:
    """Says that a number has been looked at, and is none to be refused."""
    unseen = _UNSEEN.get()
    if unseen is not None and id(number) in unseen:
        unseen.discard(id(number))
        if not unseen:
            raise _AllSeen


def unusual(function: Callable[..., Any], params: dict[str, Any]) -> dict[str, Any]:
    """``params`` but for numbers that the function has by itself: no program of their own, and often a longer one."""
    if not params:
        return params
    usual = getattr(inspect.unwrap(function), "__kwdefaults__", None) or {}
    return {name: x for name, x in params.items() if not (isinstance(x, float) and x == usual.get(name))}


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` compiled once for each structure of its arguments, also under an eager ``jax.grad`` or ``jax.vmap``.

    Arrays and floats are what the program takes: other values are the same program. An array that is given twice is one
    there too. Whole numbers, strings and functions are what it is made of, a function as ``jax.jit`` has it: what it
    closes over must not change; an object of one's own is another one where what it holds was changed. Within
    ``jax.jit`` nothing is left of the program, it is inlined. A number that is given by name is shown to ``function``
    once as it is, to be refused: a program does not see values. It is traced for that until the last of them has been
    looked at (``seen``). What raised NotImplementedError is not tried again.
    Arguments that hold anything else, such as a list, are passed to ``function`` as they are, but tables of
    numbers, which are arrays.
    """

    def filled(form, arrays):
        leaves = [arrays[each] if isinstance(each, int) else each[1] for each in form.leaves]
        args, kwargs = form.structure.unflatten(leaves)
        return function(*args, **kwargs)

    refusals: dict[Any, str] = {}
    program = jax.jit(filled, static_argnums=0, inline=True)

    look = functools.lru_cache(maxsize=4096)(functools.partial(_show_numbers, filled))

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            (args, kwargs), form, arrays = _read_and_parted((args, unusual(function, kwargs)))
            if form is None:
                return function(*args, **kwargs)
            for array in arrays:
                warn_of_rounding(array)
            if numbers := _known_numbers(args, kwargs):
                look(form, tuple(float(x) if any(x is each for each in numbers) else _shape(x) for x in arrays))
            shapes = tuple(map(_shape, arrays)) if refusals else None
            if (form, shapes) in refusals:
                raise NotImplementedError(refusals[form, shapes])
            try:
                return program(form, arrays)
            except NotImplementedError as error:  # it was traced for nothing, and is not again
                _remember(refusals, (form, tuple(map(_shape, arrays))), str(error))
                raise
        except TypeError:
            check_call(function, args, kwargs)
            raise

    return call


def _show_numbers(filled: Callable[..., Any], form: _Form, values: tuple[Any, ...]) -> None:
    """Lets a function refuse the numbers among the values, by tracing it until all have been looked at."""

    def shown(hidden):
        hidden = iter(hidden)
        return filled(form, [next(hidden) if isinstance(each, _Shape) else each for each in values])

    token = _UNSEEN.set({id(each) for each in values if isinstance(each, float)})
    try:
        jax.eval_shape(shown, [each for each in values if isinstance(each, _Shape)])
    except _AllSeen:
        pass
    finally:
        _UNSEEN.reset(token)


def warn_of_rounding(array: Any) -> None:
    """AccuracyWarning for data in double precision that are farther from 0 than single precision can tell them apart,
    where that is what JAX computes in: times in seconds, say, or coordinates on a map."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim == 0 or jax.config.jax_enable_x64:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns that are all NaN, or infinite
        low, high = np.nanmin(array, axis=0, initial=np.inf), np.nanmax(array, axis=0, initial=-np.inf)
        rounding, spread = np.maximum(-low, high) * 2.0**-24, high - low
        lost = np.where((rounding > 1e-4 * spread) & (spread > 0.0), rounding / spread, 0.0)
    if np.any(lost):
        worst = np.argmax(lost)
        warnings.warn(
            f"Expected data that float32 resolves; got values over a range of {spread.flat[worst]:.3g}, each "
            f"moved by up to {rounding.flat[worst]:.3g} by rounding. Subtract their mean, or set jax_enable_x64.",
            status.AccuracyWarning,
            stacklevel=callers_level(),
        )


def of_structure(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``function`` of a pytree whose answer depends on its structure, shapes and dtypes alone: asked once for each.

    Nothing is computed for it: it is asked of abstract arrays, which its answer must not hold.
    """

    @functools.lru_cache(maxsize=1024)
    def asked(structure, shapes):
        found = []
        jax.eval_shape(lambda leaves: found.append(function(structure.unflatten(leaves))), list(shapes))
        return found[0]

    @functools.wraps(function)
    def call(tree):
        leaves, structure = jax.tree.flatten(tree)
        return asked(structure, tuple(map(_shape, leaves)))

    return call


def _read_and_parted(given):
    """Arguments, tables of other libraries made arrays where they have no form as they are, their form and arrays."""
    form, arrays = _parted(given)
    if form is None:
        given = jax.tree.map(_read, given, is_leaf=_is_list)
        form, arrays = _parted(given)
    return given, form, arrays


def _parted(given):
    """The form of arguments and the arrays in them; no form where what is no array cannot be compared."""
    leaves, structure = jax.tree.flatten(given, is_leaf=_is_list)
    if any(map(_is_closed, leaves)):
        return _parted(structure.unflatten(map(_opened, leaves)))
    # An array is known again by itself; a number is another one wherever it stands.
    keys = [id(leaf) if isinstance(leaf, jax.Array | np.ndarray) else place for place, leaf in enumerate(leaves)]
    arrays = {key: leaf for key, leaf in zip(keys, leaves, strict=True) if _is_array(leaf)}
    order = {key: number for number, key in enumerate(arrays)}
    described = [
        order[key] if key in order else (type(leaf), leaf, contents(leaf))
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    form = _Form(structure, tuple(described), jax.config.jax_enable_checks)
    try:
        hash(form)
    except TypeError:
        return None, []
    return form, list(arrays.values())


def contents(value: Any, depth: int = 4) -> Any:
    """What an object of one's own holds, to be compared: an object is one and the same also after it was changed."""
    if isinstance(value, jax.core.Tracer) or depth == 0:
        return id(value)
    if isinstance(value, jax.Array | np.ndarray):
        if jnp.issubdtype(value.dtype, jax.dtypes.extended):
            return id(value)
        value = np.asarray(value)
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, type | types.FunctionType | types.MethodType | types.BuiltinFunctionType | types.ModuleType):
        return None  # known by itself
    if isinstance(value, dict | list | tuple):
        items = sorted(value.items(), key=repr) if isinstance(value, dict) else value
        return tuple(contents(each, depth - 1) for each in items)
    if hasattr(value, "__dict__"):
        return contents(vars(value), depth - 1)
    return value if isinstance(value, float | int | str | bytes | complex | None) else id(value)


def _is_list(node):
    return isinstance(node, list)


def _read(leaf):
    """A table of numbers of another library as an array; anything else as it is."""
    if isinstance(leaf, jax.Array | np.ndarray | np.generic) or not hasattr(leaf, "__array__"):
        return leaf
    array = of_host(leaf)
    return array if array.dtype.kind in "iuf" else leaf


def of_host(value: Any) -> np.ndarray:
    """An array, or a table of another library, as numpy has it; a missing number of pandas is NaN."""
    array = np.asarray(value)
    if array.dtype == object and callable(getattr(value, "to_numpy", None)):
        try:
            return value.to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError):  # of what are no numbers
            return array
    return array


def _is_closed(leaf):
    return isinstance(leaf, functools.partial) and not isinstance(leaf, jax.tree_util.Partial)


def _opened(leaf):
    """A partial function as what it is made of: two of one function and other numbers are one program."""
    return jax.tree_util.Partial(leaf.func, *leaf.args, **leaf.keywords) if _is_closed(leaf) else leaf


def _is_array(leaf):
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.kind in _DTYPES
    return isinstance(leaf, jax.Array | float)


def _is_known_number(leaf):
    return _is_array(leaf) and not isinstance(leaf, jax.core.Tracer) and np.ndim(leaf) == 0 and _is_real(leaf)


def _remember(refusals, call, text):
    if len(refusals) >= 4096:
        refusals.clear()
    refusals[call] = text


def _known_numbers(args, kwargs):
    """Those that are given by name, to the function or to a part of it."""
    named = (kwargs, [each.keywords for each in args if isinstance(each, functools.partial)])
    return [leaf for leaf in jax.tree.leaves(named) if _is_known_number(leaf)]


def _is_real(leaf):
    return isinstance(leaf, float) or leaf.dtype.kind in "biuf"


def _shape(array):
    return _Shape(np.shape(array), jax.dtypes.result_type(array))
