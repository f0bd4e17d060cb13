"""The currencies: what a divergence is measured on. Plain NamedTuples of arrays, unbatched; vmap adds axes."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Nodes(NamedTuple):
    """Two log-densities at the same n nodes, with Σ exp(log_w) h(x_i) ≈ ∫ h.

    A probability mass function is ``log_w = 0``; a masked node is ``log_w = -inf``.
    """

    log_p: Float[Array, " n"]
    log_q: Float[Array, " n"]
    log_w: Float[Array, " n"]


class Panels(NamedTuple):
    """``Nodes`` made by ``quadrature``: every 15 consecutive nodes are one Gauss-Kronrod panel.

    Unpacks like ``Nodes``. The type alone tells ``estimate`` that the embedded Gauss rule gives the error.
    """

    log_p: Float[Array, " n"]
    log_q: Float[Array, " n"]
    log_w: Float[Array, " n"]


class Cubature(NamedTuple):
    """``Nodes`` made by ``quadrature`` in d > 1 dimensions: an m^d grid on each of k components, [k, m, …, m].

    Unpacks like ``Nodes``; leaves sum over all entries. The type tells ``estimate`` that every second node along each
    axis is a rule too, whose difference to the full one gives the error.
    """

    log_p: Float[Array, "k *grid"]
    log_q: Float[Array, "k *grid"]
    log_w: Float[Array, "k *grid"]


class Draws(NamedTuple):
    """``Nodes`` made by ``monte_carlo``, [strata, units, members].

    Unpacks like ``Nodes``; leaves sum over all entries. Units of a stratum are independent and equally distributed, the
    members of a unit (an antithetic pair, a randomly shifted lattice) depend on each other: all that ``estimate`` has
    to know for the standard error.
    """

    log_p: Float[Array, "s u m"]
    log_q: Float[Array, "s u m"]
    log_w: Float[Array, "s u m"]


class Points(NamedTuple):
    """A weighted sample: points ``x`` [n, d] (or [n] in one dimension) and log-weights that sum to one."""

    x: Float[Array, "n d"] | Float[Array, " n"]
    log_w: Float[Array, " n"]


class Scores(NamedTuple):
    """Gradients of two log-densities with respect to x, at the same weighted points."""

    x: Float[Array, "n d"]
    score_p: Float[Array, "n d"]
    score_q: Float[Array, "n d"]
    log_w: Float[Array, " n"]


class Coupling(NamedTuple):
    """The monotone coupling in one dimension: both quantile functions at the same levels.

    ``x_i = P⁻¹(u_i)`` and ``y_i = Q⁻¹(u_i)``; Σ exp(log_w) h(x_i, y_i) ≈ ∫₀¹ h(P⁻¹(u), Q⁻¹(u)) du.
    """

    x: Float[Array, " n"]
    y: Float[Array, " n"]
    log_w: Float[Array, " n"]


class Cdfs(NamedTuple):
    """Two distribution functions at the same nodes: Σ exp(log_w) h(P(x_i) − Q(x_i)) ≈ ∫ h(P − Q) dx.

    Above the middle both are survival functions with the sign turned (P − 1), so that nothing cancels in the tail.
    """

    cdf_p: Float[Array, " n"]
    cdf_q: Float[Array, " n"]
    log_w: Float[Array, " n"]
