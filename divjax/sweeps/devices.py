"""Devices: the same program on every local device, each with its own share of the lanes."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Int

AXIS = "lanes"
SPLIT, WHOLE = PartitionSpec(AXIS), PartitionSpec()


def spread(function: Callable, devices: int, *specs: PartitionSpec) -> Callable:
    """The function on each of the first local devices, jitted; arguments and results split along their first axis.

    By ``shard_map``, not by sharding the arguments of a jit: there a loop would go on everywhere until all devices
    are through. Nothing is exchanged between them, so replication is not checked, and an iteration may hold any
    constants.
    """
    if devices == 1:
        return jax.jit(function)
    mesh = Mesh(np.array(jax.local_devices()[:devices]), (AXIS,))
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=SPLIT, check_vma=False))


def shares(count: int, devices: int) -> Int[np.ndarray, " devices"]:
    """How many of the first ``count`` rows each device gets of a chunk that is dealt like ``deal``."""
    return np.array([len(range(d, count, devices)) for d in range(devices)], np.int32)


def deal(rows: Int[np.ndarray, " n"], devices: int) -> Int[np.ndarray, " n"]:
    """Rows in the order of the devices, dealt like cards: neighbours, alike in cost, go to different ones."""
    return rows.reshape(-1, devices).T.ravel()


def rows(leaf: Any, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """On the host: of every device's part the rows from ``first`` up to ``last``."""
    parts = np.split(np.asarray(leaf), len(first))
    return np.concatenate([part[a:b] for part, a, b in zip(parts, first, last, strict=True)])
