"""Calls that do not fit a function, and names that are not there: said in one line, once the call has failed."""

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# How a call is written out for whom it failed.
_EXAMPLES = {"key": "jax.random.key(0)", "kernel": "dj.kernels.rbf(1.0)", "num_draws": "1000"}
# What parameters are called elsewhere. The first that a function has is meant.
_ELSEWHERE = {
    "p": ("order", "alpha"),
    "order": ("alpha",),
    "T": ("temperature",),
    "tau": ("temperature",),
    "n": ("num_draws", "num_directions"),
    "size": ("num_draws",),
    "num_samples": ("num_draws",),
    "n_samples": ("num_draws",),
    "n_projections": ("num_directions",),
    "num_projections": ("num_directions",),
    "seed": ("key",),
    "rng": ("key",),
    "reg": ("epsilon",),
    "bandwidth": ("kernel",),
    "gamma": ("kernel",),
    "sigma": ("kernel",),
    "num_neighbors": ("k",),
    "n_neighbors": ("k",),
}


def said(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, whose calls that do not fit its signature are said in one line of ours."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except TypeError:
            check_call(function, args, kwargs)
            raise

    return call


def check_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """TypeError, in one line, where the arguments do not fit the signature of a function."""
    if (given := unfit(function, args, kwargs)) is not None:
        name = getattr(function, "__name__", "the function")
        raise TypeError(_unknown(name, given, kwargs) or _unfit(name, given, args, kwargs)) from None


def unfit(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, inspect.Parameter] | None:
    """The parameters of a function that cannot be called with these arguments; None if it can, or does not say."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is not written in Python
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return signature.parameters
    return None


@functools.lru_cache(maxsize=1024)
def check_names(function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """TypeError for parameters by name that a function of a measure has not."""
    check_call(function, ("the measure",), dict.fromkeys(names))


def _unknown(name, given, kwargs):
    """Of names that the function has not; None where it has all."""
    by_name = [each for each, what in given.items() if what.kind is not what.POSITIONAL_ONLY]
    unknown = [each for each in kwargs if each not in by_name]
    if not unknown:
        return None
    takes = [each for each in by_name if given[each].kind is given[each].KEYWORD_ONLY]
    expected = f"the parameter{'s' * (len(takes) > 1)} {_listed(takes)}" if takes else "no parameters"
    meant = _meant(unknown[0], takes) if takes else None
    remedy = f"Did you mean {meant}=?" if meant else f"Choose one of {_listed(takes)}." if takes else "Leave it out."
    return f"Expected {expected} for {name}; got {unknown[0]}=. {remedy}"


def _meant(unknown, takes):
    near = difflib.get_close_matches(unknown, takes, 1)
    known = [each for each in _ELSEWHERE.get(unknown, ()) if each in takes]
    return next(iter(known or near or (takes if len(takes) == 1 else ())), None)


def _unfit(name, given, args, kwargs):
    """Of too few arguments, or too many by their place."""
    free = [each for each, what in given.items() if what.kind in (what.VAR_POSITIONAL, what.VAR_KEYWORD)]
    needed = [each for each, what in given.items() if what.default is what.empty and each not in free]
    by_place = [each for each in needed if given[each].kind is not given[each].KEYWORD_ONLY]
    got = [*map(described, args), *(f"{each}=" for each in kwargs)]
    named = [each for each in given if given[each].kind is given[each].KEYWORD_ONLY]
    more = [each for each in named if each in needed or each in kwargs]
    if len(args) > len(by_place) and not more:
        more = named[:1]
    written = [_EXAMPLES.get(each, each) for each in by_place]
    written += [f"{each}={_EXAMPLES.get(each, '...')}" for each in more]
    if free and not needed:
        return f"Expected parameters by name for {name}; got {', '.join(got)}. Write {name}(name=...)."
    key = "A key comes first: write" if by_place[:1] == ["key"] else "Write"
    return (
        f"Expected {_listed(needed)} for {name}{', and other parameters by name' * (len(args) > len(by_place))}; got "
        f"{', '.join(got) or 'nothing'}. {key} {name}({', '.join(written)})."
    )


def callers_level() -> int:
    """The ``stacklevel`` with which a warning names the line of the user's that led to it, however it got here."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ("divjax", "jax"):
        frame, level = frame.f_back, level + 1
    return level


def is_law_like(value: Any) -> bool:
    """Whether it looks like a distribution, of whatever library: it has a log-density, or can be made to have one."""
    asked = ("log_prob", "log_pdf", "to_nat")
    return any(callable(getattr(value, each, None)) for each in asked) or any(
        kind.__module__.startswith("scipy.stats") for kind in type(value).__mro__
    )


def described(value: Any) -> str:
    """What came, in a word or two: an array by its shape, anything else by its class."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "__array__"):
        return f"an array of shape {tuple(map(int, shape))}"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def by_name(function: Callable[..., Any], value: Any) -> str | None:
    """How a value is given to the only parameter of a function of a measure, ``alpha=2.0``; None if it has not one."""
    _, *names = inspect.signature(function).parameters
    return f"{names[0]}={value}" if len(names) == 1 and isinstance(value, int | float) else None


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def own(module: str, *more: str) -> Callable[[], list[str]]:
    """The ``__dir__`` of a module that is a public room: what is defined there, and ``more``, not what it imports."""

    def listed():
        names = vars(sys.modules[module]).items()
        return sorted({*more, *(name for name, value in names if name[0] != "_" and _is_own(module, value))})

    return listed


def _is_own(module, value):
    return not inspect.ismodule(value) and getattr(value, "__module__", module) == module


def meant(module: str, elsewhere: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module: AttributeError that names the nearest name, in there or in ``divjax``.

    elsewhere: what other libraries call its names.
    """
    return functools.partial(_missing, module, elsewhere or {})


def _missing(module: str, elsewhere: Mapping[str, str], name: str) -> Any:
    room = sys.modules[module]
    shown = f"module {module!r} has no attribute {name!r}."
    if name.startswith("_"):
        raise AttributeError(shown, name=name)
    own = [each for each, value in vars(room).items() if not each.startswith("_") and not inspect.ismodule(value)]
    library = getattr(sys.modules.get("divjax"), "__all__", ())
    if known := elsewhere.get(name):
        shown += f" Did you mean {known}?"
    elif name in library:
        shown += f" Did you mean dj.{name}?"
    elif near := difflib.get_close_matches(name, own, 1):
        shown += f" Did you mean {near[0]}?"
    raise AttributeError(shown, name=name)
