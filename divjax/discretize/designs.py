"""Sampling designs: where in the unit cube the draws of a Monte Carlo rule lie, and which of them are independent.

A design is a function ``design(key, num_draws, dim) -> t``, [strata, units, members, dim] with ``num_draws`` points in
all, each coordinate uniform on (−1, 1): symmetric, so that −t is an exact mirror image and √2 erf⁻¹(t) is standard
normal. Units of a stratum are independent and equally distributed. The first coordinate chooses the component of a
mixture.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

Cube = Float[Array, "strata units members dim"]

# Generating vector of the rank-1 lattice "32001", extensible up to 2^20 points (Cools, Kuo, Nuyens 2006).
_GENERATOR = (1, 182667, 469891, 498753, 110745, 446561, 250185, 118627,
              245333, 283199, 408519, 391023, 246327, 126539, 399185, 461527)  # fmt: skip


def whole(num_draws: int, parts: int, what: str) -> int:
    """num_draws / parts; ValueError where that is not a whole number."""
    if num_draws < parts or num_draws % parts:
        raise ValueError(
            f"Expected num_draws to be a multiple of {parts} for {what}; got {num_draws}. "
            f"Use {-(-max(num_draws, 1) // parts) * parts}."
        )
    return num_draws // parts


def uniform(key, shape):
    """Uniform on the odd multiples of half an ulp in (−1, 1): never ±1, and exactly symmetric."""
    u = jax.random.uniform(key, shape, jnp.result_type(float))
    return 2.0 * u - 1.0 + 0.5 ** jnp.finfo(u.dtype).nmant


def independent(key: PRNGKeyArray, num_draws: int, dim: int) -> Cube:
    """Independent draws whose first coordinate is systematic, so that components get their share of draws exactly.

    Neighbours in that coordinate are a stratum of two. num_draws must be even.

    Examples:
        >>> dj.discretize.independent(jax.random.key(0), 8, 3).shape
        (4, 2, 1, 3)
    """
    key_level, key_rest = jax.random.split(key)
    return _in_pairs(key_level, uniform(key_rest, (whole(num_draws, 2, "independent"), 2, 1, dim - 1)))


def antithetic(key: PRNGKeyArray, num_draws: int, dim: int) -> Cube:
    """Every draw with its mirror image −t in all coordinates but the first (Hammersley, Morton 1956).

    Halves the variance of what is nearly linear in the draws, and doubles it for what is even in them. num_draws must
    be a multiple of 4.

    Examples:
        >>> t = dj.discretize.antithetic(jax.random.key(0), 8, 3)
        >>> t.shape, float(jnp.abs(jnp.sum(t[..., 1:], axis=2)).max())
        ((2, 2, 2, 3), 0.0)
    """
    key_level, key_rest = jax.random.split(key)
    t = uniform(key_rest, (whole(num_draws, 4, "antithetic"), 2, 1, dim - 1))
    return _in_pairs(key_level, jnp.concatenate([t, -t], axis=2))


def _in_pairs(key, t):
    """The first coordinate (i + U)/n in ascending order, one for each unit (Madow 1949)."""
    strata, units, members, _ = t.shape
    level = (jnp.arange(strata * units, dtype=t.dtype) + jax.random.uniform(key, (), t.dtype)) / (strata * units)
    level = jnp.broadcast_to((2.0 * level - 1.0).reshape(strata, units, 1, 1), (strata, units, members, 1))
    return jnp.concatenate([level, t], axis=-1)


def lattice(key: PRNGKeyArray, num_draws: int, dim: int, *, num_replicates: int = 32) -> Cube:
    """Quasi-Monte Carlo: a rank-1 lattice in each of so many independent random shifts (Cranley, Patterson 1976).

    Folded (Hickernell 2002), so that the error falls like num_draws⁻² for smooth integrands that need not be periodic.
    The replicates are the independent units: their spread is the standard error. Errors of shifts are skew, so that of
    32 replicates it is about a fifth too small, of 64 a tenth (``functools.partial(lattice, num_replicates=64)``); with
    heavy tails it is worse than useless, for one shift in many meets them. num_draws / num_replicates must be a power
    of two, at most 2^20; dim at most 16.

    Examples:
        >>> dj.discretize.lattice(jax.random.key(0), 64, 2).shape
        (1, 32, 2, 2)
    """
    size = whole(num_draws, num_replicates, f"lattice with {num_replicates} replicates")
    if size & (size - 1) or size > 2**20:
        raise ValueError(
            f"Expected num_draws / num_replicates to be a power of two up to 2^20; got {num_draws} / "
            f"{num_replicates} = {size}. Use num_draws = {num_replicates * 2 ** min(size.bit_length(), 20)}."
        )
    if dim > len(_GENERATOR):
        raise ValueError(
            f"Expected at most {len(_GENERATOR)} coordinates for lattice, one of them for components; got {dim}. "
            "Use independent or antithetic."
        )
    # Modulo 1 in fixed point: 32 bits wrap round by themselves.
    steps = np.array([z % size * (2**32 // size) % 2**32 for z in _GENERATOR[:dim]], np.uint32)
    shift = jax.random.bits(key, (num_replicates, 1, dim), jnp.uint32)
    position = jnp.arange(size, dtype=jnp.uint32)[:, None] * steps + shift
    dtype = jnp.result_type(float)
    bits = min(jnp.finfo(dtype).nmant, 31)
    t = (2.0 * (position >> (32 - bits)).astype(dtype) + 1.0) * 0.5**bits - 1.0
    return (1.0 - 2.0 * jnp.abs(t))[None]
