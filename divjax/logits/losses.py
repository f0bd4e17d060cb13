"""f-divergences and Rényi divergences between the softmaxes of two arrays of logits, one value per token.

Every function takes ``logits_p`` (the target, the teacher) and ``logits_q`` (the model, the student), both
``[..., V]``, and returns ``[...]`` in nats, in float32 or float64 (bfloat16 and float16 logits are read as
they are and summed in float32; a gradient comes back in the dtype of its logits). Shared keywords:

``temperature``
    p = softmax(logits_p / T), q = softmax(logits_q / T), one real number > 0. Nothing is multiplied by T²;
    do so to keep the gradient's size when T changes (Hinton, Vinyals and Dean, 2015).
``mask``
    Booleans, ``[V]`` or broadcastable to ``[..., V]``: an entry that is False is left out of both softmaxes,
    as if both its logits were −inf. A row with no entry left has value 0.
``weights``
    Reals ≥ 0, ``[V]`` or broadcastable to ``[..., V]``: label weights that multiply the terms of the sum
    over the vocabulary, Σ_v w_v q_v f(p_v/q_v) with f(1) = f'(1) = 0. The softmaxes are not touched; the
    value stays ≥ 0 and 0 at p = q. ``renyi`` and ``bhattacharyya``, logarithms of a sum, have no terms to
    weigh and take none; there, add log w to both logits.
``block``
    How many vocabulary entries are summed at a time; static. By default about a hundredth of them on a CPU,
    and the whole vocabulary elsewhere, where XLA fuses the sum. It changes speed and memory, not the value.

Logits may be −inf (probability 0), but not all of a row on one side alone: that is no distribution, and the value
is NaN. Where only one side is −inf the value is the mathematical one, +inf for
``kl`` if q = 0 < p; the gradient is then that of the finite terms, never NaN. Logits that are equal bit for
bit give exactly 0 with gradient exactly 0. Gradients exist for both logits, temperature, weights and the
divergence's own parameter.

Reverse mode only: there is no jvp of the streamed sum. All raise ``TypeError`` for logits that are not
floating-point, a mask that is not boolean and weights that are not real, and ``ValueError`` for shapes that do not fit,
negative weights, and a concrete temperature or parameter outside its domain.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from divjax.logits import terms
from divjax.logits.operands import checked_block, operands, real
from divjax.logits.stream import accumulation_dtype, term_sum
from divjax.numerics.calls import said

Logits = Float[Array, "*tokens vocabulary"]
Values = Float[Array, "*tokens"]
Mask = Bool[Array, "*#tokens vocabulary"] | None
Weights = Float[Array, "*#tokens vocabulary"] | None


def _measure(
    term: terms.Term,
    logits_p: Logits,
    logits_q: Logits,
    temperature: ArrayLike,
    mask: Mask,
    weights: Weights,
    block: int | None,
    *params: Array,
) -> Values:
    x = operands(logits_p, logits_q, temperature, mask, weights)._replace(params=params)
    return term_sum(term, checked_block(block, x), x).reshape(jnp.shape(logits_p)[:-1])


@said
def kl(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """The loss of knowledge distillation, mass-covering: KL(p‖q) = Σ p log(p/q), in [0, ∞] (Kullback, Leibler 1951).

    Its gradient with respect to the tempered logits of q is q − p.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.kl(teacher, student)), 4)
        0.1438
        >>> jnp.round(jax.grad(dj.logits.kl, argnums=1)(teacher, student), 4).tolist()
        [-0.25, 0.25]
    """
    return _measure(terms.KL, logits_p, logits_q, temperature, mask, weights, block)


@said
def reverse_kl(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """KL with p and q exchanged, mode-seeking: KL(q‖p) = Σ q log(q/p), in [0, ∞] (Gu et al. 2024, MiniLLM).

    +inf where p = 0 < q.

    Examples:
        >>> round(float(dj.logits.reverse_kl(jnp.zeros(2), jnp.array([0.0, -jnp.inf]))), 4)
        0.6931
    """
    return _measure(terms.REVERSE_KL, logits_p, logits_q, temperature, mask, weights, block)


@said
def jeffreys(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """KL both ways: KL(p‖q) + KL(q‖p) = Σ (p − q) log(p/q), in [0, ∞] (Jeffreys 1946).

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.jeffreys(teacher, student)), 4)
        0.2747
    """
    return _measure(terms.JEFFREYS, logits_p, logits_q, temperature, mask, weights, block)


@said
def jensen_shannon(
    logits_p: Logits,
    logits_q: Logits,
    *,
    weight: ArrayLike = 0.5,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """How far p and q are from their mixture, on average: w KL(p‖m) + (1 − w) KL(q‖m), m = w p + (1 − w) q (Lin 1991).

    w is ``weight``, in (0, 1); ``weights`` are the label weights. At most log 2 at w = ½. Agarwal et al. (2024) distil
    with it.

    Examples:
        >>> round(float(dj.logits.jensen_shannon(jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0]))), 4)
        0.6931
    """
    w = real(weight, "weight", accumulation_dtype(logits_p, logits_q), 0.0, 1.0)
    halfway = isinstance(weight, float) and weight == 0.5
    params = () if halfway else (w,)
    return _measure(terms.JENSEN_SHANNON, logits_p, logits_q, temperature, mask, weights, block, *params)


@said
def alpha_divergence(
    logits_p: Logits,
    logits_q: Logits,
    *,
    alpha: ArrayLike = 0.5,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """A family from reverse KL to KL and beyond: (1 − Σ p^α q^(1−α)) / (α (1 − α)) ≥ 0 for any real α (Minka 2005).

    α = 1 is kl and α = 0 reverse_kl, reached smoothly. Amari's parameter is another one, 2α − 1. For α ≥ 1 it is +inf
    where q = 0 < p, for α ≤ 0 where p = 0 < q.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.alpha_divergence(teacher, student, alpha=2.0)), 4)
        0.1667
    """
    a = real(alpha, "alpha", accumulation_dtype(logits_p, logits_q))
    return _measure(terms.ALPHA, logits_p, logits_q, temperature, mask, weights, block, a)


@said
def tsallis(
    logits_p: Logits,
    logits_q: Logits,
    *,
    alpha: ArrayLike = 0.5,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """Tsallis relative entropy (Σ p^α q^(1−α) − 1) / (α − 1), which is α times ``alpha_divergence`` (Tsallis 1998).

    alpha: α > 0; α = 1 is kl.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.tsallis(teacher, student, alpha=2.0)), 4)
        0.3333
    """
    a = real(alpha, "alpha", accumulation_dtype(logits_p, logits_q), 0.0)
    value = _measure(terms.ALPHA, logits_p, logits_q, temperature, mask, weights, block, a)
    # An infinite value keeps a finite gradient.
    return jnp.where(jnp.isinf(value), value, a * jnp.where(jnp.isinf(value), 0.0, value))


@said
def squared_hellinger(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """One minus the overlap of the roots of p and q: 1 − Σ √(p q) = ½ Σ (√p − √q)², in [0, 1] (Hellinger 1909).

    Examples:
        >>> round(float(dj.logits.squared_hellinger(jnp.array([0.0, -jnp.inf]), jnp.zeros(2))), 4)
        0.2929
    """
    return _measure(terms.SQUARED_HELLINGER, logits_p, logits_q, temperature, mask, weights, block)


@said
def pearson_chi2(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """The mean squared relative error of p as seen from q: Σ (p − q)² / q, in [0, ∞] (Pearson 1900).

    Overflows to +inf in float32 where Σ p²/q does.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.pearson_chi2(teacher, student)), 4)
        0.3333
    """
    return _measure(terms.PEARSON, logits_p, logits_q, temperature, mask, weights, block)


@said
def neyman_chi2(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """Pearson's χ² divergence with p and q exchanged: Σ (p − q)² / p, in [0, ∞] (Neyman 1949).

    Overflows to +inf in float32 where Σ q²/p does.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.neyman_chi2(teacher, student)), 4)
        0.25
    """
    return _measure(terms.NEYMAN, logits_p, logits_q, temperature, mask, weights, block)


@said
def triangular(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """A symmetric χ² divergence with a bound: Σ (p − q)² / (p + q), in [0, 2] (Le Cam 1986; Topsøe 2000).

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.triangular(teacher, student)), 4)
        0.1333
    """
    return _measure(terms.TRIANGULAR, logits_p, logits_q, temperature, mask, weights, block)


@said
def total_variation(
    logits_p: Logits,
    logits_q: Logits,
    *,
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """The most by which p and q differ on any set of entries: ½ Σ |p − q|, in [0, 1] (Jordan 1881).

    The slope of a term with p = q is taken as 0.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.total_variation(teacher, student)), 4)
        0.25
    """
    return _measure(terms.TOTAL_VARIATION, logits_p, logits_q, temperature, mask, weights, block)


@said
def f_divergence(
    logits_p: Logits,
    logits_q: Logits,
    *,
    f: Callable[[Float[Array, ""]], Float[Array, ""]],
    temperature: ArrayLike = 1.0,
    mask: Mask = None,
    weights: Weights = None,
    block: int | None = None,
) -> Values:
    """The f-divergence of a convex function f of your own: Σ q f(p/q) − f(1) ≥ 0 (Csiszár 1967).

    f maps the ratio, a scalar, to a scalar by JAX functions, and is differentiable at 1. It is normalised to f(1) =
    f'(1) = 0, which leaves the divergence as it is and makes every term ≥ 0. f may close over traced values and is
    differentiated with respect to them. Where one probability is more than about e^43 (float32; e^347 in float64) times
    the other, the ratio given to f stops there. Called outside of ``jax.jit``, pass the same function object each time:
    a new one is compiled anew. Near p = q, at log-ratio r, a general f loses eps / r² of its value to rounding; the
    named divergences do not.

    Examples:
        >>> teacher, student = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
        >>> round(float(dj.logits.f_divergence(teacher, student, f=lambda ratio: (ratio - 1.0) ** 2)), 4)
        0.3333
    """
    one = jnp.ones((), accumulation_dtype(logits_p, logits_q))
    pure, hidden = jax.closure_convert(f, one)
    # Kept as it is where nothing is hidden in it, so that its compiled sum is found again.
    term, params = (terms.generated(pure), tuple(hidden)) if hidden else (terms.generated(f), ())
    return _measure(term, logits_p, logits_q, temperature, mask, weights, block, *params)
