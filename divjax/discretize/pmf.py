"""Arrays of one's own as nodes: log-probabilities of all values, or log-densities with their weights."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import operands as op
from divjax.measures import Nodes


def pmf(log_p: Float[Array, "*n"], log_q: Float[Array, "*n"], *, log_w: ArrayLike = 0.0) -> Nodes:
    """``Nodes`` of log p and log q at the same values: Σ exp(log_w) h(p_i, q_i) is what is measured.

    Two probability mass functions as they are. Two densities with log_w the logarithms of the nodes' weights, [*n] or
    one for all; a mask is −inf. Raises TypeError for what is no array of real numbers, ValueError for unequal shapes.

    >>> import divjax as dj, jax.numpy as jnp
    >>> print(f"{dj.kl(dj.pmf(jnp.log(jnp.array([0.25, 0.75])), jnp.log(jnp.array([0.5, 0.5])))):.4f}")
    0.1308
    """
    log_p, log_q, log_w = op.same_nodes({"log_p": log_p, "log_q": log_q}, log_w)
    return Nodes(log_p, log_q, jnp.broadcast_to(log_w, log_p.shape))
