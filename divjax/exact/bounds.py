"""KL between mixtures of Gaussians has no closed form; it has bounds, each exact arithmetic in pairwise
closed forms.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from divjax.distributions.density import is_law
from divjax.distributions.exponential import families as gaps
from divjax.distributions.exponential.multivariate import GAUSSIAN, Gaussian
from divjax.distributions.family import Density
from divjax.distributions.gaussian import GaussianMixture, gaussian_mixture
from divjax.exact.mixtures import log_overlap
from divjax.exact.pair import both
from divjax.numerics import calls as _calls
from divjax.numerics import linalg
from divjax.numerics.calls import said
from divjax.numerics.programs import kept

__dir__ = _calls.own(__name__)

_ORDERS = (0.25, 0.5, 0.75, 0.95)  # of the Rényi lower bound; each is one, the largest is taken
_SWEEPS = 30  # of the matching of components; every one of them gives an upper bound


class Bounds(NamedTuple):
    """lower ≤ KL(p‖q) ≤ upper; ``variational`` is an approximation between neither, often close."""

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    variational: Float[Array, ""]


@said
def kl(p: Any, q: Any) -> Bounds:
    """Lower and upper bounds of KL(p‖q) between mixtures of Gaussians, from closed forms of their components, in nats.

    With components f_a, g_b of weights w, v, KL_ab = KL(f_a‖g_b), t_ab = ∫ f_a g_b, H_a the entropy of f_a:

    * lower, the largest of: 0; Σ_a w_a [log Σ_a' w_a' e^(−KL_aa') − H_a − log Σ_b v_b t_ab] (Durrieu,
      Thiran, Kelly 2012); and Rényi's of order r < 1, log Σ_ab w_a^r v_b^(1−r) ∫f_a^r g_b^(1−r) / (r − 1),
      which is one because KL ≥ Rényi and (Σ x)^r ≤ Σ x^r.
    * upper, the smallest of: Σ_a w_a log(Σ_a' w_a' e^(−B_aa') / Σ_b v_b e^(−KL_ab)), B Bhattacharyya's
      distance, from the pairwise bound of H(p) of Kolchinsky, Tracey (2017); Durrieu et al.'s, with ∫f_a
      f_a' e^(H_a) in place of e^(−B_aa'); and the matching of components of Hershey, Olsen (2007), by the
      log-sum inequality.
    * variational: Σ_a w_a log(Σ_a' w_a' e^(−KL_aa') / Σ_b v_b e^(−KL_ab)) (Hershey, Olsen 2007), no bound.

    Two Gaussians: all three are the exact value. Raises ``NotImplementedError`` for anything else than these.

    Examples:
        >>> found = dj.bounds.kl(distrax.Normal(0.0, 1.0), dj.targets.two_modes(16.0))
        >>> round(float(found.lower), 3), round(float(found.upper), 3)
        (0.693, 0.693)
    """
    return _kl(*both(p, q))


@kept
def _kl(p: Density, q: Density) -> Bounds:
    bounds, laws = _bounds(*_mixtures(p, q)), is_law(p) & is_law(q)
    return Bounds(*(jnp.where(laws, bound, jnp.nan) for bound in bounds))


def _bounds(p, q):
    # All orders of one pair of mixtures in one piece of program.
    (inner, half), (across, *renyi) = _pairs(p, p, (1.0, 0.5)), _pairs(p, q, (1.0, *_ORDERS))
    if p.log_w.shape == q.log_w.shape == (1,):
        return Bounds(*[across[0, 0]] * 3)
    to_p = _log_mean(p.log_w, -inner)
    to_q = _log_mean(q.log_w, -across)
    variational = _expect(p, to_p - to_q)
    return Bounds(
        lower=_lower(p, q, to_p, jnp.stack(renyi)),
        upper=_upper(p, q, to_q, across, 0.25 * half),
        variational=variational,
    )


@said
def unscented_kl(p: Any, q: Any) -> Float[Array, ""]:
    """KL(p‖q) between mixtures of Gaussians by the unscented transform: 2d points for each component of p.

    The points are μ_a ± √d L_a e_i (Julier, Uhlmann 1997; Goldberger, Aronowitz 2005). Exact where log p − log q is
    quadratic within reach of each component, as for two Gaussians; no bound, and may be negative. Raises as ``kl``
    does.

    Examples:
        >>> round(float(dj.bounds.unscented_kl(distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0))), 4)
        0.5
    """
    return _unscented(*both(p, q))


@kept
def _unscented(p: Density, q: Density) -> Float[Array, ""]:
    p, q = _mixtures(p, q)
    dim = p.loc.shape[-1]
    steps = math.sqrt(dim) * jnp.swapaxes(p.scale_tril, -1, -2)  # rows are scaled columns of L
    points = p.loc[:, None] + jnp.concatenate([steps, -steps], axis=1)
    difference = jax.vmap(jax.vmap(lambda x: _log_prob(p, x) - _log_prob(q, x)))(points)
    return _expect(p, jnp.mean(difference, axis=1))


def _mixtures(p: Density, q: Density) -> tuple[GaussianMixture, GaussianMixture]:
    one, two = gaussian_mixture(p), gaussian_mixture(q)
    if one is None or two is None:
        raise NotImplementedError(
            f"Expected Gaussians or mixtures of Gaussians; got {p.name} and {q.name}. "
            "Use dj.quadrature (few dimensions) or dj.monte_carlo."
        )
    return one, two


def _log_prob(mixture: GaussianMixture, x: Float[Array, " d"]) -> Float[Array, ""]:
    dim = x.shape[0]

    def one(loc, factor):
        white = linalg.solve_triangular(factor, x - loc)
        return -0.5 * jnp.sum(white**2) - jnp.sum(jnp.log(jnp.diagonal(factor)))

    parts = jax.vmap(one)(mixture.loc, mixture.scale_tril) - 0.5 * dim * math.log(2.0 * math.pi)
    return jax.scipy.special.logsumexp(mixture.log_w + parts)


def _pairs(p: GaussianMixture, q: GaussianMixture, orders: tuple[float, ...]) -> Float[Array, "m k l"]:
    """K(a) of every pair of components, for every order a: KL at 1, 4 times Bhattacharyya's distance at ½."""

    def one(alpha, loc_p, factor_p, loc_q, factor_q):
        sides = ((loc_p, factor_p), (loc_q, factor_q))
        one = jnp.ones_like(alpha)
        if loc_p.size == 1:  # without the linear algebra, which takes long to compile
            return gaps.NORMAL.overlap(alpha, *(gaps.Tempered(loc[0], factor[0, 0], one) for loc, factor in sides)).gap
        p, q = Gaussian(loc_p, factor_p, one), Gaussian(loc_q, factor_q, one)
        return GAUSSIAN.overlap(alpha, p, q).gap

    rows = jax.vmap(jax.vmap(one, in_axes=(None, None, None, 0, 0)), in_axes=(None, 0, 0, None, None))
    orders = jnp.asarray(orders, p.loc.dtype)
    return jax.vmap(rows, in_axes=(0, *[None] * 4))(orders, p.loc, p.scale_tril, q.loc, q.scale_tril)


def _log_mean(log_w: Float[Array, " l"], values: Float[Array, "k l"]) -> Float[Array, " k"]:
    return jax.scipy.special.logsumexp(log_w + values, axis=1)


def _expect(p: GaussianMixture, values: Float[Array, " k"]) -> Float[Array, ""]:
    """Σ w_a values_a, components of weight 0 left out whatever their value."""
    return jnp.sum(p.weight * jnp.where(p.weight > 0.0, values, 0.0))


def _entropies(p: GaussianMixture) -> Float[Array, " k"]:
    dim = p.loc.shape[-1]
    log_det = jnp.sum(jnp.log(jnp.diagonal(p.scale_tril, axis1=-2, axis2=-1)), axis=-1)
    return 0.5 * dim * (1.0 + math.log(2.0 * math.pi)) + log_det


def _lower(p: GaussianMixture, q: GaussianMixture, to_p: Array, gaps: Float[Array, "m k l"]) -> Float[Array, ""]:
    durrieu = _expect(p, to_p - _entropies(p) - _log_mean(q.log_w, log_overlap(p, q)))

    def renyi(order, gap):
        exponent = -order * (1.0 - order) * gap
        weights = order * p.log_w[:, None] + (1.0 - order) * q.log_w[None, :]
        return jax.scipy.special.logsumexp(weights + exponent) / (order - 1.0)

    orders = jax.vmap(renyi)(jnp.asarray(_ORDERS, p.loc.dtype), gaps)
    return jnp.maximum(jnp.maximum(durrieu, jnp.max(orders)), 0.0)


def _upper(p: GaussianMixture, q: GaussianMixture, to_q: Array, across: Array, distance: Array) -> Float[Array, ""]:
    kolchinsky = _expect(p, _log_mean(p.log_w, -distance) - to_q)
    durrieu = _expect(p, _log_mean(p.log_w, log_overlap(p, p)) + _entropies(p) - to_q)
    return jnp.minimum(jnp.minimum(kolchinsky, durrieu), _matching(p, q, across))


def _matching(p: GaussianMixture, q: GaussianMixture, across: Array) -> Float[Array, ""]:
    """min Σ_ab φ_ab (log(φ_ab/ψ_ab) + KL_ab), φ with row sums w and ψ with column sums v, by alternation.

    φ = w_a ψ_ab e^(−KL_ab)/Σ_b', ψ = v_b φ_ab/Σ_a'; any feasible pair bounds KL from above (log-sum
    inequality).
    """
    log_v = q.log_w[None, :]

    def sweep(log_psi, _):
        reach = log_psi - across
        log_phi = p.log_w[:, None] + jax.nn.log_softmax(reach, axis=1)
        return log_v + jax.nn.log_softmax(log_phi, axis=0), None

    start = p.log_w[:, None] + log_v
    log_psi, _ = jax.lax.scan(sweep, start, None, length=_SWEEPS)
    # the best φ for this ψ, put into the objective: Σ_a w_a (log w_a − log Σ_b ψ_ab e^(−KL_ab))
    reach = jax.scipy.special.logsumexp(log_psi - across, axis=1)
    return _expect(p, p.log_w - reach)
