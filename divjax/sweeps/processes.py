"""Several processes, one sweep: who is who. What they share is the store, and nothing else."""

import time
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool


class Member(NamedTuple):
    """One process of a run."""

    index: int
    count: int


ALONE = Member(0, 1)
_BEGAN = [np.inf]  # when this process became one of several


def this_process() -> Member:
    """What JAX's runtime says: (0, 1) unless ``jax.distributed.initialize`` was called."""
    return Member(jax.process_index(), jax.process_count())


def share(shape: tuple[int, int], member: Member) -> Bool[np.ndarray, "iterations chunks"]:
    """The chunks of one process: every COUNT-th one. All know each other's without asking."""
    return (np.arange(np.prod(shape)) % member.count == member.index).reshape(shape)


def join(*, address: str | None = None, num_processes: int | None = None, process_id: int | None = None) -> Member:
    """Makes this process one of several, before JAX is used otherwise; ``sweep`` then runs its share of the chunks.

    Returns which one it is, and of how many.

    Without arguments JAX asks Slurm, Open MPI, Kubernetes or the TPU pod. Otherwise ``address`` is HOST:PORT of process
    0, the same for all, and ``process_id`` is this one's number, from 0 on, of ``num_processes``.

    Only to learn who is who: JAX's coordination service is shut down again. While it runs it aborts every process as
    soon as one has died (process 0 is missed at once, another after the heartbeats' timeout), and a sweep has no use
    for that: its processes never wait for each other's numbers. The devices of this process stay as they are;
    collectives between processes are not to be had afterwards. Call ``jax.distributed.initialize`` yourself where
    you need them: ``sweep`` works then too, but a process that dies takes the others along.

    Raises:
        ValueError: no cluster is found, or the arguments contradict each other.
        RuntimeError: JAX was used before.

    Examples:
        >>> dj.sweeps.join(address="10.0.0.1:8476", num_processes=2, process_id=0)  # doctest: +SKIP
        Member(index=0, count=2)
    """
    try:
        jax.distributed.initialize(address, num_processes, process_id)
    except ValueError as error:
        if address is not None:
            raise
        raise ValueError(
            "Expected a cluster that JAX can ask (Slurm, Open MPI, Kubernetes, a TPU pod); got none. "
            "Say who this process is: address, num_processes, process_id."
        ) from error
    member = this_process()  # makes the backend, which remembers
    _BEGAN[0] = time.time()
    jax.distributed.shutdown()  # waits for all: nobody has begun before everybody has arrived
    return member


def began() -> float:
    """When all processes of this run had arrived, before any of them touched a store; inf where that is unknown."""
    return _BEGAN[0]
