"""What a divergence is measured on: a few arrays that belong together, passed whole. Unbatched; vmap adds axes.

Every measure is a pytree of its arrays. How it was made is static: part of its type for jit, not an array. It is no
sequence, so that ``kl(*coupling)`` is an error and not another number.
"""

import dataclasses
import enum
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float


class Rule(enum.Enum):
    """How nodes were laid, and so where an error of theirs can be read off."""

    PMF = "pmf"  # all values there are, those of a sample too; or one's own nodes, of which no more is known
    VALUES = "values"  # all values of two discrete laws that carry the mass
    PANELS = "panels"  # [n], every 15 consecutive nodes are one Gauss-Kronrod panel
    CUBATURE = "cubature"  # [k, m, …, m], an m^d grid on each of k components; every second node is a rule too
    # [strata, units, members]: units of a stratum are independent and equally distributed, the members of a unit (an
    # antithetic pair, a randomly shifted lattice) depend on each other.
    DRAWS = "draws"


# Measures are compared by identity (eq=False): arrays have no one answer to ==.
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """Two log-densities at the same nodes, with Σ exp(log_w) h(x_i) ≈ ∫ h. A masked node has ``log_w = -inf``.

    The rule tells the shape of the arrays. Divergences sum over all entries; to ``estimate`` the rule says where the
    error is found. crossings: for how many points with p = q nodes were laid; an integrand with kinks there needs them.
    laws: p and q themselves, as pytrees, where it is known how fast they fall: ``estimate`` finds in them whether an
    integral diverges, which no nodes can tell. None else, and to be None in nodes whose log-densities are exchanged for
    others.

    Examples:
        >>> two = dj.Nodes(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])), jnp.zeros(2))
        >>> round(float(dj.total_variation(two)), 4)
        0.25
    """

    made_by: ClassVar[str] = "dj.quadrature(p, q), dj.monte_carlo(...) or dj.pmf(log_p, log_q)"

    log_p: Float[Array, "*n"]
    log_q: Float[Array, "*n"]
    log_w: Float[Array, "*n"]
    rule: Rule = dataclasses.field(default=Rule.PMF, metadata={"static": True})
    crossings: int = dataclasses.field(default=0, metadata={"static": True})
    laws: Any = dataclasses.field(default=None, metadata={"beside": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Coupling:
    """The monotone coupling in one dimension: both quantile functions at the same levels.

    ``x_i = P⁻¹(u_i)`` and ``y_i = Q⁻¹(u_i)``; Σ exp(log_w) h(x_i, y_i) ≈ ∫₀¹ h(P⁻¹(u), Q⁻¹(u)) du.
    crossings: for how many points with x = y nodes were laid; None: for all of them. rule: ``PANELS`` where nodes
    lie on Gauss-Kronrod panels, from which ``estimate`` reads the error.

    Examples:
        >>> pairs = dj.Coupling(jnp.array([0.0, 1.0]), jnp.array([2.0, 5.0]), jnp.log(jnp.array([0.5, 0.5])))
        >>> round(float(dj.wasserstein(pairs, order=1)), 4)
        3.0
    """

    made_by: ClassVar[str] = "dj.coupling(p, q)"

    x: Float[Array, " n"]
    y: Float[Array, " n"]
    log_w: Float[Array, " n"]
    crossings: int | None = dataclasses.field(default=None, metadata={"static": True})
    rule: Rule = dataclasses.field(default=Rule.PMF, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Cdfs:
    """Two distribution functions at the same nodes: Σ exp(log_w) h(P(x_i) − Q(x_i)) ≈ ∫ h(P − Q) dx.

    Above the middle both are survival functions with the sign turned (P − 1), so that nothing cancels in the tail.
    rule: as of ``Coupling``.

    Examples:
        >>> steps = dj.Cdfs(jnp.array([1.0]), jnp.array([0.0]), jnp.log(jnp.array([3.0])))
        >>> round(float(dj.energy(steps)), 4)
        6.0
    """

    made_by: ClassVar[str] = "dj.cdfs(p, q)"

    cdf_p: Float[Array, " n"]
    cdf_q: Float[Array, " n"]
    log_w: Float[Array, " n"]
    rule: Rule = dataclasses.field(default=Rule.PMF, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """A weighted sample: points ``x`` [n, d] (or [n] in one dimension) and the logarithms of weights that sum to one.

    Examples:
        >>> sample = dj.Points(jnp.array([0.0, 4.0]), jnp.log(jnp.array([0.75, 0.25])))
        >>> round(float(dj.wasserstein(sample, jnp.array([0.0]), order=1)), 4)
        1.0
    """

    x: Float[Array, "n d"] | Float[Array, " n"]
    log_w: Float[Array, " n"]


Measure = Nodes | Coupling | Cdfs


def arrays(measure: Measure) -> dict[str, Array]:
    """Its arrays by name: that of p, that of q, the log-weights."""
    names = (field.name for field in dataclasses.fields(measure) if not field.metadata)
    return {name: getattr(measure, name) for name in names}


def exchanged(measure: Measure) -> Measure:
    """p and q in each other's place."""
    (of_p, p), (of_q, q), _ = arrays(measure).items()
    laws = getattr(measure, "laws", None)
    return dataclasses.replace(measure, **{of_p: q, of_q: p}, **({"laws": laws[::-1]} if laws else {}))
