"""Divergences of logits that are logarithms of a sum over the vocabulary; the conventions are those of ``losses``."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from divjax.logits import terms
from divjax.logits.losses import Logits, Mask, Values
from divjax.logits.operands import checked_block, operands, real
from divjax.logits.stream import Operands, accumulation_dtype, log_densities, normalise, term_sum
from divjax.numerics.calls import said


def _log1p_ratio(x: Array) -> Array:
    """log(1 + x) / x for |x| < 1/2, and its derivative, through x = 0."""
    small = jnp.abs(x) < 0.1
    series = jnp.polyval(jnp.asarray([(-1.0) ** k / (k + 1) for k in range(15, -1, -1)], x.dtype), x)
    return jnp.where(small, series, jnp.log1p(x) / jnp.where(small, 1.0, x))


def _log_affinity(x: Operands, block: int) -> Array:
    """log Σ p^a q^(1−a), ``[n]``, as a log-sum-exp; a is the parameter of x."""
    fixed = jax.lax.stop_gradient(x)
    log_p, log_q, _ = log_densities(*fixed[:2], fixed.mask, fixed, normalise(fixed, block))
    shift = terms.log_blend(log_p, log_q, fixed.params[0]).max(-1, keepdims=True)
    # Beyond that one of the densities is 0: the sum is then 0 or +inf, and is to come out so.
    shift = jnp.where(jnp.abs(shift) < 1e20, shift, 0.0)
    total = term_sum(terms.BLEND, block, x._replace(params=(*x.params, shift)))
    empty = jnp.where(jnp.isnan(total), jnp.nan, -jnp.inf)
    return shift[:, 0] + jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1.0)), empty)


@said
def renyi(
    logits_p: Logits,
    logits_q: Logits,
    *,
    alpha: ArrayLike = 0.5,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    block: int | None = None,
) -> Values:
    """A family around KL that stresses where p/q is large: log(Σ p^α q^(1−α)) / (α − 1) ≥ 0 (Rényi 1961).

    alpha: α > 0; α = 1 is kl, reached smoothly. Near p = q it is a function of the alpha-divergence, whose terms do not
    cancel; far from it, of a log-sum-exp, which neither over- nor underflows.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.renyi(teacher, student, alpha=2.0)), 4)
        0.2877
    """
    a = real(alpha, "alpha", accumulation_dtype(logits_p, logits_q), 0.0)
    x = operands(logits_p, logits_q, temperature, mask, None)._replace(params=(a,))
    block = checked_block(block, x)
    close, far = term_sum(terms.ALPHA, block, x), _log_affinity(x, block)
    near = jnp.abs(a * (a - 1.0) * close) < 0.5
    # The inner wheres keep the gradient of what is not taken finite.
    scaled = a * jnp.where(near, close, 0.0)
    infinite = jnp.isinf(far)
    far_value = jnp.where(infinite, 0.0, far) / jnp.where(near, 1.0, a - 1.0)
    value = jnp.where(near, scaled * _log1p_ratio((a - 1.0) * scaled), jnp.where(infinite, jnp.inf, far_value))
    value = jnp.where(jnp.isnan(a), jnp.nan, value)
    return value.reshape(jnp.shape(logits_p)[:-1])


@said
def bhattacharyya(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    block: int | None = None,
) -> Values:
    """Minus the logarithm of the overlap of the roots of p and q: −log Σ √(p q), in [0, ∞] (Bhattacharyya 1943).

    Half of ``renyi`` at alpha = ½.

    Examples:
        >>> round(float(dj.logits.bhattacharyya(jnp.array([0.0, -jnp.inf]), jnp.zeros(2))), 4)
        0.3466
    """
    return 0.5 * renyi(logits_p, logits_q, alpha=0.5, temperature=temperature, mask=mask, block=block)
