"""What may be known while a program is traced, a bool, or not, an array: nothing is computed where bools say it all."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Truth = bool | Array


def also(x: Truth, y: Truth) -> Truth:
    """Whether both hold."""
    if _is_known(x):
        return y if x else False
    return also(y, x) if _is_known(y) else x & y


def either(x: Truth, y: Truth) -> Truth:
    """Whether one of the two holds, or both."""
    if _is_known(x):
        return True if x else y
    return either(y, x) if _is_known(y) else x | y


def one_alone(x: Truth, y: Truth) -> Truth:
    """Whether one of the two holds, and the other does not."""
    if _is_known(x):
        return y if not x else (not y if _is_known(y) else ~y)
    return one_alone(y, x) if _is_known(y) else x ^ y


def choose(condition: Truth, x: Any, y: Any) -> Any:
    """x where the condition holds, else y: that one alone where it is known, and x where both are the same number."""
    if _is_known(condition):
        return x if condition else y
    if isinstance(x, bool | float) and type(x) is type(y) and x == y:
        return x
    return jnp.where(condition, x, y)


def _is_known(x: Truth) -> bool:
    return isinstance(x, bool | np.bool_)
