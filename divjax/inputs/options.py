"""What the commands share of what users type: numbers, lists, and the options that several of them have."""

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

Out = Annotated[Path, typer.Option(help="Folder for the results and the figures.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]

MOST = 1e6  # beyond, float32 does not resolve a mode of width 1


def numbers(text: str, name: str) -> list[float]:
    """ "2.5,5,10" -> [2.5, 5.0, 10.0], all finite."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"Expected {name} as numbers separated by commas, such as 1,2.5; got {text!r}.") from None
    if not all(map(math.isfinite, values)):
        raise ValueError(f"Expected finite {name}; got {text!r}. Leave out nan and inf.")
    return values


def grid(text: str, name: str) -> list[float]:
    """ "0:16:33" -> 33 evenly spaced values from 0 to 16; or a list as in ``numbers``. Each value once."""
    if ":" not in text:
        values = numbers(text, name)
    else:
        parts = text.split(":")
        if len(parts) != 3 or not parts[2].isdigit() or not 1 <= int(parts[2]) <= 10**6:
            raise ValueError(
                f"Expected {name} as START:STOP:COUNT with COUNT from 1 to 10^6, such as 0:16:33; got {text!r}."
            )
        low, high = numbers(f"{parts[0]},{parts[1]}", name)
        values = [float(value) for value in np.linspace(low, high, int(parts[2]))]
    if max(map(abs, values)) > MOST or min(values) < 0.0:
        raise ValueError(f"Expected {name} from 0 to {MOST:g}; got {text!r}. They are distances of the modes.")
    if len(set(np.float32(values).tolist())) < len(values):
        raise ValueError(f"Expected different {name}; got {text!r}, where one stands twice. Give each of them once.")
    return values


def names(text: str, what: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts) or len(set(parts)) < len(parts):
        raise ValueError(f"Expected different {what} separated by commas, each once; got {text!r}.")
    return parts


def check_least(name: str, number: int, least: int) -> None:
    """ValueError for ``--name`` below the least that means something."""
    if number < least:
        raise ValueError(f"Expected --{name} >= {least}; got {number}.")
