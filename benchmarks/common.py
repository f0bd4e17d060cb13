"""What every benchmark shares: timing in turn, the machine, target beside measurement, the results file."""

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np


class Row(NamedTuple):
    """A figure to reach: ``measured`` must not exceed ``target``, or, for ``at_least``, not fall below it."""

    what: str
    target: float
    measured: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.target if self.at_least else self.measured <= self.target


def clock(run: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each, round by round: everything in turn, so that a busy machine slows all alike.

    Each runs once untimed before it is timed: the memory its predecessor gives back and the caches it left are
    not its own cost.
    """
    seconds: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(rounds):
        for name, step in run.items():
            step()
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.asarray(values) for name, values in seconds.items()}


def ratio(seconds: dict[str, np.ndarray], name: str, other: str) -> float:
    """The median over rounds of the ratio in the round."""
    return float(np.median(seconds[name] / seconds[other]))


def machine() -> dict[str, str | int]:
    """What was computed on: no host names."""
    device = jax.devices()[0].device_kind
    if jax.default_backend() == "cpu":
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        device = names[0] if names else platform.machine()
    return {"backend": jax.default_backend(), "device": device, "cores": os.cpu_count() or 1, "jax": jax.__version__}


def torch_device(torch) -> str:
    """Where JAX computes, so that a peer on torch has the same machine."""
    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def show(rows: list[Row]) -> bool:
    """Prints target and measurement side by side; whether all are met."""
    for row in rows:
        sign = ">=" if row.at_least else "<="
        verdict = "ok" if row.met else "MISSED"
        print(f"  {row.what:60s} target {sign} {row.target:8.3g}   measured {row.measured:8.3g}   {verdict}")
    return all(row.met for row in rows)


def save(name: str, rows: list[Row], content: dict, folder: Path | None) -> None:
    """FOLDER/NAME-MACHINE.json, where a folder is given: those in benchmarks/results are shown in docs/measured.md."""
    if folder is None:
        return
    about = machine()
    slug = "-".join(str(about["device"]).lower().split()) + (f"-{about['cores']}" * (about["backend"] == "cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    targets = [row._asdict() | {"measured": float(row.measured), "met": bool(row.met)} for row in rows]
    (folder / f"{name}-{slug}.json").write_text(
        json.dumps({"machine": about, **content, "targets": targets}, indent=1) + "\n"
    )
