"""What keeps a critic smooth: penalties on its gradient, clipping, spectral normalisation.

A critic is a function of one point, x [d] -> scalar (close over its parameters); samples are [n, d]. A penalty is the
mean of a non-negative number per sample, to be added to the critic's loss with a weight. Differentiable in what the
critic closes over, through the gradient in x; the norm's derivative is 0 where that gradient is 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from divjax import numerics as nu

Critic = Callable[[Float[Array, " d"]], Float[Array, ""]]
Points = Float[Array, "n d"]


def gradient_penalty(
    key: PRNGKeyArray, critic: Critic, x: Points, y: Points, *, one_sided: bool = False, norm: ArrayLike = 1.0
) -> Float[Array, ""]:
    """What a critic pays for slopes other than 1 between the samples: mean (‖∇v‖ − norm)², WGAN-GP (Gulrajani et al.
    2017).

    At points drawn uniformly between pairs of x and y, which are [n, d] both. one_sided: only a norm above ``norm`` is
    penalised (their section 4; Petzka, Fischer, Lukovnikov 2018). Raises ValueError for samples of other shapes,
    TypeError for a critic that does not give a scalar.

    Examples:
        >>> x, y = jnp.zeros((2, 1)), jnp.ones((2, 1))
        >>> float(dj.critic.penalties.gradient_penalty(jax.random.key(0), lambda x: 3.0 * x[0], x, y))
        4.0
    """
    _check(critic, x)
    if x.shape != y.shape:
        raise ValueError(f"Expected as many samples x as y, of one shape; got {x.shape} and {y.shape}.")
    share = jax.random.uniform(key, (x.shape[0], 1), x.dtype)
    excess = nu.safe_sqrt(_squares(critic, share * x + (1.0 - share) * y)) - norm
    return jnp.mean((jax.nn.relu(excess) if one_sided else excess) ** 2)


def zero_centred_penalty(critic: Critic, x: Points) -> Float[Array, ""]:
    """What a critic pays for any slope at the samples: ½ mean ‖∇v(x)‖² (Mescheder, Geiger, Nowozin 2018).

    At samples of p it is R1, at samples of q R2. Errors as for ``gradient_penalty``.

    Examples:
        >>> float(dj.critic.penalties.zero_centred_penalty(lambda x: 3.0 * x[0], jnp.zeros((2, 1))))
        4.5
    """
    _check(critic, x)
    return 0.5 * jnp.mean(_squares(critic, x))


def _squares(critic, x):
    return jnp.sum(jax.vmap(jax.grad(critic))(x) ** 2, axis=-1)


def _check(critic, x):
    if jnp.ndim(x) != 2:
        raise ValueError(f"Expected samples of shape [n, d]; got {jnp.shape(x)}. Use x[:, None] in one dimension.")
    out = jax.eval_shape(critic, jax.ShapeDtypeStruct(x.shape[1:], x.dtype))
    if getattr(out, "shape", None) != ():
        raise TypeError(
            f"Expected a critic from one point [d] to a scalar; got {out}. Index its output, as in [..., 0]."
        )


def clip(params: PyTree, bound: ArrayLike) -> PyTree:
    """Every parameter held in [−bound, bound] (Arjovsky, Chintala, Bottou 2017): Lipschitz, by an unknown constant.

    Examples:
        >>> float(dj.critic.penalties.clip(jnp.asarray(3.0), 0.01)) < 0.011
        True
    """
    return jax.tree.map(lambda leaf: jnp.clip(leaf, -bound, bound), params)


def spectral(
    weight: Float[Array, "m n"], vector: Float[Array, " n"], *, num_steps: int = 1
) -> tuple[Float[Array, "m n"], Float[Array, " n"]]:
    """The matrix over its largest singular value, by ``num_steps`` power iterations from ``vector`` (Miyato et al.
    2018).

    Returns it and the new vector, to start from at the next step: one iteration per step then suffices. The vectors
    are constants in the derivative, as they are at convergence. A matrix of zeros stays so.

    Examples:
        >>> normalised, _ = dj.critic.penalties.spectral(jnp.diag(jnp.array([4.0, 2.0])), jnp.ones(2), num_steps=30)
        >>> [round(float(each), 3) for each in jnp.diag(normalised)]
        [1.0, 0.5]
    """
    for _ in range(num_steps):
        left = _unit(nu.matmul(weight, vector))
        vector = _unit(nu.matmul(weight.T, left))
    left, vector = jax.lax.stop_gradient((_unit(nu.matmul(weight, vector)), vector))
    return nu.safe_ratio(weight, nu.matmul(left, weight, vector)), vector


def _unit(x):
    return nu.safe_ratio(x, nu.safe_sqrt(jnp.sum(x * x)))
