"""What makes two sweeps the same sweep: everything that was asked for, as plain data, and its hash."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from divjax.sweeps.table import Table


def configuration(
    table: Table, results: dict[str, dict[str, jax.ShapeDtypeStruct]], config: dict[str, Any] | None
) -> dict[str, Any]:
    """Names, the axes' values and dtypes, the results' structure, versions, precision and the user's own
    settings.

    Not part of it: the chunk size, the machine, JAX's version.
    """
    return {
        "divjax": package_version(),
        "dtype": str(jax.dtypes.canonicalize_dtype(jnp.float64)),
        "dims": list(table.dims),
        "iterations": list(table.names),
        "axes": {name: [list(dims), plain(values)] for name, (dims, values) in table.coordinates.items()},
        "results": {
            iteration: {
                name: [list(table.variables[name].dims), list(leaf.shape), str(leaf.dtype)]
                for name, leaf in sorted(result.items())
            }
            for iteration, result in results.items()
        },
        "config": plain(config or {}),
    }


def attributes(setting: dict[str, Any]) -> dict[str, Any]:
    """What a table says of itself: versions, dtype, the user's settings (JSON) and the fingerprint."""
    return {
        "divjax": setting["divjax"],
        "jax": jax.__version__,
        "dtype": setting["dtype"],
        "config": json.dumps(setting["config"], sort_keys=True),
        "fingerprint": fingerprint(setting),
    }


def fingerprint(setting: dict[str, Any]) -> str:
    """sha256 of a configuration: the same on every machine and in every process."""
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """A setting as JSON: arrays become their dtype, shape and sha256, except scalars, which stay readable.

    Raises:
        ValueError: a value that has no content to compare (a function, an object).
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict() if all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case np.ndarray() | np.generic() | jax.Array() if value.dtype.kind in "biuf" and value.ndim == 0:
            return value.item()
        case np.ndarray() | np.generic() | jax.Array() if value.dtype.kind in "biufc":
            array = np.ascontiguousarray(value)
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest = hashlib.sha256(little.tobytes()).hexdigest()
            return {"dtype": str(value.dtype), "shape": list(np.shape(value)), "sha256": digest}
        case _:
            raise ValueError(
                f"Expected config of numbers, strings, arrays, lists, dicts by string; got {value!r}. "
                "Say what matters about it in numbers or words."
            )


def package_version() -> str:
    try:
        return version("divjax")
    except PackageNotFoundError:
        return "unknown"
