"""Adversarial training, measured: what the studies on the line and in the plane share."""

import optax
from jaxtyping import Array

from divjax.studies.adversarial.methods import Method
from divjax.training import Players, adversarial_losses, game, unrolled
from divjax.training.iteration import Iteration

ROUNDS = 20
LAST = 0.02  # the share of Adam's rate that is left at the end of its cosine
UNROLL_RATE = 0.1


def losses_of(method: Method, outputs, sample_p, sample_q) -> Players:
    """The losses of both players of a method."""
    losses = adversarial_losses(method.objective, outputs, sample_p, sample_q, penalty=method.penalty)
    return unrolled(losses, num_steps=method.unroll, rate=UNROLL_RATE) if method.unroll else losses


def descent(rate: float, steps: int, **moments: float) -> optax.GradientTransformation:
    """Adam on clipped gradients, at a rate that falls by a cosine over so many steps."""
    falling = optax.cosine_decay_schedule(rate, steps, LAST)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(falling, **moments))


def trained(
    losses: Players, start, evaluate, *, steps: int, critic_steps: int = 1, rate: float, b1: float
) -> Iteration:
    """A game in ``ROUNDS`` rounds, with Adam at a falling rate for both and an averaged generator."""
    each = max(steps // ROUNDS, 1)

    return game(
        *losses,
        start,
        descent(rate, each * ROUNDS * critic_steps, b1=b1, b2=0.99),
        descent(rate, each * ROUNDS, b1=b1, b2=0.99),
        num_rounds=ROUNDS,
        num_steps=each,
        num_critic_steps=critic_steps,
        ema=0.99,
        evaluate=evaluate,
    )


def ended(end, story) -> dict[str, Array]:
    """How a game went, as variables of a sweep."""
    return {
        "diverged": story.diverged,
        "diverged_round": story.diverged_when,
        "cycled": story.cycled,
        "collapsed": story.collapsed,
        "collapsed_round": story.collapsed_when,
        "steps": end.steps,
        "status": end.status,
    }
