"""What has been measured, in a file beside the report: the same command reads it, and goes on from there.

One JSON object, {"comparison": digest, "steps": {name: what was found}}, written anew and whole after every step.
Numbers as Python prints them, so that they come back bit by bit.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = "measurements.json"


class Kept:
    """A table of the steps' results by name; without a path it is forgotten with the process."""

    def __init__(self, path: Path | None = None, digest: str = ""):
        """Raises ValueError for a file that is of another comparison, or damaged."""
        self.path, self.digest = path, digest
        self.steps: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            of, self.steps = found["comparison"], dict(found["steps"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"Expected measurements in {str(path)!r}; got a damaged file. Remove it.") from None
        if of != digest:
            raise ValueError(
                f"Expected --out without other results; got {str(path)!r}, of another input. Name another."
            )

    def once(self, step: str, measure: Callable[..., Any], *arguments: Any) -> Any:
        """What is known of this step, or what measure(*arguments) gives, which is kept: a named tuple as a dict."""
        if step not in self.steps:
            found = measure(*arguments)
            self.steps[step] = found._asdict() if hasattr(found, "_asdict") else found
            self._write()
        return self.steps[step]

    def _write(self):
        if self.path is None:
            return
        from divjax.sweeps.marks import put  # not at the start of every command

        text = json.dumps({"comparison": self.digest, "steps": self.steps})
        put(self.path, text.encode(), self.path.with_name(f".{os.getpid()}.{FILE}"))


def packed(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel().tolist()}


def unpacked(found: dict[str, Any]) -> np.ndarray:
    return np.array(found["values"], found["dtype"]).reshape(found["shape"])
