"""Devices: the same program on every local device, or on every core of one CPU, each with its share of the lanes."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

# Tiles in the share of a CPU's core, at least: few lanes are better off with a step that all cores work on.
TILES = 3


def shares(num: int, width: int) -> int:
    """Among how many ``num`` lanes, stepped ``width`` at a time, are dealt.

    One for each device. Of a single CPU device, one for each core that the process may use, if there are lanes enough:
    a step is many small operations, between which other cores would wait for each other.
    """
    devices = jax.local_device_count()
    if devices > 1 or jax.default_backend() != "cpu":
        return devices
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(num // (TILES * width), 1), cores)


def on_each(function: Callable, arguments: Sequence[Any], count: int) -> list[jax.stages.Traced]:
    """The function traced for the devices of ``count`` shares, as a program of its own for each.

    Not one program over all of them. A sharded jit goes on everywhere until the last device is through; and what
    goes through XLA's partitioner, as ``shard_map`` does, is simplified in another order and rounds otherwise, so
    that results would depend on the number of devices.
    """
    devices = jax.local_devices()[:count]
    if len(devices) == 1:
        return [jax.jit(function).trace(*arguments)]
    places = [jax.sharding.SingleDeviceSharding(device) for device in devices]
    return [jax.jit(function, in_shardings=place, out_shardings=place).trace(*arguments) for place in places]


def compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """On a CPU by XLA's plain emitters, whose loops are as fast here and compile in two thirds of the time."""
    if jax.default_backend() == "cpu":
        try:
            return lowered.compile(compiler_options={"xla_cpu_use_fusion_emitters": False})
        except jax.errors.JaxRuntimeError as error:  # a jaxlib that knows no such option any more
            if "No such compile option" not in str(error):
                raise
    return lowered.compile()


class Threads:
    """One for each share: JAX runs what one thread calls in that order, one after the other, and what several call at
    once."""

    def __init__(self):
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def call(self, index: int, program: Callable, arguments: Sequence[Any]) -> Future:
        """A future of outputs that are on their way."""
        pool = self._pools.setdefault(index, ThreadPoolExecutor(1))
        return pool.submit(_call, program, arguments, jax.config.jax_enable_x64)  # which every thread has its own of

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown()


def _call(program, arguments, x64):
    with jax.enable_x64(x64):
        return program(*arguments)


def share(num: int, count: int, index: int) -> Int[np.ndarray, " share"]:
    """A share's rows of ``num``, dealt like cards: neighbours, alike in cost, go to different ones."""
    return np.arange(index, num, count, dtype=np.int32)
