"""Toy iterations: square roots by Newton's method and by gradient descent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from divjax.training.iteration import Iteration


class Root(NamedTuple):
    params: dict
    steps: jax.Array
    echo: jax.Array


class Traces:
    """Counts how often Python runs an iteration's ``init``."""

    def __init__(self):
        self.count = 0


def newton(traces=None, tolerance=1e-6):
    """√a from a random start, to |x² − a| ≤ tolerance (a + 1): the steps differ from case to case."""

    def init(case):
        if traces:
            traces.count += 1
        start = 1.0 + jax.random.uniform(jax.random.key(case["seed"]))
        return start, jnp.full_like(start, jnp.inf), jnp.int32(0)

    def step(state, case):
        x = 0.5 * (state[0] + case["a"] / state[0])
        return x, jnp.abs(x * x - case["a"]) / (case["a"] + 1.0), state[2] + 1

    def result(state, case):
        return Root({"root": state[0], "powers": state[0] ** jnp.arange(3)}, state[2], case["seed"])

    return Iteration(init, step, lambda state: (state[1] <= tolerance) | (state[2] >= 50), result)


def descent():
    """√a by 60 gradient steps on (x² − a)² / 4a; fewer results than ``newton`` has."""

    def step(state, case):
        x, count = state
        return x - 0.4 * x * (x * x - case["a"]) / case["a"], count + 1

    return Iteration(
        lambda case: (jnp.sqrt(case["a"]) * (0.7 + 0.01 * case["seed"]), jnp.int32(0)),
        step,
        lambda state: state[1] >= 60,
        lambda state, case: {"params": {"root": state[0]}, "gap": state[0] ** 2 - case["a"]},
    )
