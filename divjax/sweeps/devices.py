"""Devices: the same program on every local device, each with its own share of the lanes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int


def on_each(function: Callable, arguments: Sequence[Any], devices: int) -> list[jax.stages.Traced]:
    """The function traced for each of the first local devices, as a program of its own.

    Not one program over all of them. A sharded jit goes on everywhere until the last device is through; and what
    goes through XLA's partitioner, as ``shard_map`` does, is simplified in another order and rounds otherwise, so
    that results would depend on the number of devices.
    """
    if devices == 1:
        return [jax.jit(function).trace(*arguments)]
    places = [jax.sharding.SingleDeviceSharding(device) for device in jax.local_devices()[:devices]]
    return [jax.jit(function, in_shardings=place, out_shardings=place).trace(*arguments) for place in places]


def share(num: int, devices: int, device: int) -> Int[np.ndarray, " share"]:
    """A device's rows of ``num``, dealt like cards: neighbours, alike in cost, go to different ones."""
    return np.arange(device, num, devices, dtype=np.int32)
