"""Critics: what a function trained to tell p from q says of how far apart the two are.

Arrays of critic outputs in, scalar out: ``critic_p`` [n] at samples of p (the data), ``critic_q`` [m] at samples of q
(the model). Log-weights of the samples, that sum to one, are optional; without them all weigh the same.

Every f-divergence ∫ q f(p/q) is sup over T of E_p T − E_q f*(T), with f* the convex conjugate (Nguyen, Wainwright,
Jordan 2010): for any critic the two means are a lower bound, in expectation over samples that the critic was not
trained on, and at T = f'(p/q) it is the divergence. The value of a bound is in nats, and may be negative.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from divjax import checks
from divjax import numerics as nu
from divjax.divergences import penalties as penalties
from divjax.measures import Nodes
from divjax.numerics import calls as _calls

__dir__ = _calls.own(__name__, "penalties")

Outputs = Float[Array, " n"]
Scalar = Float[Array, ""]


class Dual(NamedTuple):
    """The conjugate side of one f-divergence, for a critic output v of any sign and size.

    T = activation(v) is in the domain of f*, and ``conjugate(v)`` = f*(T), in one formula, so that nothing overflows
    that need not. ``best(d)`` is the v at which the bound is the divergence, given d = log p/q.
    """

    activation: Callable[[Array], Array]
    conjugate: Callable[[Array], Array]
    best: Callable[[Array], Array]


def _same(v):
    return v


def _side(d):
    return jnp.where(d == 0.0, 0.0, jnp.sign(d) * jnp.inf)


# Nowozin, Cseke, Tomioka (2016), tables 2 and 6, with f as the divergences of this library have it. For jeffreys the
# activation is that of a log-ratio, log u + 1 − 1/u at u = e^v: theirs, v itself, needs Lambert's W for f*.
DUALS = {
    "kl": Dual(_same, lambda v: jnp.exp(v - 1.0), lambda d: 1.0 + d),
    "reverse_kl": Dual(lambda v: -jnp.exp(-v), lambda v: v - 1.0, _same),
    "jeffreys": Dual(lambda v: v + 1.0 - jnp.exp(-v), lambda v: jnp.exp(v) - 1.0 + v, _same),
    "pearson_chi2": Dual(_same, lambda v: v * (1.0 + 0.25 * v), lambda d: 2.0 * jnp.expm1(d)),
    "neyman_chi2": Dual(lambda v: -jnp.expm1(-v), lambda v: -2.0 * jnp.expm1(-0.5 * v), lambda d: 2.0 * d),
    "squared_hellinger": Dual(lambda v: -0.5 * jnp.expm1(-v), lambda v: 0.5 * jnp.expm1(v), lambda d: 0.5 * d),
    "jensen_shannon": Dual(
        lambda v: 0.5 * (math.log(2.0) - jax.nn.softplus(-v)),
        lambda v: 0.5 * (jax.nn.softplus(v) - math.log(2.0)),
        _same,
    ),
    "total_variation": Dual(lambda v: 0.5 * jnp.tanh(v), lambda v: 0.5 * jnp.tanh(v), _side),
    # Goodfellow et al. (2014): 2 jensen_shannon − log 4, what a discriminator with logit v maximises.
    "gan": Dual(lambda v: -jax.nn.softplus(-v), jax.nn.softplus, _same),
}


def variational(
    critic_p: Outputs,
    critic_q: Outputs,
    *,
    dual: Dual,
    log_w_p: ArrayLike | None = None,
    log_w_q: ArrayLike | None = None,
) -> Scalar:
    """A lower bound on an f-divergence from a critic's outputs, as an f-GAN trains it (Nowozin, Cseke, Tomioka 2016).

    E_p T − E_q f*(T) ≤ ∫ q f(p/q) with T = activation(v). critic_p, critic_q: the outputs v at samples of p [n] and of
    q [m]. dual: one of ``DUALS``, by the names of this library's divergences, or your own. Raises ValueError for
    outputs that are no vector and weights of another shape.

    Examples:
        >>> v_p, v_q = jnp.array([2.0, 1.0]), jnp.array([0.0, 1.0])
        >>> round(float(dj.critic.variational(v_p, v_q, dual=dj.critic.DUALS["kl"])), 3)
        0.816
    """
    critic_p, critic_q, mean_p, mean_q = _sides(critic_p, critic_q, log_w_p, log_w_q)
    return mean_p(dual.activation(critic_p)) - mean_q(dual.conjugate(critic_q))


class Bound(NamedTuple):
    """A bound measured on samples that its critic has not seen."""

    value: Scalar
    stderr: Scalar  # of the two means


def held_out(critic_p: Outputs, critic_q: Outputs, *, dual: Dual) -> Bound:
    """``variational`` on samples that the critic has not seen, with its standard error.

    √(var T(v_p) / n + var f*(T(v_q)) / m), for independent samples. It tells how far the mean over samples is from that
    over the distributions, not how far the bound is below the divergence. Where q has the heavier tails of f*, the
    error is itself too small. Needs two samples of each.

    Examples:
        >>> found = dj.critic.held_out(jnp.array([2.0, 1.0]), jnp.array([0.0, 1.0]), dual=dj.critic.DUALS["kl"])
        >>> round(float(found.stderr), 3)
        0.592
    """
    critic_p, critic_q, _, _ = _sides(critic_p, critic_q, None, None)
    of_p, of_q = dual.activation(critic_p), dual.conjugate(critic_q)
    variance = jnp.var(of_p, ddof=1) / of_p.size + jnp.var(of_q, ddof=1) / of_q.size
    return Bound(jnp.mean(of_p) - jnp.mean(of_q), nu.safe_sqrt(variance))


def tangent(
    critic_p: Outputs,
    critic_q: Outputs,
    *,
    divergence: Callable[..., Array],
    log_w_p: ArrayLike | None = None,
    log_w_q: ArrayLike | None = None,
) -> Scalar:
    """A lower bound on any f-divergence, one of your own too, from a critic that estimates the log-ratio log p/q.

    An f-divergence sums terms T(p, q) that are convex and 1-homogeneous, hence above their tangent planes through the
    origin: T(p, q) ≥ p ∂T/∂p + q ∂T/∂q at any other point, here at the ratio e^v. It is ``variational`` with
    T = f'(e^v), and needs no conjugate. Outputs beyond ±40 (float32; half the logarithm of the largest
    number, so that χ² can square the ratio) count as that, and have no gradient.

    divergence: on ``Nodes``, such as ``dj.kl`` or ``functools.partial(dj.alpha_divergence, alpha=3.0)``. Raises
    ValueError for one that is no such sum (``renyi``, ``l2``), unless its parameter is traced: that is yours to know.

    Examples:
        >>> v_p, v_q = jnp.array([1.0, 0.5]), jnp.array([-1.0, 0.0])
        >>> round(float(dj.critic.tangent(v_p, v_q, divergence=dj.jensen_shannon)), 3)
        0.245
    """
    _check_sum(divergence)
    critic_p, critic_q, mean_p, mean_q = _sides(critic_p, critic_q, log_w_p, log_w_q)
    reach = 0.5 * math.log(jnp.finfo(critic_p.dtype).max) - 4.0
    v_p, v_q = (jnp.clip(v, -reach, reach) for v in (critic_p, critic_q))
    by_p = jax.grad(lambda log_p: divergence(_nodes(log_p, -v_p)))(jnp.zeros_like(v_p))
    by_q = jax.grad(lambda log_q: divergence(_nodes(v_q, log_q)))(jnp.zeros_like(v_q))
    return mean_p(by_p) + mean_q(by_q)


def _nodes(log_p, log_q):
    return Nodes(log_p, log_q, jnp.zeros_like(log_p))


def _check_sum(divergence):
    """On two numbers: T(3p, 3q) = 3 T(p, q), and the terms of two nodes add. With a traced parameter: not known."""
    with jax.ensure_compile_time_eval():
        nodes = _nodes(jnp.array([-1.0, 0.5]), jnp.array([0.3, -0.7]))
        whole = divergence(nodes)
        parts = sum(divergence(jax.tree.map(lambda x, i=i: x[i : i + 1], nodes)) for i in (0, 1))
        tripled = replace(nodes, log_p=nodes.log_p + math.log(3.0), log_q=nodes.log_q + math.log(3.0))
        good = jnp.allclose(parts, whole, rtol=1e-4) & jnp.allclose(divergence(tripled), 3.0 * whole, rtol=1e-4)
        if not isinstance(good, jax.core.Tracer) and not good:
            raise ValueError(
                "Expected an f-divergence, a sum over nodes of 1-homogeneous terms such as dj.kl; got one that is not. "
                "Take the logarithm or the root of a bound on alpha_divergence instead."
            )


def donsker_varadhan(
    critic_p: Outputs, critic_q: Outputs, *, log_w_p: ArrayLike | None = None, log_w_q: ArrayLike | None = None
) -> Scalar:
    """E_p v − log E_q e^v ≤ KL(p‖q), equal at v = log p/q + any constant (Donsker, Varadhan 1983).

    The logarithm of a mean over few samples is biased upwards: on a small sample it may exceed the divergence.

    Examples:
        >>> round(float(dj.critic.donsker_varadhan(jnp.array([1.0, 1.0]), jnp.array([0.0, 0.0]))), 3)
        1.0
    """
    critic_p, critic_q, mean_p, _ = _sides(critic_p, critic_q, log_w_p, log_w_q)
    return mean_p(critic_p) - nu.logsumexp(critic_q + _log_weights(critic_q, log_w_q))


def nwj(
    critic_p: Outputs, critic_q: Outputs, *, log_w_p: ArrayLike | None = None, log_w_q: ArrayLike | None = None
) -> Scalar:
    """E_p v − E_q e^(v−1) ≤ KL(p‖q), equal at v = 1 + log p/q (Nguyen, Wainwright, Jordan 2010).

    Examples:
        >>> round(float(dj.critic.nwj(jnp.array([1.0, 1.0]), jnp.array([0.0, 0.0]))), 3)
        0.632
    """
    return variational(critic_p, critic_q, dual=DUALS["kl"], log_w_p=log_w_p, log_w_q=log_w_q)


def infonce(scores: Float[Array, "n n"]) -> Scalar:
    """mean over i of s_ii − log mean_j e^(s_ij) ≤ I(X; Y), and ≤ log n (van den Oord, Li, Vinyals 2018).

    s_ij: the critic at (x_i, y_j), pairs drawn jointly on the diagonal. A bound on KL(p(x, y) ‖ p(x) p(y)). Raises
    ValueError for scores that are not square.

    Examples:
        >>> round(float(dj.critic.infonce(100.0 * jnp.eye(4))), 3)
        1.386
    """
    (scores,) = checks.floating(scores)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"Expected scores [n, n] of all pairs; got shape {scores.shape}. Use jax.vmap twice.")
    return jnp.mean(jnp.diagonal(scores) - jax.nn.logsumexp(scores, axis=1)) + math.log(scores.shape[0])


class Objective(NamedTuple):
    """What the two players minimise, each ``loss(critic_p, critic_q) -> scalar``."""

    critic: Callable[[Array, Array], Array]
    generator: Callable[[Array, Array], Array]


def _means(of_p, of_q):
    """mean of_p(critic_p) + mean of_q(critic_q)."""

    def loss(critic_p, critic_q):
        critic_p, critic_q, mean_p, mean_q = _sides(critic_p, critic_q, None, None)
        return (0.0 if of_p is None else mean_p(of_p(critic_p))) + mean_q(of_q(critic_q))

    return loss


def _minus(v):
    return -v


_softplus = jax.nn.softplus
_discriminator = _means(lambda v: _softplus(-v), _softplus)

# Goodfellow et al. (2014), v the logit of "from p". The critic's loss is at least log 4 − 2 jensen_shannon; the
# generator's gradient vanishes where the critic is sure.
saturating = Objective(_discriminator, _means(None, lambda v: -_softplus(v)))
# The same critic, with the generator's loss −log sigmoid(v): the same fixed point, gradients where the critic is sure.
non_saturating = Objective(_discriminator, _means(None, lambda v: _softplus(-v)))
# Mao et al. (2017), labels 1 and 0, the generator's target 1. The critic's loss is at least (2 − triangular) / 8.
least_squares = Objective(
    _means(lambda v: 0.5 * (v - 1.0) ** 2, lambda v: 0.5 * v**2), _means(None, lambda v: 0.5 * (v - 1.0) ** 2)
)
# Lim, Ye (2017). The critic's loss is at least 2 − 2 total_variation.
hinge = Objective(_means(lambda v: jax.nn.relu(1.0 - v), lambda v: jax.nn.relu(1.0 + v)), _means(None, _minus))
# Arjovsky, Chintala, Bottou (2017): minus the critic's loss is at most L times Wasserstein-1 for an L-Lipschitz critic,
# which is for a penalty, clipping or spectral normalisation to bring about.
wasserstein_1 = Objective(_means(_minus, _same), _means(None, _minus))


def f_gan(dual: Dual | str) -> Objective:
    """The game on ``variational``: the critic raises the bound, the generator lowers it (Nowozin et al. 2016).

    dual: one of ``DUALS``, or its name, or your own. Raises ValueError for a name without a conjugate here.

    Examples:
        >>> round(float(dj.critic.f_gan("reverse_kl").generator(jnp.array([0.0, 0.0]), jnp.array([0.0, 0.0]))), 3)
        1.0
    """
    if isinstance(dual, str):
        if dual not in DUALS:
            raise ValueError(
                f"Expected a divergence with a conjugate, one of {', '.join(DUALS)}; got {dual!r}. "
                "Write a Dual of your own, or train on ratio_gan, which needs none."
            )
        dual = DUALS[dual]
    return Objective(
        lambda critic_p, critic_q: -variational(critic_p, critic_q, dual=dual),
        _means(None, lambda v: -dual.conjugate(v)),
    )


def ratio_gan(divergence: Callable[..., Array]) -> Objective:
    """The game on ``tangent``, for any f-divergence, one of your own too: the critic's output is the log-ratio.

    Examples:
        >>> round(float(dj.critic.ratio_gan(dj.kl).critic(jnp.array([1.0, 1.0]), jnp.array([0.0, 0.0]))), 3)
        -1.0
    """

    def bound(critic_p, critic_q):
        return tangent(critic_p, critic_q, divergence=divergence)

    return Objective(lambda critic_p, critic_q: -bound(critic_p, critic_q), bound)


def relativistic(critic_p: Outputs, critic_q: Outputs) -> Scalar:
    """The critic's loss where it only has to rank data above what the generator makes: −mean log sigmoid(v_p − v_q).

    Over pairs of samples (Jolicoeur-Martineau 2019); the generator's loss is that of exchanged arguments. Raises
    ValueError for samples of unequal size, which have no pairs.

    Examples:
        >>> round(float(dj.critic.relativistic(jnp.array([1.0, 1.0]), jnp.array([1.0, 1.0]))), 3)
        0.693
    """
    critic_p, critic_q, mean, _ = _sides(critic_p, critic_q, None, None)
    if critic_p.shape != critic_q.shape:
        raise ValueError(f"Expected as many samples of p as of q; got {critic_p.size} and {critic_q.size}.")
    return mean(_softplus(critic_q - critic_p))


paired = Objective(relativistic, lambda critic_p, critic_q: relativistic(critic_q, critic_p))


def _sides(critic_p, critic_q, log_w_p, log_w_q):
    """Both as vectors of one floating dtype, and their weighted means."""
    critic_p, critic_q = checks.floating(critic_p, critic_q)
    for name, values, log_w in (("critic_p", critic_p, log_w_p), ("critic_q", critic_q, log_w_q)):
        if values.ndim != 1 or values.size == 0:
            raise ValueError(
                f"Expected {name} of shape [n], one output for each sample; got {values.shape}. Use [..., 0]."
            )
        if log_w is not None and jnp.shape(log_w) != values.shape:
            raise ValueError(f"Expected log-weights of {name} of shape {values.shape}; got {jnp.shape(log_w)}.")
    return critic_p, critic_q, _mean(log_w_p), _mean(log_w_q)


def _mean(log_w):
    """Σ w_i x_i; what weighs nothing may be infinite."""
    if log_w is None:
        return jnp.mean
    weight = jnp.exp(log_w)
    return lambda x: jnp.sum(jnp.where(weight > 0.0, weight * jnp.where(weight > 0.0, x, 0.0), 0.0))


def _log_weights(values, log_w):
    return -math.log(values.size) if log_w is None else jnp.asarray(log_w, values.dtype)
