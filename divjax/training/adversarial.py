"""The two losses of an adversarial game, from an objective, a critic and two samplers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from divjax.divergences.critic import Objective
from divjax.training.games import Loss, Players

Apply = Callable[[PyTree, Float[Array, "n d"]], Float[Array, " n"]]
Penalty = Callable[[PRNGKeyArray, Callable, Float[Array, "n d"], Float[Array, "n d"]], Scalar]


def adversarial_losses(
    objective: Objective,
    critic: Apply,
    sample_p: Callable[[PRNGKeyArray, PyTree], Float[Array, "n d"]],
    sample_q: Callable[[PyTree, PRNGKeyArray, PyTree], Float[Array, "m d"]],
    *,
    penalty: Penalty | None = None,
) -> Players:
    """The losses of critic and generator, for ``game(*adversarial_losses(...), ...)``.

    Args:
      objective: of ``dj.critic``: ``non_saturating``, ``wasserstein_1``, ``f_gan("kl")``.
      critic: (params, points [n, d]) -> outputs [n], of each point by itself: those of p and q go in together.
      sample_p: (key, case) -> data.
      sample_q: (generator, key, case) -> what the generator makes of its noise, differentiable in its parameters.
      penalty: (key, critic of one point, x_p, x_q) -> scalar, added to the critic's loss, as in
        ``lambda key, v, x_p, x_q: 10.0 * dj.penalties.gradient_penalty(key, v, x_p, x_q)``.

    Raises ValueError for a critic whose output is no vector of one number per point.
    """

    def outputs(params, x_p, x_q):
        both = critic(params, jnp.concatenate([x_p, x_q]))
        if jnp.shape(both) != (len(x_p) + len(x_q),):
            raise ValueError(
                f"Expected critic outputs of shape {(len(x_p) + len(x_q),)}, one for each point; got "
                f"{jnp.shape(both)}. Index the last axis, as in [..., 0]."
            )
        return both[: len(x_p)], both[len(x_p) :]

    def draw(generator, key, case):
        of_p, of_q = jax.random.split(key)
        return sample_p(of_p, case), sample_q(generator, of_q, case)

    def critic_loss(params, generator, key, case):
        x_p, x_q = draw(generator, key, case)
        loss = objective.critic(*outputs(params, x_p, x_q))
        if penalty is None:
            return loss
        of_penalty = jax.random.fold_in(key, 1)
        return loss + penalty(of_penalty, lambda x: critic(params, x[None])[0], x_p, x_q)

    def generator_loss(params, generator, key, case):
        return objective.generator(*outputs(params, *draw(generator, key, case)))

    return Players(critic_loss, generator_loss)


def unrolled(losses: Players, num: int, rate: float) -> Players:
    """The generator's loss against the critic that ``num`` gradient steps of size ``rate`` would make of this one
    (Metz, Poole, Pfau, Sohl-Dickstein 2017): it sees the critic's answer to its own move.

    The steps are on the draws of the loss, and differentiated through. Raises ValueError for num < 1.
    """
    if num < 1:
        raise ValueError(f"Expected num >= 1 steps to look ahead; got {num}.")

    def generator_loss(critic: PyTree, generator: PyTree, key: PRNGKeyArray, case: PyTree) -> Scalar:
        def ahead(critic, each):
            grad: PyTree = jax.grad(losses.critic)(critic, generator, each, case)
            return jax.tree.map(lambda leaf, slope: leaf - rate * slope, critic, grad), None

        later, _ = jax.lax.scan(ahead, critic, jax.random.split(key, num))
        return losses.generator(later, generator, key, case)

    typed: Loss = generator_loss
    return losses._replace(generator=typed)
