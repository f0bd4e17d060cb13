"""Closed forms that need more than densities of one family: transport, scores and kernels."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import checks
from divjax import numerics as nu
from divjax.distributions.exponential import families as fam
from divjax.distributions.exponential.family import product
from divjax.distributions.exponential.multivariate import GAUSSIAN, Gaussian, bures, covariance_difference, smooth
from divjax.distributions.family import Density
from divjax.distributions.gaussian import GaussianMixture, gaussian_mixture
from divjax.distributions.vectors import gaussian_member
from divjax.divergences.transport.plan import optimal_plan, transport_value
from divjax.exact.divergences import pair_l2
from divjax.exact.mixtures import log_overlap, quadratic
from divjax.exact.pair import Pair, both, comparable, is_location_scale, no_closed_form, of_distributions
from divjax.numerics import linalg
from divjax.numerics.calls import said

Scalar = Float[Array, ""]

_X, _W = np.polynomial.legendre.leggauss(6)
_LEGENDRE = 0.5 + 0.5 * _X, 0.5 * _W  # on [0, 1]


@functools.partial(of_distributions, points=(is_location_scale, is_location_scale))
def wasserstein2(p: Density, q: Density) -> Scalar:
    """How far the mass of p has to be moved to become q, in root mean square: the 2-Wasserstein distance.

    √ inf E‖X − Y‖², not squared, over all couplings, of Gaussians in any dimension and of two members of a
    location-scale family on the line. Gaussians: ‖Δμ‖² + tr(Σ_p + Σ_q − 2 (Σ_p^½ Σ_q Σ_p^½)^½) under the root, the
    Bures metric (Gelbrich 1990), computed as a Procrustes distance so that nothing cancels. Location-scale: Y = c + s X
    is the monotone map. Points, and Gaussians of singular covariance, have a distance too. The gradient at p = q, where
    the distance has a kink, is 0.

    Examples:
        >>> round(float(dj.exact.wasserstein2(distrax.Normal(3.0, 5.0), distrax.Normal(0.0, 1.0))), 4)
        5.0
    """
    step = _location_scale_step(p, q)
    if step is not None:
        return _norm(step)
    pair = comparable(p, q)
    if pair is not None and pair.family is GAUSSIAN:
        one, two, unit = _in_one_unit(*((theta.loc, theta.scale_tril) for theta in (pair.theta_p, pair.theta_q)))
        return unit * nu.safe_sqrt(_bures(*one, *two))
    if pair is None or pair.family is not product(fam.NORMAL, 1):
        raise no_closed_form("wasserstein2", p, q)
    (m, s, _), (n, t, _) = pair.theta_p, pair.theta_q
    return _norm(jnp.stack([m - n, s - t]))


def _norm(step: Array) -> Scalar:
    """√ Σ x², of numbers whose squares would overflow or vanish too."""
    unit = jax.lax.stop_gradient(nu.power_of_two(jnp.max(jnp.abs(step))))
    return unit * nu.safe_sqrt(jnp.sum((step / unit) ** 2))


def _location_scale_step(p: Density, q: Density) -> Array | None:
    """Of two members of one location-scale family, the difference of their maps from its standard form."""
    if p.family is not q.family or p.family.standard is None:
        return None
    one, two = p.family.standard(p.params), q.family.standard(q.params)
    loc, scale = one.loc - two.loc, one.scale - two.scale
    return jnp.stack([loc + one.mean * scale, math.sqrt(one.variance) * scale])


def _in_one_unit(p: tuple[Array, Array], q: tuple[Array, Array]) -> tuple[tuple, tuple, Array]:
    """Locations and factors over the next power of two above them, as seen from the first location, and that power."""
    centre = jax.lax.stop_gradient(p[0].reshape(-1, p[0].shape[-1])[0])
    p, q = ((loc - centre, factor) for loc, factor in (p, q))
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(x)) for x in (*p, *q)]))
    unit = jax.lax.stop_gradient(nu.power_of_two(largest))
    return *(tuple(x / unit for x in side) for side in (p, q)), unit


def _bures(loc_p: Array, factor_p: Array, loc_q: Array, factor_q: Array) -> Scalar:
    one = jnp.ones((), loc_p.dtype)
    return bures(Gaussian(loc_p, factor_p, one), Gaussian(loc_q, factor_q, one))


class MixturePlan(NamedTuple):
    """``mixture_wasserstein2`` with the plan between components and their squared distances."""

    value: Float[Array, ""]
    coupling: Float[Array, "k l"]
    cost: Float[Array, "k l"]


@said
def mixture_wasserstein2(p: Any, q: Any) -> Float[Array, ""]:
    """The least root mean square distance by which the Gaussian components of p are moved to become those of q.

    MW₂ = (min over π of Σ π_kl W₂²(N_k, N_l))^½, not squared (Delon, Desolneux 2020): the least cost of couplings that
    are mixtures of Gaussians themselves. ``wasserstein2`` ≤ MW₂ ≤ ``wasserstein2`` + √(2 Σ w_k tr Σ_k) + the same of q;
    equal to it between two Gaussians. A metric. The plan between the components is exact; the gradient holds it fixed
    (envelope theorem), and is 0 where MW₂ is.

    Examples:
        >>> p, q = dj.targets.two_modes(16.0), dj.targets.two_modes(18.0)
        >>> round(float(dj.exact.mixture_wasserstein2(p, q)), 4)
        1.4142
    """
    return mixture_plan(p, q).value


@said
def mixture_plan(p: Any, q: Any) -> MixturePlan:
    """``mixture_wasserstein2`` with the plan between the components [k, l] and their squared distances W₂²(N_k, N_l).

    Examples:
        >>> plan = dj.exact.mixture_plan(dj.targets.two_modes(16.0), dj.targets.two_modes(18.0))
        >>> jnp.round(plan.coupling, 3).tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    p, q = both(p, q)
    one, two = gaussian_mixture(p), gaussian_mixture(q)
    if one is None or two is None:
        raise no_closed_form("mixture_wasserstein2", p, q)
    in_unit, other, unit = _in_one_unit((one.loc, one.scale_tril), (two.loc, two.scale_tril))
    to_all = jax.vmap(_bures, (None, None, 0, 0))
    cost = jax.vmap(to_all, (0, 0, None, None))(*in_unit, *other)
    a, b = (mixture.weight.astype(cost.dtype) for mixture in (one, two))
    value = unit * nu.safe_sqrt(jnp.maximum(transport_value(cost, a, b), 0.0))
    return MixturePlan(value, optimal_plan(cost, a, b).coupling, unit * (unit * cost))


@of_distributions
def fisher(p: Density, q: Density) -> Scalar:
    """The Fisher divergence of Gaussians and gamma laws in closed form: ∫ p ‖∇log p − ∇log q‖² ≥ 0 (Hyvärinen 2005).

    Gaussians: ‖Σ_q⁻¹ Δμ‖² + ‖(Σ_q⁻¹ − Σ_p⁻¹) L_p‖²_F, with Σ_p = L_p L_pᵀ. Gamma: +inf for α_p ≤ 2 where the
    concentrations differ.

    Examples:
        >>> round(float(dj.exact.fisher(distrax.Normal(3.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        9.0
    """
    pair = comparable(p, q)
    if pair is not None:
        theta_p, theta_q = pair.theta_p, pair.theta_q
        if pair.family is GAUSSIAN:
            return _fisher_gaussian(theta_p, theta_q)
        if pair.tag in ("Normal", "MultivariateNormal"):
            return jnp.sum(_fisher_normal(theta_p, theta_q))
        if pair.tag == "Gamma":
            return _fisher_gamma(theta_p, theta_q)
    raise no_closed_form("fisher", p, q)


def _fisher_normal(p: fam.Tempered, q: fam.Tempered) -> Array:
    precision = (p.scale - q.scale) * (p.scale + q.scale) / (q.scale**2 * p.scale)
    return ((p.loc - q.loc) / q.scale**2) ** 2 + precision**2


def _fisher_gaussian(p: Gaussian, q: Gaussian) -> Array:
    """(Σ_q⁻¹ − Σ_p⁻¹) L_p = Σ_q⁻¹ (Σ_p − Σ_q) L_p⁻ᵀ."""
    right = linalg.solve_triangular(p.scale_tril, covariance_difference(p, q)).T
    stacked = jnp.concatenate([(p.loc - q.loc)[:, None], right], axis=1)
    half = linalg.solve_triangular(q.scale_tril, stacked)
    return jnp.sum(linalg.solve_triangular(q.scale_tril, half, transposed=True) ** 2)


def _fisher_gamma(p: fam.GammaParameters, q: fam.GammaParameters) -> Array:
    """E (δα/x − δβ)², with E 1/x = β/(α−1) and Var 1/x = β²/((α−1)²(α−2))."""
    shape, rate = p.concentration - q.concentration, p.rate - q.rate
    ok = p.concentration > 2.0
    a = jnp.where(ok, p.concentration, 3.0)
    inverse = p.rate / (a - 1.0)
    value = (shape * inverse - rate) ** 2 + (shape * inverse) ** 2 / (a - 2.0)
    return jnp.where(ok, value, jnp.where(shape == 0.0, rate**2, jnp.inf))


@of_distributions
def mmd2(p: Density, q: Density, *, bandwidth: Float[Array, ""] | float) -> Scalar:
    """The squared maximum mean discrepancy of Gaussians and their mixtures, in closed form (Gretton et al. 2012).

    E k(X,X') + E k(Y,Y') − 2 E k(X,Y) with k(x, y) = exp(−‖x−y‖²/(2 bandwidth²)). k is a Gaussian, so this is ∫
    (p̃−q̃)² (2π bandwidth²)^(d/2) of the densities smoothed by N(0, bandwidth²/2). Two Gaussians lose nothing when p ≈
    q; mixtures lose a few eps.

    Examples:
        >>> round(float(dj.exact.mmd2(distrax.Normal(0.0, 1.0), distrax.Normal(100.0, 1.0), bandwidth=1.0)), 4)
        1.1547
    """
    bandwidth = checks.parameter(bandwidth, "bandwidth", 0.0, above=True)
    one, two = gaussian_mixture(p), gaussian_mixture(q)
    if one is None or two is None:
        raise no_closed_form("mmd2", p, q)
    dim = one.loc.shape[-1]
    bandwidth = jnp.asarray(bandwidth, one.loc.dtype)
    log_norm = dim * (0.5 * math.log(2.0 * math.pi) + jnp.log(bandwidth))
    if one.log_w.shape == two.log_w.shape == (1,):
        value = _gaussian_quadratic(one, two, bandwidth**2)
    else:
        value = quadratic(one, two, bandwidth**2)
    return jnp.exp(log_norm) * value


def _gaussian_quadratic(one: GaussianMixture, two: GaussianMixture, variance: Array) -> Scalar:
    """⟨p − q, p − q⟩ of the inner product ∬ p(x) q(y) N(x − y; 0, variance · I) of two Gaussians."""
    smoothed = _smoothed(one, two, 0.5 * variance)
    far = pair_l2(smoothed)
    norms = [jnp.exp(smoothed.square.log_norm(theta)) for theta in (smoothed.theta_p, smoothed.theta_q)]
    near = far < 0.02 * (norms[0] + norms[1])
    return jnp.where(near, _quadratic_along_segment(one, two, variance), far)


def _quadratic_along_segment(one: GaussianMixture, two: GaussianMixture, variance: Array) -> Scalar:
    """∫₀¹∫₀¹ ∂_s ∂_t ⟨r_s, r_t⟩ ds dt from q = r_0 to p = r_1 along the straight line of their parameters.

    It is linear in the step on either side, so that p ≈ q costs no digits. By Gauss-Legendre, for a short way.
    """
    step = (one.loc - two.loc, one.scale_tril - two.scale_tril)

    def at(t):
        return two.loc + t * step[0], two.scale_tril + t * step[1]

    def inner(a, b):
        moved = (two._replace(loc=each[0], scale_tril=each[1]) for each in (a, b))
        return jnp.exp(log_overlap(*moved, variance)[0, 0])

    def mixed(s, t):
        slope = lambda b: jax.jvp(lambda a: inner(a, b), (at(s),), (step,))[1]  # noqa: E731
        return jax.jvp(slope, (at(t),), (step,))[1]

    nodes, weights = (jnp.asarray(x, variance.dtype) for x in _LEGENDRE)
    table = jax.vmap(jax.vmap(mixed, (None, 0)), (0, None))(nodes, nodes)
    return jnp.maximum(nu.matmul(weights, table, weights), 0.0)


def _smoothed(one: GaussianMixture, two: GaussianMixture, variance: Array) -> Pair:
    p, q = (smooth(Gaussian(m.loc[0], m.scale_tril[0], jnp.ones_like(variance)), variance) for m in (one, two))
    member = gaussian_member(p.loc, p.scale_tril)
    return Pair(member.tag, GAUSSIAN, p, q, member.square, equal_frames=True)
