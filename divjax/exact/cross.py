"""KL between different families, from what their records know: moments of the one, log-density of the other."""

import jax.numpy as jnp

from divjax.distributions.family import Density, is_infinite
from divjax.distributions.moments import Moments, Scalar, Target


def cross_kl(p: Density, q: Density) -> Scalar | None:
    """KL(p‖q) = −H(p) − E_p log q; +inf where the support of p is not inside that of q; None where something of it is
    not known.
    """
    if p.family.moments is None or q.family.target is None:
        return None
    source, goal = p.family.moments(p.params), q.family.target(q.params)
    if _unbounded_in_bounded(source, goal):
        return jnp.full_like(source.entropy, jnp.inf)
    if any(getattr(source, name) is None for name in goal.needs):
        return None
    inside = (source.low >= goal.low) & (source.high <= goal.high)
    value = -source.entropy - goal.expected_log_density(source)
    # a moment may be infinite, never NaN: E log q is then −inf
    return jnp.where(inside & (value < jnp.inf), jnp.where(inside, value, 0.0), jnp.inf)


def _unbounded_in_bounded(p: Moments, q: Target) -> bool:
    """Known without looking at values: the whole line in a half-line, or a half-line in an interval."""
    return any(is_infinite(own) and not is_infinite(other) for own, other in ((p.low, q.low), (p.high, q.high)))
