"""What models are given, checked where it is known while tracing: names, whole numbers, positive ones."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import ArrayLike


def check_names(params: Any, *names: str) -> None:
    """TypeError for parameters that are no dict, ValueError for a dict without one of the names."""
    if not isinstance(params, Mapping):
        raise TypeError(f"Expected a dict with {', '.join(names)}; got {type(params).__name__}.")
    if missing := [name for name in names if name not in params]:
        raise ValueError(
            f"Expected a dict with {', '.join(names)}; got {', '.join(map(str, params)) or 'an empty one'}. "
            f"Add {', '.join(missing)}."
        )


def check_whole(value: Any, name: str, low: int = 1) -> None:
    """TypeError for what is no integer, ValueError for one below ``low``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"Expected {name} to be a whole number; got {value!r:.60}.")
    if value < low:
        raise ValueError(f"Expected {name} >= {low}; got {value}.")


def check_positive(value: ArrayLike, name: str) -> None:
    """ValueError where a value that is not traced is 0 or below, or NaN."""
    if is_known(value) and not np.all(np.asarray(value) > 0.0):
        raise ValueError(f"Expected {name} > 0; got {np.asarray(value).tolist()!r:.60}.")


def is_known(value: Any) -> bool:
    """Whether its values can be looked at: it is not traced."""
    return not isinstance(value, jax.core.Tracer)
