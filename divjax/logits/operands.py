"""From what the caller passes to what is streamed: checks that name the remedy, and two axes."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from divjax.logits.stream import Operands, accumulation_dtype
from divjax.numerics.calls import described, is_law_like

# The lanes a sum is carried in, a few times [rows, block], stay below a twentieth of one input.
_SHARE = 96


def checked_block(block: int | None, x: Operands) -> int:
    """The caller's block, or a hundredth of the vocabulary on a CPU and all of it elsewhere."""
    vocabulary = x.logits_p.shape[-1]
    if block is not None:
        if block < 1:
            raise ValueError(f"Expected block >= 1; got {block}. Leave it out for the default.")
        return block
    if jax.default_backend() != "cpu":
        return vocabulary
    # Wide blocks are faster, for fewer steps and longer runs of memory, whatever the number of rows.
    largest = max(256, vocabulary // _SHARE // 8 * 8)
    # One that divides V, if there is one, spares a select in every step.
    even = (block for block in range(largest, largest // 2, -8) if vocabulary % block == 0)
    return next(even, min(largest, vocabulary))


def _concrete(x: ArrayLike) -> bool:
    return not isinstance(x, jax.core.Tracer)


def real(x: ArrayLike, name: str, dtype: jnp.dtype, low: float = -math.inf, high: float = math.inf) -> Array:
    """A scalar parameter in the open interval (low, high); one that is traced is NaN where it would be refused."""
    if isinstance(x, bool | str | complex) or x is None:
        raise TypeError(f"Expected a real number {name}; got {x!r}. Pass a float or a scalar array.")
    if jnp.shape(x) != ():
        raise ValueError(f"Expected a scalar {name}; got shape {jnp.shape(x)}. Use jax.vmap over {name}.")
    if _concrete(x) and not low < float(x) < high:
        domain = f"{name} in ({low:g}, {high:g})"
        raise ValueError(f"Expected {domain}; got {float(x):g}. Choose a value inside, ends excluded.")
    value = jnp.asarray(x, dtype)
    if _concrete(x) or (math.isinf(low) and math.isinf(high)):
        return value
    return value * jnp.where((low < value) & (value < high), 1.0, jnp.nan)


def _array(logits: ArrayLike, name: str) -> Array:
    if is_law_like(logits):
        raise TypeError(
            f"Expected {name}, an array [..., V]; got the distribution {type(logits).__name__}. Between distributions "
            "use dj.kl(p, q) and the like, without dj.logits."
        )
    try:
        return jnp.asarray(logits)
    except (TypeError, ValueError):
        raise TypeError(f"Expected {name}, an array [..., V]; got {described(logits)}. Use jnp.asarray.") from None


def _check_logits(logits: Array, name: str) -> None:
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"Expected floating-point {name}; got {logits.dtype}. Use {name}.astype(jnp.float32).")
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"Expected {name} of shape [..., V] with V >= 1; got {logits.shape}. Add the vocabulary axis.")


def _two_axes(x: Array, shape: tuple[int, ...], name: str) -> Array:
    """``[V]`` to ``[1, V]``; anything else broadcast over the leading axes to ``[n, V]``."""
    leading = x.shape[:-1]
    fits = x.ndim > 0 and x.shape[-1] == shape[-1] and len(x.shape) <= len(shape)
    fits = fits and all(n in (1, m) for n, m in zip(leading[::-1], shape[-2::-1], strict=False))
    if not fits:
        of_tokens = len(shape) > 1 and x.shape == shape[:-1]
        remedy = "Of tokens it goes over the values: jnp.where(mask, values, 0.0)." if of_tokens else ""
        raise ValueError(
            f"Expected {name} of shape ({shape[-1]},) or broadcastable to {shape} along its leading axes; "
            f"got {x.shape}. {remedy or 'Give one entry per vocabulary entry.'}"
        )
    if math.prod(leading) == 1:
        return x.reshape(1, shape[-1])
    return jnp.broadcast_to(x, shape).reshape(-1, shape[-1])


def _real_weights(weights: ArrayLike, dtype: jnp.dtype) -> Array:
    weights = jnp.asarray(weights)
    if not (jnp.issubdtype(weights.dtype, jnp.floating) or jnp.issubdtype(weights.dtype, jnp.integer)):
        raise TypeError(f"Expected real label weights; got {weights.dtype}. Use weights.astype(jnp.float32).")
    if _concrete(weights) and bool(jnp.any(weights < 0)):
        raise ValueError(f"Expected label weights >= 0; got {float(weights.min()):g} among them.")
    return weights.astype(dtype)


def operands(
    logits_p: ArrayLike,
    logits_q: ArrayLike,
    temperature: ArrayLike,
    mask: ArrayLike | None,
    weights: ArrayLike | None,
) -> Operands:
    """Checked operands with ``[n, V]`` logits and no parameters."""
    logits_p, logits_q = _array(logits_p, "logits_p"), _array(logits_q, "logits_q")
    _check_logits(logits_p, "logits_p")
    _check_logits(logits_q, "logits_q")
    shape = logits_p.shape
    if shape != logits_q.shape:
        raise ValueError(
            f"Expected logits of one shape; got logits_p {shape} and logits_q {logits_q.shape}. Use jnp.broadcast_to."
        )
    dtype = accumulation_dtype(logits_p, logits_q)
    if mask is not None:
        mask = jnp.asarray(mask)
        if mask.dtype != jnp.bool_:
            raise TypeError(f"Expected a boolean mask; got {mask.dtype}. Use mask.astype(bool), True where kept.")
        mask = _two_axes(mask, shape, "mask")
    if weights is not None:
        weights = _two_axes(_real_weights(weights, dtype), shape, "weights")
    rows = (math.prod(shape[:-1]), shape[-1])
    temperature = real(temperature, "temperature", dtype, low=0.0)
    return Operands(logits_p.reshape(rows), logits_q.reshape(rows), temperature, mask, weights, ())
