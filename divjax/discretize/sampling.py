"""Monte Carlo: draws from one or both of two distributions, weighted so that they are nodes of every divergence."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from divjax import checks
from divjax import numerics as nu
from divjax.discretize import designs, validity
from divjax.discretize.compiled import of_laws, spoken
from divjax.distributions.density import log_prob_of_draws
from divjax.distributions.family import Density, Source
from divjax.distributions.mixtures import log_base
from divjax.distributions.resolve import is_distribution
from divjax.distributions.source import outline, source
from divjax.measures import Nodes, Rule
from divjax.numerics.calls import said
from divjax.numerics.programs import kept


@said
def monte_carlo(
    key: PRNGKeyArray,
    p: Any,
    q: Any,
    *,
    num_draws: int,
    base: Any = "mixture",
    gradient: str = "pathwise",
    design: Callable[..., Array] = designs.independent,
) -> Nodes:
    """``num_draws`` draws x_i from the density r of ``base``, weighted 1/(n r): nodes for every ∫ h(p(x), q(x)) dx.

    p, q: unbatched distributions of any known library with the same event shape, of any dimension, discrete ones
    too; build them from parameter arrays inside the function that is vmapped or differentiated.

    base: ``"p"``, ``"q"``, ``"mixture"`` (half of the draws from each, r = (p + q)/2: multiple importance sampling with
    the balance heuristic, Veach, Guibas 1995, which bounds p/r and q/r by 2), or a distribution of one's own. Unbiased
    for every divergence that is a sum over nodes, if r > 0 where p or q are; ``estimate`` says how far to trust it.
    The components of a mixture get their share of the draws exactly (systematic sampling).

    gradient: ``"pathwise"``, draws move with the parameters of the base (Kingma, Welling 2014), but not with the
    weights of a mixture, whose derivative is taken at fixed draws, or ``"score"``, draws and r stand still (Williams
    1992), for what cannot be differentiated in x. The value is the same. Estimators that are right for one divergence
    alone are functions of their own: ``divjax.variational``.

    design: ``independent``, ``antithetic`` or ``lattice`` (quasi-Monte Carlo) of ``divjax.discretize``.

    Returns ``Nodes`` of the rule DRAWS, [strata, units, members]: give them to any divergence on nodes, ``kl(nodes)``.
    Raises ValueError for batched distributions, unequal event shapes, a base or gradient that is invalid for the pair,
    and a num_draws that the design cannot divide; TypeError for something that is no distribution.

    Examples:
        >>> p, q = distrax.Normal(1.0, 1.0), distrax.Normal(0.0, 1.0)
        >>> nodes = dj.monte_carlo(jax.random.key(0), p, q, num_draws=1000)
        >>> abs(float(dj.kl(nodes)) - 0.5) < 0.1
        True
    """
    checks.key(key)
    p, q = validity.pair(p, q)
    checks.check_count(num_draws, "num_draws")
    parts = _bases(p, q, base)
    if gradient not in ("pathwise", "score"):
        raise ValueError(
            f"Expected gradient 'pathwise' or 'score', which are right for every divergence; got {gradient!r}. "
            "Sticking the landing is right for the reverse KL alone: dj.variational.reverse_kl_stl; doubly "
            "reparameterised gradients for the importance-weighted bound: dj.variational.dreg."
        )
    each = designs.whole(num_draws, len(parts), f"a base of {len(parts)} distributions")
    for part in parts:
        origin = outline(part)
        check_design(part, origin, design)
        if gradient == "pathwise":
            validity.check_pathwise(part, origin, (p, q), "gradient='score'")
    nodes = _drawn(key, p, q, tuple(parts), num_draws, each, gradient, design)
    return spoken(nodes, p, q, *parts)


@kept
def _drawn(key, p, q, parts, num_draws, each, gradient, design):
    sources = [source(part) for part in parts]
    keys = jax.random.split(key, len(parts))
    drawn = [draw(*row, each, design) for row in zip(keys, parts, sources, strict=True)]
    # Weighed one by one and then joined: draws that are concatenated first would all be stored.
    weighed = [_weighed(p, q, gradient, x, parts, sources) for x, _, _ in drawn]
    _, units, members = drawn[0][2]
    log_p, log_q, log_w = (jnp.concatenate(logs).reshape(-1, units, members) for logs in zip(*weighed, strict=True))
    nodes = Nodes(log_p, log_q, log_w - jnp.log(jnp.asarray(num_draws, log_w.dtype)), Rule.DRAWS)
    return of_laws(nodes, p, q, *parts)


def _weighed(p, q, gradient, x, parts, sources):
    """log p, log q and −log r at the points x."""
    if gradient == "score":
        x = jax.lax.stop_gradient(x)
    log_p, log_q = log_prob_of_draws(p, x), log_prob_of_draws(q, x)
    logs = [log_base(part, origin.log_w, x) for part, origin in zip(parts, sources, strict=True)]
    log_r = logs[0] if len(logs) == 1 else nu.log_mixture(*logs, 0.5)
    if gradient == "score":
        log_r = jax.lax.stop_gradient(log_r)
        log_p, log_q = (validity.with_fixed_ends(*pair, "gradient='score'") for pair in ((p, log_p), (q, log_q)))
    return log_p, log_q, -log_r


def _bases(p, q, base):
    """The distributions that are drawn from."""
    if isinstance(base, str) and base in ("p", "q"):
        part, other = (p, q) if base == "p" else (q, p)
        validity.check_reach(base, part, other)
        return [part]
    if isinstance(base, str) and base == "mixture":
        return [p, q]
    if isinstance(base, str) or not is_distribution(base):
        raise ValueError(f"Expected base 'p', 'q', 'mixture' or a distribution; got {base!r}.")
    base = validity.one(base, "base")
    validity.check_pair(base, p)
    return [base]


def check_design(dist: Density, origin: Source, design: Callable[..., Array]) -> None:
    """ValueError for a design that its own sampler cannot follow, TypeError for what is no design."""
    if not callable(design):
        raise TypeError(
            f"Expected design to be a function such as divjax.discretize.lattice; got {design!r}. "
            "There are independent, antithetic and lattice."
        )
    if not origin.mapped and design is not designs.independent:
        raise ValueError(
            f"Expected a distribution that is an image of normal variables for design={design!r}; got "
            f"{dist.name}. Use design=divjax.discretize.independent."
        )


def draw(
    key: PRNGKeyArray, dist: Density, origin: Source, num: int, design: Callable[..., Array]
) -> tuple[Array, Array, tuple[int, ...]]:
    """num points x [num, *event] of one distribution, the log of their shares, which is 0, and the design's shape.

    A share carries the derivative of a component's weight: what is drawn more often counts more.
    """
    key_cube, key_own = jax.random.split(checks.key(key))
    t = design(key_cube, num, 1 + origin.dim)
    shape, t = t.shape[:-1], t.reshape(-1, t.shape[-1])
    z = math.sqrt(2.0) * jax.scipy.special.erfinv(t[..., 1:])
    index, log_share = _components(origin.log_w, 0.5 * (1.0 + t[..., 0]))
    return origin.image(key_own, index, z), log_share, shape


def _components(log_w, level):
    """The component that every level in (0, 1) falls to, and the log of its share."""
    if log_w.size == 1:
        return jnp.zeros(level.shape, int), jnp.zeros_like(level)
    weights = jax.lax.stop_gradient(jnp.cumsum(jnp.exp(log_w)))
    # Rounding must not take a level past the last component that has mass.
    last = jnp.argmax(weights >= weights[-1])
    index = jnp.minimum(jnp.searchsorted(weights, level * weights[-1], side="right"), last)
    log_w = nu.finite(log_w)[index]
    return index, log_w - jax.lax.stop_gradient(log_w)
