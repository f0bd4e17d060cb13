"""The Sinkhorn divergence, by ott-jax: weighted samples in, its value out, and how it was found."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from divjax import checks, status
from divjax import numerics as nu
from divjax.divergences.kernel.pairwise import squared_differences
from divjax.divergences.transport.sliced import centred_samples, paired_samples
from divjax.measures import Points
from divjax.numerics.calls import callers_level, said
from divjax.numerics.programs import kept


class Sinkhorn(NamedTuple):
    """A Sinkhorn divergence and how it was found. Of the three parts in order: x with y, x with x, y with y."""

    value: Float[Array, ""]
    potentials: tuple[tuple[Array, Array], ...]  # (f [n], g [m]) of each part: what a unit of mass pays at each point
    steps: Int[Array, " 3"]  # iterations of each part
    status: Int[Array, ""]  # bits of divjax.status: OK, NOT_CONVERGED where a part is not, NON_FINITE, UNRESOLVED


@said
def sinkhorn_divergence(
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    epsilon: ArrayLike | None = None,
    cost: Any = None,
    tol: float = 1e-3,
    max_steps: int = 2000,
) -> Float[Array, ""]:
    """The value of ``samples.sinkhorn`` alone: transport between two samples, smoothed by an entropy, 0 where x is y.

    T_ε(P, Q) − ½ T_ε(P, P) − ½ T_ε(Q, Q) ≥ 0 (Feydy et al. 2019), in the units of the cost. Arguments, gradients and
    errors are those of ``samples.sinkhorn``, which also says whether its iterations have converged. An
    ``AccuracyWarning``, where nothing is traced, says that the value is lost in rounding, as beside a point far out.

    Examples:
        >>> x = jnp.asarray([[0.0], [1.0]])
        >>> round(float(dj.sinkhorn_divergence(x, x + 2.0)), 2)
        4.0
    """
    found = sinkhorn(x, y, epsilon=epsilon, cost=cost, tol=tol, max_steps=max_steps)
    if checks.is_known(found.status) and int(found.status) & status.UNRESOLVED:
        warnings.warn(
            f"Expected a Sinkhorn divergence above the rounding of its costs; got {float(found.value):.3g} of points "
            "that are far apart. Use jax_enable_x64, or leave out the points far from the others.",
            status.AccuracyWarning,
            stacklevel=callers_level(),
        )
    return found.value


@kept
def sinkhorn(
    x: Float[Array, "n d"] | Points,
    y: Float[Array, "m d"] | Points,
    *,
    epsilon: ArrayLike | None = None,
    cost: Any = None,
    tol: float = 1e-3,
    max_steps: int = 2000,
) -> Sinkhorn:
    """The Sinkhorn divergence T_ε(P, Q) − ½ T_ε(P, P) − ½ T_ε(Q, Q) ≥ 0 of two samples, and how it was found.

    T_ε(P, Q) is the least of ∫ c dπ + ε KL(π‖P ⊗ Q) over the couplings π of P and Q (Feydy et al. 2019). x, y: samples
    [n, d] and [m, d], or ``Points`` where they have weights. epsilon: ε, in the units of the cost; by default 5 % of
    the weighted standard deviation of the costs, without a gradient. cost: an ``ott.geometry.costs.CostFn``, by default
    ‖x − y‖². It iterates until the marginals are met within ``tol`` in l1, at most ``max_steps`` times; whether they
    were is in ``status``, and UNRESOLVED where rounding of the costs may be more than a tenth of the value: of one far
    point they are large, and the value is a difference of their means. Gradients in points and weights by the envelope
    theorem, once: as exact as the potentials. Memory n m. Raises ValueError for unequal dimensions, empty samples, and
    an epsilon or a tol that is not positive.

    Examples:
        >>> x = jnp.asarray([[0.0], [1.0]])
        >>> int(dj.samples.sinkhorn(x, x + 2.0, epsilon=0.1).status)
        0
    """
    tol = checks.parameter(tol, "tol", 0.0, above=True)
    epsilon = None if epsilon is None else checks.parameter(epsilon, "epsilon", 0.0, above=True)
    # Of other costs it is not known that only differences count.
    (x, log_w_x), (y, log_w_y) = (centred_samples if cost is None else paired_samples)(x, y)
    a, b = _weights(x, log_w_x), _weights(y, log_w_y)
    epsilon = _default_epsilon(cost, x, y, a, b) if epsilon is None else epsilon
    solver = {"threshold": tol, "max_iterations": max_steps}
    _, found = _ott().sinkdiv(x, y, cost_fn=cost, epsilon=epsilon, a=a, b=b, solve_kwargs=solver)
    converged, steps = (jnp.stack([jnp.asarray(part) for part in parts]) for parts in (found.converged, found.n_iters))
    bits = jnp.where(jnp.all(converged), status.OK, status.NOT_CONVERGED)
    bits = bits | jnp.where(jnp.isfinite(found.divergence), status.OK, status.NON_FINITE)
    squares = 0.0 if cost is not None else nu.matmul(a, jnp.sum(x * x, 1)) + nu.matmul(b, jnp.sum(y * y, 1))
    lost = _rounding(squares, a, b, found.potentials) > 0.1 * jnp.abs(found.divergence)
    bits = bits | jnp.where(lost & ~_equal(x, y, a, b), status.UNRESOLVED, status.OK)
    return Sinkhorn(found.divergence, found.potentials, steps, bits.astype(jnp.int32))


def _rounding(squares, a, b, potentials):
    """Of the value: half a unit in the last place of the squares that costs are made of, and of what the masses pay."""
    sides = ((a, b), (a, a), (b, b))
    paid = [
        nu.matmul(w, jnp.abs(v))
        for part, ws in zip(potentials, sides, strict=True)
        for v, w in zip(part, ws, strict=True)
    ]
    return jax.lax.stop_gradient(0.5 * jnp.finfo(a.dtype).eps * jnp.max(jnp.stack([*paid, jnp.asarray(squares)])))


def _equal(x, y, a, b):
    """Whether both are one sample, whose distance from itself is 0, as near as rounding may come."""
    return jnp.all(x == y) & jnp.all(a == b) if x.shape == y.shape else jnp.zeros((), bool)


def _ott():
    """ott's module, imported when first used: it takes a second."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "JAXopt is no longer maintained", DeprecationWarning)
        from ott.tools import sinkhorn_divergence
    return sinkhorn_divergence


def _default_epsilon(cost, x, y, a, b):
    """5 % of the weighted standard deviation of the costs; of their mean where all are the same."""
    x, y, a, b = jax.lax.stop_gradient((x, y, a, b))
    costs = squared_differences(x, y) if cost is None else cost.all_pairs(x, y)
    mean = nu.matmul(a, costs, b)
    spread = nu.safe_sqrt(nu.matmul(a, (costs - mean) ** 2, b))
    spread = jnp.where(spread > 0.0, spread, jnp.where(mean > 0.0, mean, 1.0))
    return 0.05 * spread


def _weights(x, log_w):
    """The weights, a masked point's too small to move anything: at 0 the potentials are infinite."""
    if log_w is None:
        return jnp.full(x.shape[0], 1.0 / x.shape[0], x.dtype)
    return jnp.maximum(jnp.exp(log_w), jnp.finfo(x.dtype).tiny)
