"""What models are given, checked where it is known while tracing: names, positive numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from divjax.checks import is_known


def check_names(params: Any, *names: str) -> None:
    """TypeError for parameters that are no dict, ValueError for a dict without one of the names."""
    if not isinstance(params, Mapping):
        raise TypeError(f"Expected a dict with {', '.join(names)}; got {type(params).__name__}.")
    if missing := [name for name in names if name not in params]:
        raise ValueError(
            f"Expected a dict with {', '.join(names)}; got {', '.join(map(str, params)) or 'an empty one'}. "
            f"Add {', '.join(missing)}."
        )


def check_positive(value: ArrayLike, name: str) -> None:
    """ValueError where a value that is not traced is 0 or below, or NaN."""
    if is_known(value) and not np.all(np.asarray(value) > 0.0):
        raise ValueError(f"Expected {name} > 0; got {np.asarray(value).tolist()!r:.60}.")
