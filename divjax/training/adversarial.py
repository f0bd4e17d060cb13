"""The two losses of an adversarial game, from an objective, a critic and two samplers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Scalar

from divjax.divergences.critic import Objective
from divjax.training.games import Players

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
      penalty: (key, critic of one point, x, y) -> scalar, added to the critic's loss, as in
        ``lambda key, v, x, y: 10.0 * dj.critic.penalties.gradient_penalty(key, v, x, y)``.

    Raises TypeError for an objective that is none, ValueError for samples of two shapes and for a critic whose output
    is no vector of one number per point.

    Examples:
        >>> losses = dj.training.adversarial_losses(
        ...     dj.critic.wasserstein_1,
        ...     lambda params, x: params * x[:, 0],
        ...     lambda key, case: jnp.full((2, 1), 3.0),
        ...     lambda params, key, case: jnp.full((2, 1), params),
        ... )
        >>> float(losses.critic(1.0, 1.0, jax.random.key(0), None))
        -2.0
    """
    if not isinstance(objective, Objective):
        raise TypeError(
            f"Expected an objective of dj.critic, such as non_saturating or f_gan('kl'); got {objective!r:.60}. "
            "A bound alone is no game: it has one loss."
        )

    def outputs(params, x, y):
        if jnp.ndim(x) < 2 or jnp.shape(x)[1:] != jnp.shape(y)[1:]:
            got = f"{jnp.shape(x)} of p, {jnp.shape(y)} of q"
            raise ValueError(f"Expected samples [n, d] of one d from both samplers; got {got}.")
        both = critic(params, jnp.concatenate([x, y]))
        if jnp.shape(both) != (len(x) + len(y),):
            raise ValueError(
                f"Expected critic outputs of shape {(len(x) + len(y),)}, one for each point; got "
                f"{jnp.shape(both)}. Index the last axis, as in [..., 0]."
            )
        return both[: len(x)], both[len(x) :]

    def draw(generator, key, case):
        of_p, of_q, of_penalty = jax.random.split(key, 3)
        return (sample_p(of_p, case), sample_q(generator, of_q, case)), of_penalty

    def critic_loss(params, generator, key, case):
        samples, of_penalty = draw(generator, key, case)
        loss = objective.critic(*outputs(params, *samples))
        return loss if penalty is None else loss + penalty(of_penalty, lambda x: critic(params, x[None])[0], *samples)

    def generator_loss(params, generator, key, case):
        samples, _ = draw(generator, key, case)
        return objective.generator(*outputs(params, *samples))

    return Players(critic_loss, generator_loss)


def unrolled(losses: Players, *, num_steps: int, rate: float) -> Players:
    """The losses of a game in which the generator sees how the critic would answer its move.

    The generator's loss is taken against the critic that ``num_steps`` gradient steps of size ``rate`` would make of
    this one (Metz, Poole, Pfau, Sohl-Dickstein 2017). The steps are on the draws of the loss, and differentiated
    through. Raises ValueError for num_steps < 1.

    Examples:
        >>> losses = dj.training.Players(lambda x, y, key, case: (x - y) ** 2, lambda x, y, key, case: x * y)
        >>> ahead = dj.training.unrolled(losses, num_steps=1, rate=0.5)
        >>> float(ahead.generator(jnp.zeros(()), jnp.ones(()), jax.random.key(0), None))
        1.0
    """
    if num_steps < 1:
        raise ValueError(f"Expected num_steps >= 1; got {num_steps}.")

    def generator_loss(critic: PyTree, generator: PyTree, key: PRNGKeyArray, case: PyTree) -> Scalar:
        def ahead(critic, _):
            grad: PyTree = jax.grad(losses.critic)(critic, generator, key, case)
            return jax.tree.map(lambda leaf, slope: leaf - jnp.asarray(rate, leaf.dtype) * slope, critic, grad), None

        later, _ = jax.lax.scan(ahead, critic, length=num_steps)
        return losses.generator(later, generator, key, case)

    return losses._replace(generator=generator_loss)
