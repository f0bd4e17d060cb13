"""The terms q f(p/q) of the classical f-divergences, f(1) = f'(1) = 0: each is ≥ 0, and p ≈ q costs no digits.

On a = log p, b = log q and d = a − b, which a caller may know with less rounding: 0 where p = q = 0, ±inf where only
one of the two is 0. An infinite d counts as 0 in ``kl`` and ``jeffreys``: whether a density that underflows beside a 0
makes a term infinite is the caller's to say. ``…_slopes`` are ∂/∂a and ∂/∂b, whose sum is the term (Euler).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from divjax.numerics.guards import finite
from divjax.numerics.pairs import difference
from divjax.numerics.series import exp_excess

Slopes = tuple[Array, Array]


def swapped(term: Callable[..., Array]) -> Callable[..., Array]:
    """The term with p and q exchanged."""
    return lambda a, b, d, *params: term(b, a, -d, *params)


def kl(a: Array, b: Array, d: Array) -> Array:
    """p log(p/q) − p + q."""
    p, q = jnp.exp(a), jnp.exp(b)
    near = jnp.abs(d) < 0.5
    return jnp.where(near, p * exp_excess(-jnp.where(near, d, 0.0)), p * (finite(d) - 1.0) + q)


def jeffreys(a: Array, b: Array, d: Array) -> Array:
    """(p − q) log(p/q)."""
    return difference(a, b, finite(d)) * finite(d)


def pearson_chi2(a: Array, b: Array, d: Array, *, excess: Callable[[Array], Array] = jnp.expm1) -> Array:
    """(p − q)² / q. p²/q is one exponential: it overflows only if it is large. ``excess`` is e^d − 1 for |d| < ½."""
    near = jnp.abs(d) < 0.5
    root = excess(jnp.where(near, d, 0.0))
    one_sided = (d == jnp.inf) & (a > -jnp.inf)
    far = jnp.exp(a + finite(d)) - 2.0 * jnp.exp(a) + jnp.exp(b)
    return jnp.where(near, jnp.exp(b) * root * root, jnp.where(one_sided, jnp.inf, far))


def _root_gap(a: Array, b: Array, d: Array) -> Array:
    """√p − √q."""
    return difference(0.5 * a, 0.5 * b, 0.5 * d)


def squared_hellinger(a: Array, b: Array, d: Array) -> Array:
    """½ (√p − √q)²."""
    gap = _root_gap(a, b, d)
    return 0.5 * gap * gap


def squared_hellinger_slopes(a: Array, b: Array, d: Array) -> Slopes:
    gap = _root_gap(a, b, d)
    return 0.5 * jnp.exp(0.5 * a) * gap, -0.5 * jnp.exp(0.5 * b) * gap


def triangular(a: Array, b: Array, d: Array) -> Array:
    """(p − q)² / (p + q) = (p − q) tanh(d/2)."""
    return difference(a, b, d) * jnp.tanh(0.5 * d)


def triangular_slopes(a: Array, b: Array, d: Array) -> Slopes:
    share = jnp.tanh(0.5 * d)
    return jnp.exp(a) * share * (2.0 - share), -jnp.exp(b) * share * (2.0 + share)


def total_variation(a: Array, b: Array, d: Array) -> Array:
    """½ |p − q|."""
    return 0.5 * jnp.abs(difference(a, b, d))


def total_variation_slopes(a: Array, b: Array, d: Array) -> Slopes:
    """0 where p = q."""
    return 0.5 * jnp.sign(d) * jnp.exp(a), -0.5 * jnp.sign(d) * jnp.exp(b)
