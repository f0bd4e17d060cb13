"""The optimal plan of a small transport problem, exactly: successive shortest paths."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from divjax import checks


class Plan(NamedTuple):
    """An optimal coupling with marginals a and b, and the dual potentials: u_i + v_j ≤ C_ij, equal where it moves."""

    coupling: Float[Array, "k l"]
    u: Float[Array, " k"]
    v: Float[Array, " l"]
    rounds: Int[Array, ""]  # augmenting paths
    converged: Bool[Array, ""]


class _State(NamedTuple):
    coupling: Array
    left: Array  # of a
    wanted: Array  # of b
    u: Array
    v: Array
    rounds: Array


def optimal_plan(cost: Float[Array, "k l"], a: Float[Array, " k"], b: Float[Array, " l"]) -> Plan:
    """A coupling of least cost Σ C_ij π_ij with Σ_j π_ij = a_i and Σ_i π_ij = b_j (Ahuja, Magnanti, Orlin 1993, 9.7).

    For some hundred rows and columns: about k + l shortest paths of O(k l) steps each. a, b ≥ 0 of equal sum; a rest
    below rounding is left unmoved. Not differentiable: use ``transport_value``.

    Examples:
        >>> cost = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> float(dj.divergences.optimal_plan(cost, jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])).coupling[0, 1])
        0.25
    """
    cost, a, b = jax.lax.stop_gradient(checks.floating(cost, a, b))
    rows, columns = cost.shape
    negligible = 4.0 * jnp.finfo(cost.dtype).eps * jnp.maximum(jnp.max(a), jnp.max(b))
    limit = 10 * (rows + columns) + 100

    def unfinished(state):
        return (jnp.max(state.left) > negligible) & (jnp.max(state.wanted) > negligible) & (state.rounds < limit)

    u = jnp.min(cost, axis=1)
    v = jnp.min(cost - u[:, None], axis=0)
    start = _State(jnp.zeros_like(cost), a, b, u, v, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(unfinished, lambda state: _augment(cost, state, negligible), start)
    return Plan(end.coupling, end.u, end.v, end.rounds, ~unfinished(end._replace(rounds=jnp.zeros((), jnp.int32))))


def transport_value(cost: Float[Array, "k l"], a: Float[Array, " k"], b: Float[Array, " l"]) -> Float[Array, ""]:
    """min Σ C_ij π_ij over the couplings of a and b, exactly, with the gradient of the envelope theorem.

    Its derivative in the costs is the plan, in the weights the potentials: where the plan jumps, one of its
    subgradients. Second derivatives see no change of the plan.

    Examples:
        >>> cost = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> float(dj.divergences.transport_value(cost, jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])))
        0.25
    """
    cost, a, b = checks.floating(cost, a, b)
    plan = optimal_plan(cost, a, b)
    moves = plan.coupling > 0.0
    value = jnp.sum(jnp.where(moves, plan.coupling * jnp.where(moves, cost, 0.0), 0.0))
    # zero in value
    return value + jnp.sum(plan.u * (a - jax.lax.stop_gradient(a))) + jnp.sum(plan.v * (b - jax.lax.stop_gradient(b)))


def _augment(cost, state, negligible):
    """Move what fits along a shortest path from a row with some left to a column that wants some."""
    reduced = jnp.maximum(cost - state.u[:, None] - state.v[None, :], 0.0)
    back = state.coupling > 0.0
    # where something moves the reduced cost is 0, but for rounding
    reduced = jnp.where(back, 0.0, reduced)
    to_row, to_column, row_before, column_before = _shortest(reduced, back, state.left > negligible)
    end = jnp.argmin(jnp.where(state.wanted > negligible, to_column, jnp.inf))
    nearest = to_column[end]
    sign, start, taken = _trace(end, row_before, column_before, cost.shape)
    room = jnp.min(jnp.where(sign < 0, state.coupling, jnp.inf))
    amount = jnp.minimum(room, jnp.minimum(state.left[start], state.wanted[end]))
    return _State(
        jnp.where(taken, state.coupling + sign * amount, state.coupling),
        state.left.at[start].add(-amount),
        state.wanted.at[end].add(-amount),
        state.u - jnp.minimum(to_row, nearest) + nearest,
        state.v + jnp.minimum(to_column, nearest) - nearest,
        state.rounds + 1,
    )


def _shortest(reduced, back, sources):
    """Distances from the sources to all rows and columns, and the column (row) before each row (column)."""
    rows, columns = reduced.shape

    def relax(state):
        to_row, to_column, row_before, column_before, _ = state
        through = to_row[:, None] + reduced
        best = jnp.min(through, axis=0)
        nearer = best < to_column
        to_column = jnp.where(nearer, best, to_column)
        column_before = jnp.where(nearer, jnp.argmin(through, axis=0), column_before)
        returning = jnp.where(back, to_column[None, :], jnp.inf)
        best = jnp.min(returning, axis=1)
        closer = best < to_row
        to_row = jnp.where(closer, best, to_row)
        row_before = jnp.where(closer, jnp.argmin(returning, axis=1), row_before)
        return to_row, to_column, row_before, column_before, jnp.any(nearer) | jnp.any(closer)

    start = (
        jnp.where(sources, 0.0, jnp.inf).astype(reduced.dtype),
        jnp.full(columns, jnp.inf, reduced.dtype),
        jnp.full(rows, -1),
        jnp.full(columns, -1),
        rows > 0,
    )
    return jax.lax.while_loop(lambda state: state[-1], relax, start)[:-1]


def _trace(end, row_before, column_before, shape):
    """+1 on the path's forward arcs, −1 on its backward ones; its first row; and where it passes."""

    def step(state):
        sign, row, column = state
        sign = sign.at[row, column].add(1)
        previous = row_before[row]
        sign = jnp.where(previous >= 0, sign.at[row, previous].add(-1), sign)
        next_column = jnp.maximum(previous, 0)
        return sign, jnp.where(previous >= 0, column_before[next_column], -1 - row), next_column

    sign = jnp.zeros(shape, jnp.int32)
    state = jax.lax.while_loop(lambda state: state[1] >= 0, step, (sign, column_before[end], end))
    return state[0], -1 - state[1], state[0] != 0
