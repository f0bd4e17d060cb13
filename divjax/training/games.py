"""A game: two players with a loss each and an optimiser each make an iteration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Scalar

from divjax import status
from divjax.numerics.callbacks import callback
from divjax.numerics.calls import said
from divjax.training.fit import as_parameter, check_optimizer
from divjax.training.iteration import Iteration, all_finite, frozen, like, select, strong

Loss = Callable[[PyTree, PyTree, PRNGKeyArray, PyTree], Scalar]  # critic, generator, key, case


class Players(NamedTuple):
    """One pytree for each of the two."""

    critic: PyTree
    generator: PyTree


Field = Callable[[Players], tuple[Players, Players]]  # players -> the gradients each follows, and the losses


class Start(NamedTuple):
    """Where a game begins."""

    critic: PyTree
    generator: PyTree
    key: PRNGKeyArray  # of every draw of the game


class GameState(NamedTuple):
    """Where a game stands, after so many rounds."""

    players: Players
    optimizers: Players
    average: PyTree  # of the generator's parameters
    key: PRNGKeyArray
    losses: Players  # [rounds], NaN for those to come
    trace: PyTree  # [rounds, ...]
    round: Int[Array, ""]
    steps: Int[Array, ""]
    status: Int[Array, ""]  # NOT_CONVERGED while it runs


class GameResult(NamedTuple):
    """What a game ends with."""

    players: Players  # after the last step that was finite
    average: PyTree  # of the generator's parameters; the last ones without averaging
    losses: Players  # [rounds]: the mean over each round
    trace: PyTree  # [rounds, ...]: what ``evaluate`` gave after each
    steps: Int[Array, ""]  # generator steps taken
    status: Int[Array, ""]  # bits of divjax.status


class Rules(NamedTuple):
    """What ``game`` was told."""

    losses: Players
    optimizers: Players
    rounds: int
    steps: int
    critic_steps: int
    simultaneous: bool
    adjust: Callable[[Field], Field] | None
    extragradient: bool
    project: Callable[[PyTree], PyTree]
    ema: float
    evaluate: Callable[[PyTree, PyTree, PRNGKeyArray, PyTree], PyTree]


@said
def game(
    critic_loss: Loss,
    generator_loss: Loss,
    init: Callable[[PyTree], Start],
    critic_optimizer: optax.GradientTransformation,
    generator_optimizer: optax.GradientTransformation,
    *,
    num_rounds: int,
    num_steps: int = 100,
    num_critic_steps: int = 1,
    simultaneous: bool = False,
    adjust: Callable[[Field], Field] | None = None,
    extragradient: bool = False,
    project: Callable[[PyTree], PyTree] | None = None,
    ema: float = 0.0,
    evaluate: Callable[[PyTree, PyTree, PRNGKeyArray, PyTree], PyTree] | None = None,
) -> Iteration:
    """Two players, each of whom minimises a loss of its own over its own parameters.

    Returns an ``Iteration``: ``run(game(...), case)`` is one game, ``jax.vmap`` over cases or ``sweep`` are many in one
    program. One step of it is a round, ``num_steps`` generator steps and an evaluation. The result is a ``GameResult``,
    whose status is OK after ``num_rounds`` rounds (a game has no test of convergence: look at its trace), or NON_FINITE
    where a loss, a gradient or a parameter of one player became NaN or infinite: both then keep what they had before
    that step, ``steps`` says which it was, and the rest of the trace is NaN.

    A loss is ``loss(critic, generator, key, case)``, a scalar; it draws what it needs from the key (see
    ``adversarial_losses``). Optimism is an optimiser: ``optax.optimistic_gradient_descent``,
    ``optax.optimistic_adam_v2``.

    Args:
      init: case -> ``Start(critic, generator, key)``, with a key that nothing else is drawn from.
      num_rounds, num_steps: how many rounds, of how many generator steps each.
      num_critic_steps: for each generator step, on fresh draws each.
      simultaneous: both players move from where they are, on the same draws; otherwise the generator answers the
        critic's last move, on fresh draws. Of several critic steps it is the last that is taken together.
      adjust: another field than the two gradients: ``consensus(1.0)`` or ``symplectic(1.0)``. Needs ``simultaneous``.
      extragradient: move from here by the gradients there, where a step would lead (Korpelevich 1976; with Adam as in
        Gidel et al. 2019, whose states see both). Needs ``simultaneous``.
      project: critic -> critic, at the start and after each of its steps: clipping, power iterations.
      critic_optimizer, generator_optimizer: any of optax but those that evaluate the loss themselves (lbfgs).
      ema: the weight of the past in the generator's average, which has the parameters' dtype: uniform over the first
        1/(1 − ema) steps, exponential from then on. 0: no averaging.
      evaluate: ``(critic, generator, key, case) -> pytree of arrays`` after each round, with the averaged generator
        and draws that no step has seen.

    Raises:
      TypeError: ``init`` is no function or gives no ``Start``, parameters are no floating-point arrays, a loss is no
        scalar.
      ValueError: counts below 1, ``ema`` outside [0, 1), ``adjust`` or ``extragradient`` without ``simultaneous``.

    Examples:
        >>> start = lambda case: dj.training.Start(jnp.ones(()), jnp.ones(()), jax.random.key(0))
        >>> losses = (lambda x, y, key, case: -x * y, lambda x, y, key, case: x * y)
        >>> game = dj.game(*losses, start, optax.sgd(0.1), optax.sgd(0.1), num_rounds=2, num_steps=5)
        >>> int(dj.run(game).steps)
        10
    """
    given = ("critic", "generator", "key", "case")
    losses = Players(callback(critic_loss, "critic_loss", *given), callback(generator_loss, "generator_loss", *given))
    init = callback(init, "init", "case", remedy="init is case -> Start.")
    for optimizer in (critic_optimizer, generator_optimizer):
        check_optimizer(optimizer)
    for name, count in (("num_rounds", num_rounds), ("num_steps", num_steps), ("num_critic_steps", num_critic_steps)):
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"Expected {name} to be an integer >= 1; got {count}.")
    if not 0.0 <= ema < 1.0:
        raise ValueError(f"Expected ema in [0, 1); got {ema}. 0 averages nothing, 0.999 over a thousand steps.")
    if not simultaneous and (adjust is not None or extragradient):
        name = "extragradient" if adjust is None else "adjust"
        raise ValueError(f"Expected simultaneous=True with {name}, which is about a move of both; got False.")
    rules = Rules(
        losses,
        Players(*map(optax.with_extra_args_support, (critic_optimizer, generator_optimizer))),
        num_rounds,
        num_steps,
        num_critic_steps,
        simultaneous,
        adjust,
        extragradient,
        project or (lambda critic: critic),
        ema,
        callback(evaluate, "evaluate", *given) if evaluate else (lambda *_: ()),
    )

    def step(state, case):
        return _round(rules, state, case)

    def done(state):
        return state.status != status.NOT_CONVERGED

    def result(state, _):
        return GameResult(state.players, state.average, state.losses, state.trace, state.steps, state.status)

    def begin(case):
        return _begin(rules, init(case), case)

    return Iteration(begin, frozen(step, done), done, result, healthy=None)  # it judges itself


def _begin(rules: Rules, start: Start, case: PyTree) -> GameState:
    if not isinstance(start, Start):
        raise TypeError(f"Expected Start(critic, generator, key) from init; got {type(start).__name__}.")
    players = jax.tree.map(as_parameter, Players(start.critic, start.generator))
    players = players._replace(critic=like(players.critic, rules.project(players.critic)))
    for name, loss in zip(("critic_loss", "generator_loss"), rules.losses, strict=True):
        out = jax.eval_shape(loss, *players, start.key, case)
        if getattr(out, "shape", None) != ():
            raise TypeError(f"Expected a scalar from {name}; got {out}. Average it, say.")
    row = jax.eval_shape(rules.evaluate, *players, start.key, case)
    nothing = jnp.full(rules.rounds, jnp.nan)
    state = GameState(
        players=players,
        optimizers=Players(*(each.init(own) for each, own in zip(rules.optimizers, players, strict=True))),
        average=players.generator,
        key=start.key,
        losses=Players(nothing, nothing),
        trace=jax.tree.map(lambda leaf: _missing((rules.rounds, *leaf.shape), leaf.dtype), row),
        round=jnp.zeros((), jnp.int32),
        steps=jnp.zeros((), jnp.int32),
        status=jnp.full((), status.NOT_CONVERGED, jnp.int32),
    )
    return jax.tree.map(strong, state)


def _round(rules: Rules, state: GameState, case: PyTree) -> GameState:
    draw, look = jax.random.split(jax.random.fold_in(state.key, state.round))
    begin = (state.players, state.optimizers, state.average, state.steps, jnp.ones((), bool))
    (*now, finite), losses = jax.lax.scan(
        lambda carry, key: _play(rules, *carry, key, case), begin, jax.random.split(draw, rules.steps)
    )
    players, optimizers, average, steps = now
    row = rules.evaluate(players.critic, average, look, case)

    def record(column, value):
        return column.at[state.round].set(jnp.where(finite, value, _missing((), column.dtype)))

    over = jnp.where(state.round + 1 >= rules.rounds, status.OK, status.NOT_CONVERGED)
    return state._replace(
        players=players,
        optimizers=optimizers,
        average=average,
        losses=jax.tree.map(lambda column, each: record(column, jnp.mean(each)), state.losses, losses),
        trace=jax.tree.map(record, state.trace, row),
        round=state.round + 1,
        steps=steps,
        status=jnp.where(finite, over, status.NON_FINITE),
    )


def _play(
    rules: Rules,
    players: Players,
    states: Players,
    average: PyTree,
    steps: Array,
    finite: Array,
    key: PRNGKeyArray,
    case: PyTree,
) -> tuple[tuple, Players]:
    """One generator step, kept unless it or one before it was not finite."""
    moved, moved_states, losses, good = _turn(rules, players, states, key, case)
    finite &= good & all_finite(moved)
    weight = jnp.maximum(1.0 - rules.ema, 1.0 / (steps + 1.0))
    mean = jax.tree.map(lambda old, new: old + weight.astype(old.dtype) * (new - old), average, moved.generator)
    old = (players, states, average, steps)
    new = (moved, moved_states, mean if rules.ema else moved.generator, steps + 1)
    return (*select(finite, new, old), finite), losses


def _turn(rules: Rules, players: Players, states: Players, key: PRNGKeyArray, case: PyTree) -> tuple:
    """One generator step with its critic steps: players, optimiser states, losses, was all of it finite."""
    *keys, last = jax.random.split(key, rules.critic_steps + (not rules.simultaneous))

    def practise(carry, each):
        loss, grad = jax.value_and_grad(rules.losses.critic)(carry[0], players.generator, each, case)
        critic, state = _move(rules.optimizers.critic, loss, grad, carry[1], carry[0])
        return like(carry, (rules.project(critic), state)), (loss, all_finite((loss, grad)))

    loss, good = jnp.zeros(()), jnp.ones((), bool)
    if keys:
        (critic, state), (values, all_good) = jax.lax.scan(practise, (players.critic, states.critic), jnp.stack(keys))
        players, states = players._replace(critic=critic), states._replace(critic=state)
        loss, good = values[-1], jnp.all(all_good)
    if rules.simultaneous:
        *moved, both = _together(rules, players, states, last, case)
        return (*moved, good & both)
    other, slope = jax.value_and_grad(rules.losses.generator, argnums=1)(*players, last, case)
    generator, state = _move(rules.optimizers.generator, other, slope, states.generator, players.generator)
    players, states = players._replace(generator=generator), states._replace(generator=state)
    return players, states, Players(loss, other), good & all_finite((other, slope))


def _together(rules: Rules, players: Players, states: Players, key: PRNGKeyArray, case: PyTree) -> tuple:
    """Both move at once, on the same draws."""

    def gradients(players):
        loss, grad = jax.value_and_grad(rules.losses.critic)(*players, key, case)
        other, slope = jax.value_and_grad(rules.losses.generator, argnums=1)(*players, key, case)
        return Players(grad, slope), Players(loss, other)

    def move(losses, grads, states):
        both = zip(rules.optimizers, losses, grads, states, players, strict=True)
        critic, generator = (_move(*each) for each in both)
        return Players(rules.project(critic[0]), generator[0]), Players(critic[1], generator[1])

    field = gradients if rules.adjust is None else rules.adjust(gradients)
    grads, losses = field(players)
    moved, states = move(losses, grads, states)
    good = all_finite((losses, grads))
    if rules.extragradient:
        grads, later = field(like(players, moved))
        moved, states = move(later, grads, states)
        good &= all_finite((later, grads))
    return moved, states, losses, good


def _move(optimizer: optax.GradientTransformationExtraArgs, loss: Array, grad: PyTree, state: PyTree, params: PyTree):
    updates, state = optimizer.update(grad, state, params, value=loss)
    return optax.apply_updates(params, updates), state


def _missing(shape: tuple[int, ...], dtype: Any) -> Array:
    """What stands where nothing was measured, as in a sweep's table."""
    if jnp.issubdtype(dtype, jnp.inexact):
        return jnp.full(shape, jnp.nan, dtype)
    return jnp.full(shape, -1 if jnp.issubdtype(dtype, jnp.signedinteger) else 0, dtype)
