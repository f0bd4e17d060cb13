"""Functions of the user's: that they take what they will be given, and what they do not find there, said by name."""

import difflib
import functools
from collections.abc import Callable
from typing import Any

from divjax.numerics.calls import described, unfit


def callback(function: Callable[..., Any], role: str, *names: str, remedy: str = "") -> Callable[..., Any]:
    """``function``, to be called with ``names`` by their place.

    TypeError at once where it is no function, with the remedy, or one that cannot be called so. Where it asks one of
    them for a name that is not there, or a case that is none for any, the error says what there is.
    """
    call = f"{role}({', '.join(names)})"
    if not callable(function):
        raise TypeError(
            f"Expected {role} to be a function; got {type(function).__name__}. {remedy or f'Write {call}.'}"
        )
    if (given := unfit(function, names, {})) is not None:
        got = ", ".join(given)
        raise TypeError(f"Expected a function {call}; got one of ({got}). Give it all, also what it does not read.")

    @functools.wraps(function)
    def called(*given):
        try:
            return function(*given)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            if (told := _told(error, call, dict(zip(names, given, strict=True)))) is None:
                raise
            raise type(error)(told) from error

    return called


def _told(error, call, given):
    """In words, for an error that comes of what was given; None for any other."""
    asked = error.args[0] if isinstance(error, KeyError) and error.args else None
    named = {name: list(value) for name, value in given.items() if isinstance(value, dict)}
    if isinstance(asked, str) and not any(asked in keys for keys in named.values()):
        return _of_unknown(asked, call, given, named)
    if given.get("case", 0) is None and "None" in str(error):
        return f"Expected a case for {call}, which reads one; got none. Give it one: dj.run(iteration, case)."
    if "string ind" in str(error) and "case" in given and "case" not in named:
        got = described(given["case"])
        return f"Expected a case with the names that {call} reads; got {got}. Write dj.run(iteration, dict(name=...))."
    return None


def _of_unknown(asked, call, given, named):
    if not named:
        return None
    there = [f"{name}: {', '.join(map(repr, keys))}" for name, keys in named.items()]
    near = [
        f"{name}[{key!r}]"
        for name, keys in named.items()
        for key in difflib.get_close_matches(asked, map(str, keys), 1)
    ]
    remedy = f"Did you mean {near[0]}?" if near else "Look at how it is spelt there."
    return f"Expected a name that {call} is given ({'; '.join(there)}); got {asked!r}. {remedy}"
