"""A loss that draws, and an optimiser, make an iteration: stochastic gradients, as a game of one player."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Scalar

from divjax.numerics.callbacks import callback
from divjax.training.fit import check_scalar
from divjax.training.games import Start, game
from divjax.training.iteration import Iteration


class StochasticResult(NamedTuple):
    """What a stochastic fit ends with."""

    params: PyTree  # after the last step that was finite
    average: PyTree  # of the parameters; the last ones without averaging
    losses: Array  # [rounds]: the mean over each round
    trace: PyTree  # [rounds, ...]: what ``evaluate`` gave after each
    steps: Int[Array, ""]
    status: Int[Array, ""]  # bits of divjax.status


def stochastic_fit(
    loss: Callable[[PyTree, PRNGKeyArray, PyTree], Scalar],
    init: Callable[[PyTree], tuple[PyTree, PRNGKeyArray]],
    optimizer: optax.GradientTransformation,
    *,
    num_rounds: int,
    num_steps: int = 100,
    ema: float = 0.0,
    evaluate: Callable[[PyTree, PRNGKeyArray, PyTree], Any] | None = None,
) -> Iteration:
    """Parameters that follow the gradients of a loss which is random: of a batch, of latent draws, of both.

    Returns an ``Iteration``: ``run(stochastic_fit(...), case)`` is one fit, ``jax.vmap`` over cases or ``sweep`` are
    many. One step of it is a round: ``num_steps`` updates, then an evaluation. The result is a ``StochasticResult``,
    whose status is OK after ``num_rounds`` rounds (nothing here tests for convergence: look at its trace), or
    NON_FINITE where the loss, a gradient or a parameter became NaN or infinite: the parameters are then those before
    that step, ``steps`` says which it was, and the rest of the trace is NaN. For a loss without noise use ``fit``,
    which knows when it is done.

    Args:
      loss: ``loss(params, key, case)`` -> scalar, whose mean over keys is what is minimised.
      init: case -> (params, key): floating-point arrays, and a key that nothing else is drawn from.
      optimizer: any of optax but those that evaluate the loss themselves (lbfgs).
      num_rounds, num_steps: how many rounds, of how many updates each.
      ema: the weight of the past in the average of the parameters, as in ``game``. 0: no averaging.
      evaluate: ``(params, key, case) -> pytree of arrays`` after each round, with the average and a key of its own.

    Raises:
      TypeError: loss or init is no function, init gives no key, parameters are no floating-point arrays, or the loss is
        no scalar.
      ValueError: counts below 1, or ``ema`` outside [0, 1).

    Examples:
        >>> loss = lambda params, key, case: (params - case - jax.random.normal(key)) ** 2
        >>> init = lambda case: (jnp.zeros(()), jax.random.key(0))
        >>> fit = dj.training.stochastic_fit(loss, init, optax.sgd(0.05), num_rounds=2, num_steps=100)
        >>> abs(float(dj.run(fit, 3.0).params) - 3.0) < 1.0
        True
    """
    loss = callback(loss, "loss", "params", "key", "case")
    init = callback(init, "init", "case", remedy="init: case -> (params, key).")
    evaluate = evaluate if evaluate is None else callback(evaluate, "evaluate", "params", "key", "case")

    def start(case):
        first = init(case)
        if not isinstance(first, tuple) or len(first) != 2 or not _is_key(first[1]):
            raise TypeError(f"Expected (params, key) from init; got {type(first).__name__}. Add jax.random.key(seed).")
        return Start((), *first)

    def scalar(_, params, key, case):
        value = loss(params, key, case)
        check_scalar(value, "a scalar", "Average over the batch, say.")
        return value

    alone = game(
        lambda critic, params, key, case: jnp.zeros(()),
        scalar,
        start,
        optax.identity(),
        optimizer,
        num_rounds=num_rounds,
        num_steps=num_steps,
        simultaneous=True,
        ema=ema,
        evaluate=evaluate and (lambda _, params, key, case: evaluate(params, key, case)),
    )

    def result(state, case):
        end = alone.result(state, case)
        return StochasticResult(
            end.players.generator, end.average, end.losses.generator, end.trace, end.steps, end.status
        )

    return alone._replace(result=result)


def _is_key(value: Any) -> bool:
    """A typed key, or the two words of a raw one."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32)
