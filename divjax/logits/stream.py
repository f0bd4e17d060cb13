"""Sums over the vocabulary of elementwise terms of two softmaxes, streamed, with a hand-written gradient.

Neither softmax is ever stored. With a = logits_p / T, b = logits_q / T, log p = a − logΣeᵃ, log q = b −
logΣeᵇ:

    value     S = Σ_v w_v t(p_v, q_v)
    gradient  ∂S/∂a_v = w_v slope_p,v − p_v Σ_u w_u slope_p,u       (the same for b and q)

The passes are: the maxima, the two log-sum-exps, S, the Σ w slope that are asked for, and in the backward
direction one elementwise pass that writes the gradient. What is kept between them is a few numbers per row.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from divjax.logits.terms import Term

_OFFSET = 16.0  # about how far the logits that count are below the largest


class Operands(NamedTuple):
    """What a divergence of logits is made of. ``[n, V]`` logits; mask and weights ``[n or 1, V]`` or None."""

    logits_p: Array
    logits_q: Array
    temperature: Array
    mask: Array | None
    weights: Array | None
    params: tuple[Array, ...]


class Norms(NamedTuple):
    """Per row, ``[n, 1]``: the maximum of the logits and log Σ exp((logits − maximum) / T), both sides.

    Kept apart: added up they would round at the size of the logits, which is all that is left to see when p
    ≈ q.
    """

    max_p: Array
    log_sum_p: Array
    max_q: Array
    log_sum_q: Array


def accumulation_dtype(*arrays: ArrayLike) -> jnp.dtype:
    """float32, or float64 where an array is."""
    return jnp.promote_types(jnp.result_type(*arrays), jnp.float32)


def _dtype(x: Operands) -> jnp.dtype:
    return accumulation_dtype(x.logits_p, x.logits_q)


def _pack(parts: tuple[Array, ...]) -> Array:
    return parts[0] if len(parts) == 1 else jax.lax.complex(*parts)


def _unpack(total: Array) -> tuple[Array, ...]:
    return (total.real, total.imag) if jnp.iscomplexobj(total) else (total,)


def fold(f: Callable[..., tuple[Array, ...]], arrays: tuple, *, block: int) -> tuple[Array, ...]:
    """Σ over the last axis of the one or two arrays ``f(*arrays)``, in blocks; a None stays None.

    The sum is carried lane by lane ([n, block]) and reduced at the end: on a CPU the loop body is then
    elementwise, so that it vectorises, and rounding errors do not pile up along V. Two sums travel as one
    complex number: XLA makes one loop of it on a CPU, where two carries would become two loops and every
    exponential would be computed twice.
    """
    size = next(x.shape[-1] for x in arrays if x is not None)
    if size < 2 * block:
        return tuple(part.sum(-1) for part in f(*arrays))

    def step(total: Array, i: Array) -> tuple[Array, None]:
        # The last block overlaps the one before it where V is no multiple: lanes already counted add nothing.
        start = jnp.minimum(i * block, size - block)
        fresh = jnp.arange(block) >= i * block - start
        cut = (x if x is None else jax.lax.dynamic_slice_in_dim(x, start, block, axis=-1) for x in arrays)
        part = _pack(f(*cut))
        return total + (jnp.where(fresh, part, 0.0) if size % block else part), None

    like = jax.eval_shape(lambda *xs: _pack(f(*xs)), *(None if x is None else x[..., :block] for x in arrays))
    total, _ = jax.lax.scan(step, jnp.zeros(like.shape, like.dtype), jnp.arange(-(-size // block)))
    return tuple(part.sum(-1) for part in _unpack(total))


def _tempered(logits: Array, x: Operands, mask: Array | None, less: Array | float = 0.0) -> Array:
    # A difference first: of nearly equal numbers it is exact, which the quotients are not.
    scaled = (logits.astype(_dtype(x)) - less) * (1.0 / x.temperature)
    return scaled if mask is None else jnp.where(mask, scaled, -jnp.inf)


def _peak(logits: Array, x: Operands) -> Array:
    # The maximum of the logits as they are: no copy in the accumulation dtype.
    masked = logits if x.mask is None else jnp.where(x.mask, logits, -jnp.inf)
    peak = masked.max(-1, keepdims=True).astype(_dtype(x))
    return jax.lax.stop_gradient(jnp.where(jnp.isneginf(peak), 0.0, peak))


def _log_sum(total: Array, other: Array) -> Array:
    # A row without a single finite logit: no distribution, unless nothing is left on the other side either.
    empty = jnp.where(other > 0, jnp.nan, 0.0)
    return jnp.where(total > 0, jnp.log(jnp.where(total > 0, total, 1.0)), empty)[:, None]


def normalise(x: Operands, block: int) -> Norms:
    peak_p, peak_q = _peak(x.logits_p, x), _peak(x.logits_q, x)

    def body(y_p: Array, y_q: Array, mask: Array | None) -> tuple[Array, Array]:
        return jnp.exp(_tempered(y_p, x, mask, peak_p)), jnp.exp(_tempered(y_q, x, mask, peak_q))

    sum_p, sum_q = fold(body, (x.logits_p, x.logits_q, x.mask), block=block)
    return Norms(peak_p, _log_sum(sum_p, sum_q), peak_q, _log_sum(sum_q, sum_p))


def log_densities(y_p: Array, y_q: Array, mask: Array | None, x: Operands, norms: Norms) -> tuple[Array, ...]:
    """(log p, log q, log p/q) of a block.

    The ratio is that of the logits, which round less than the logs; of logits that are offset from each other by much
    that of logits less their maxima, which the offset does not round.
    """
    a, b = _tempered(y_p, x, mask, norms.max_p), _tempered(y_q, x, mask, norms.max_q)
    empty = jnp.isneginf(a) & jnp.isneginf(b)
    apart = norms.max_p - norms.max_q
    far = jnp.abs(apart) > _OFFSET * x.temperature
    less_p, less_q = (jnp.where(far, peak, 0.0) for peak in (norms.max_p, norms.max_q))
    offset = jnp.where(far, 0.0, apart) / x.temperature + (norms.log_sum_p - norms.log_sum_q)
    steps = (jnp.where(empty, 0.0, y.astype(_dtype(x)) - less) for y, less in ((y_p, less_p), (y_q, less_q)))
    ratio = functools.reduce(jnp.subtract, steps) * (1.0 / x.temperature) - offset
    return a - norms.log_sum_p, b - norms.log_sum_q, jnp.where(empty, 0.0, ratio)


def _weighted(t: Array, weights: Array | None) -> Array:
    # 0 · inf = 0: what is not counted may be infinite.
    return t if weights is None else jnp.where(weights == 0, 0.0, weights.astype(t.dtype) * t)


def _finite(t: Array) -> Array:
    return jnp.where(jnp.isfinite(t), t, 0.0)


def _sums(functions: list[Callable[..., Array]], x: Operands, norms: Norms, block: int) -> list[Array]:
    """Σ_v w_v f(log p, log q, log p/q, *params) for every f, two in a pass."""
    sums: list[Array] = []
    for pair in (functions[i : i + 2] for i in range(0, len(functions), 2)):

        def body(y_p: Array, y_q: Array, mask: Any, weights: Any, pair: list = pair) -> tuple[Array, ...]:
            logs = log_densities(y_p, y_q, mask, x, norms)
            return tuple(_weighted(f(*logs, *x.params), weights) for f in pair)

        sums.extend(fold(body, (x.logits_p, x.logits_q, x.mask, x.weights), block=block))
    return sums


def _finite_of(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *args: _finite(function(*args))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _forward(term: Term, block: int, sides: tuple[bool, bool], x: Operands) -> tuple[Array, Norms, tuple]:
    """S [n], the norms, and Σ w slope [n, 1] for the sides asked for."""
    norms = normalise(x, block)
    known = tuple(x.weights is None and balanced for balanced in term[3:5])
    streamed = [side for side in (1, 0) if sides[side] and not known[side]]
    value, *sums = _sums([term.value, *(_finite_of(term[1 + side]) for side in streamed)], x, norms, block)
    slopes = [jnp.zeros_like(norms.max_p) if side else None for side in sides]
    for side, total in zip(streamed, sums, strict=True):
        slopes[side] = _finite(total)[:, None]
    return value, norms, tuple(slopes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def term_sum(term: Term, block: int, x: Operands) -> Array:
    """S = Σ_v w_v t(p_v, q_v), ``[n]``. Where S is +inf the gradient is that of its finite terms."""
    return _forward(term, block, (False, False), x)[0]


def _wanted(x: Operands) -> Operands:
    """Which operands a gradient is asked for, as () or None: without leaves, so it can be a residual."""
    return jax.tree.map(lambda leaf: () if leaf.perturbed else None, x)


def _primals(x: Operands) -> Operands:
    return jax.tree.map(lambda leaf: leaf.value, x)


def _term_sum_fwd(term: Term, block: int, x: Operands) -> tuple[Array, tuple]:
    wanted, x = _wanted(x), _primals(x)
    both = wanted.temperature is not None
    sides = (both or wanted.logits_p is not None, both or wanted.logits_q is not None)
    value, norms, slopes = _forward(term, block, sides, x)
    return value, (x, norms, slopes, wanted)


def _logit_gradient(
    term: Term,
    side: int,
    total: Array,
    y_p: Array,
    y_q: Array,
    mask: Any,
    weights: Any,
    x: Operands,
    norms: Norms,
) -> Array:
    logs = log_densities(y_p, y_q, mask, x, norms)
    slope = _weighted(_finite(term[1 + side](*logs, *x.params)), weights)
    return _finite(slope - jnp.exp(logs[side]) * total)


def _param_gradient(term: Term, block: int, index: int, x: Operands, norms: Norms, cotangent: Array) -> Array:
    """Forward mode along each entry: the sum stays lane by lane, and a select drops what it does not take."""
    param = x.params[index]

    def along(direction: Array) -> Array:
        def slope(*args: Array) -> Array:
            at = lambda v: term.value(*args[: 3 + index], v, *args[4 + index :])  # noqa: E731
            return _finite(jax.jvp(at, (param,), (direction.reshape(param.shape),))[1])

        return (cotangent * _sums([slope], x, norms, block)[0]).sum()

    return jnp.stack([along(row) for row in jnp.eye(param.size, dtype=param.dtype)]).reshape(param.shape)


def _temperature_gradient(term: Term, block: int, sums: list[Array], x: Operands, norms: Norms, scale: Array) -> Array:
    """∂/∂T = −(1/T) Σ (a ∂/∂a + b ∂/∂b)."""

    def body(y_p: Array, y_q: Array, mask: Any, weights: Any) -> tuple[Array]:
        total = 0.0
        for side, y in enumerate((y_p, y_q)):
            slope = _logit_gradient(term, side, sums[side], y_p, y_q, mask, weights, x, norms)
            total = total + slope * _finite(_tempered(y, x, mask))
        return (total,)

    (rows,) = fold(body, (x.logits_p, x.logits_q, x.mask, x.weights), block=block)
    return -(scale[:, 0] * rows).sum()


def _unbroadcast(full: Array, like: Array) -> Array:
    return (full.sum(0, keepdims=True) if like.shape[0] == 1 else full).astype(like.dtype)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _gradients(term: Term, block: int, residuals: tuple, cotangent: Array) -> Operands:
    x, norms, sums, wanted = residuals
    scale = (cotangent / x.temperature)[:, None]
    arrays = (x.logits_p, x.logits_q, x.mask, x.weights)
    gradients: list = [None] * len(x)
    for side in (0, 1):
        if wanted[side] is not None:
            gradient = _logit_gradient(term, side, sums[side], *arrays, x, norms)
            gradients[side] = (scale * gradient).astype(x[side].dtype)
    if wanted.temperature is not None:
        gradients[2] = _temperature_gradient(term, block, sums, x, norms, scale)
    if wanted.weights is not None:
        terms = _finite(term.value(*log_densities(*arrays[:3], x, norms), *x.params))
        gradients[4] = _unbroadcast(cotangent[:, None] * terms, x.weights)
    gradients[5] = tuple(
        None if asked is None else _param_gradient(term, block, i, x, norms, cotangent)
        for i, asked in enumerate(wanted.params)
    )
    return Operands(*gradients)


def _term_sum_bwd(term: Term, block: int, residuals: tuple, cotangent: Array) -> tuple[Operands]:
    return (_gradients(term, block, residuals, cotangent),)


term_sum.defvjp(_term_sum_fwd, _term_sum_bwd, symbolic_zeros=True)
