"""Composite Gauss-Kronrod rules on panels that follow the mass: where the nodes of every 1-D integral come from.

Between two knots a panel is linear; at an end of the support it is graded, x = low + h t^m, for densities with a
power or a logarithm there; beyond the last knot on an infinite side it is x = e + s (t^-4 − 1)/4, which turns any
power tail into a smooth integrand. Knots on smooth stretches carry no gradient: there the integral does not depend
on them, and ∂/∂θ of the sum at fixed nodes is the quadrature of the derivative. Kinks and ends of supports do move
with θ, so their knots, and the nodes between them, do too.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from divjax import numerics as nu
from divjax.distributions.density import knots
from divjax.distributions.family import Profile
from divjax.numerics.implicit import implicit_roots

ORDER = 15  # nodes of a panel
TAIL = 4  # x grows like t^-TAIL on a tail panel, unless told otherwise

# Gauss-Kronrod (7, 15), Kronrod (1965): abscissae in (0, 1], weights of both rules on [-1, 1].
_X = (0.9914553711208126, 0.9491079123427585, 0.8648644233597691, 0.7415311855993944,
      0.5860872354676911, 0.4058451513773972, 0.2077849550078985, 0.0)  # fmt: skip
_WK = (0.02293532201052922, 0.06309209262997855, 0.1047900103222502, 0.1406532597155259,
       0.1690047266392679, 0.1903505780647854, 0.2044329400752989, 0.2094821410847278)  # fmt: skip
_WG = (0.0, 0.1294849661688697, 0.0, 0.2797053914892767, 0.0, 0.3818300505051189, 0.0, 0.4179591836734694)

T = 0.5 * (1.0 + np.array([-x for x in _X] + list(_X[-2::-1])))  # nodes on (0, 1)
LOG_WEIGHTS = np.log(0.5 * np.array(_WK + _WK[-2::-1]))
with np.errstate(divide="ignore"):
    LOG_GAUSS_WEIGHTS = np.log(0.5 * np.array(_WG + _WG[-2::-1]))  # the embedded rule; −inf where it has no node


_SMOOTH = np.zeros(1, bool)


class Grid(NamedTuple):
    """P panels in ascending order: maps from t in (0, 1) to x. A tail panel's width is the scale it starts on."""

    left: Float[Array, " P"]
    right: Float[Array, " P"]
    graded_left: Bool[Array, " P"]  # this end is an end of a support
    graded_right: Bool[Array, " P"]
    tail: Int[Array, " P"]  # −k and +k: goes to −inf, to +inf, like t^−k; 0: finite. Known while tracing
    order: Float[Array, " P"]  # steepness of the grading


class Placed(NamedTuple):
    """Nodes [P, 15] of a rule, with Σ exp(log_w) h(x) ≈ ∫ h."""

    x: Float[Array, "P 15"]
    log_w: Float[Array, "P 15"]


def lay(
    *profiles: Profile, points: Float[Array, " m"] | None = None, bends: Sequence[Array] = (), tail: int = TAIL
) -> Grid:
    """Panels for the mass of all profiles, with further knots at ``points``, which move with the parameters, and at
    ``bends``, which need not, and tails that grow like t^−tail."""
    smooth = jnp.concatenate([*(jnp.ravel(knots(shape)) for shape in profiles), *bends])
    kinks = jnp.concatenate([shape.kinks for shape in profiles] + ([] if points is None else [points]))
    edges = jnp.concatenate([shape.edges for shape in profiles])
    smooth = smooth if edges.size < 2 else jnp.concatenate([smooth, _between(edges)])
    ends, is_edge = _sorted_knots(jax.lax.stop_gradient(smooth), kinks, edges)
    left, right, graded_left, graded_right = ends[:-1], ends[1:], is_edge[:-1], is_edge[1:]
    tails = np.zeros(left.shape, np.int8)
    if any(shape.low is None for shape in profiles):
        left = jnp.append(ends[:1] - _outer_scale(profiles, -1), left)
        right, tails = jnp.append(ends[:1], right), np.append(np.int8(-tail), tails)
        graded_left, graded_right = (_append(_SMOOTH, graded) for graded in (graded_left, graded_right))
    if any(shape.high is None for shape in profiles):
        right = jnp.append(right, ends[-1:] + _outer_scale(profiles, 1))
        left, tails = jnp.append(left, ends[-1:]), np.append(tails, np.int8(tail))
        graded_left, graded_right = (_append(graded, _SMOOTH) for graded in (graded_left, graded_right))
    orders = [jnp.asarray(shape.order, left.dtype) for shape in profiles]
    order = jax.lax.stop_gradient(jnp.broadcast_to(jnp.max(jnp.stack(orders)), left.shape))
    return Grid(left, right, graded_left, graded_right, tails, order)


def gaps(shape: Profile) -> Float[Array, " g"]:
    """Between neighbouring components of a mixture, nearer to the narrower one: where log p bends, and P⁻¹ jumps."""
    center, scale = shape.center, shape.scale
    if center.size < 2:
        return center[:0]
    if center.size > 2:  # of two it is the same in either order
        order = jnp.argsort(jax.lax.stop_gradient(center))
        center, scale = center[order], scale[order]
    left, right = scale[:-1], scale[1:]
    return (center[:-1] * right + center[1:] * left) / (left + right)


def _between(edges):
    """A knot between two ends of supports: one panel graded towards both would bend more than its nodes can follow."""
    edges = nu.sort_few(jax.lax.stop_gradient(edges))
    return 0.5 * edges[1:] + 0.5 * edges[:-1]


def _append(*flags):
    """Flags known while tracing stay so: grids without ends of supports need no grading."""
    numpy = all(isinstance(flag, np.ndarray) for flag in flags)
    return (np if numpy else jnp).append(*flags)


def _sorted_knots(smooth, kinks, edges):
    if not edges.size and not kinks.size:
        return nu.sort_few(smooth), np.zeros(smooth.shape, bool)
    sharp = jnp.concatenate([edges, kinks])
    # A knot that only rounding keeps from a kink or an end is put there: nothing fits on a panel between the two.
    apart = jax.lax.stop_gradient(jnp.abs(smooth[:, None] - sharp))
    reach = 64.0 * jnp.finfo(smooth.dtype).eps * jax.lax.stop_gradient(jnp.abs(sharp))
    smooth = jnp.where(jnp.any(apart <= reach, axis=1), sharp[jnp.argmin(apart, axis=1)], smooth)
    ends = jnp.concatenate([sharp, smooth])
    ascending = jnp.argsort(jax.lax.stop_gradient(ends))
    values = jax.lax.stop_gradient(ends)[ascending]
    # Knots at one place move together, as the first of them does: else the panels on both sides would part.
    ascending = ascending[jnp.searchsorted(values, values)]
    return ends[ascending], ascending < edges.size


def _outer_scale(profiles, side):
    """How far the outermost knot is from its own centre: the scale on which the tail panel starts."""
    centers = jnp.concatenate([shape.center for shape in profiles])
    reaches = jnp.concatenate([shape.scale * max(shape.reach[-1], 1.0) for shape in profiles])
    return jax.lax.stop_gradient(reaches[jnp.argmax(side * centers + reaches)])


def _growth(grid: Grid) -> int:
    """k of the tail panels."""
    return int(np.max(np.abs(grid.tail), initial=0)) or TAIL


def place(rows: Grid, t: Array, complement: Array, growth: int) -> tuple[Array, Array]:
    """x(t) and log dx/dt on panels that broadcast against t; complement = 1 − t, so that neither end is rounded."""
    width = rows.right - rows.left
    log_width = nu.safe_log(width)
    x, log_dx = rows.left + width * t, log_width + jnp.zeros_like(t)
    if not isinstance(rows.graded_left, np.ndarray):
        x, log_dx = _graded(rows, width, log_width, t, complement, (x, log_dx))
    for side, far, near in ((-1, t, rows.right), (1, complement, rows.left)):
        here = rows.tail == side * growth
        far = jnp.where(here, far, 1.0)  # next to an end of another panel the power may overflow
        x = jnp.where(here, near + side * width * (far**-growth - 1.0) / growth, x)
        log_dx = jnp.where(here, log_width - (growth + 1) * jnp.log(far), log_dx)
    return x, log_dx


def _graded(rows, width, log_width, t, complement, linear):
    """x − left = h t^m, or its mirror image, or h t^m / (t^m + (1−t)^m) between two ends."""
    m, log_t, log_c = rows.order, jnp.log(t), jnp.log(complement)
    log_m = jnp.log(m)
    from_left = rows.left + width * jnp.exp(m * log_t), log_m + (m - 1.0) * log_t
    from_right = rows.right - width * jnp.exp(m * log_c), log_m + (m - 1.0) * log_c
    # With r = (c/t)^m: x = left + h / (1 + r), dx/dt = h m r / (1 + r)² / (t c).
    log_r = m * (log_c - log_t)
    log_both = log_m - jax.nn.softplus(log_r) - jax.nn.softplus(-log_r) - log_t - log_c
    from_both = (
        jnp.where(log_r > 0.0, rows.left + width * jax.nn.sigmoid(-log_r), rows.right - width * jax.nn.sigmoid(log_r)),
        log_both,
    )
    conditions = [rows.graded_left & rows.graded_right, rows.graded_left, rows.graded_right]
    x = jnp.select(conditions, [from_both[0], from_left[0], from_right[0]], linear[0])
    log_slope = jnp.select(conditions, [from_both[1], from_left[1], from_right[1]], jnp.zeros_like(log_both))
    return x, log_width + log_slope


def nodes(grid: Grid, num: int = 1) -> Placed:
    """The 15 Gauss-Kronrod nodes of every panel, or of each of ``num`` equal stretches of t on it."""
    dtype = grid.left.dtype
    t = (np.arange(num)[:, None] + T) / num
    if isinstance(grid.tail, np.ndarray) and isinstance(grid.graded_left, np.ndarray):
        return _smooth_nodes(grid, t.ravel(), LOG_WEIGHTS - np.log(num))
    rows = Grid(*(field[:, None, None] for field in grid))
    x, log_dx = place(rows, jnp.asarray(t, dtype), jnp.asarray(t[::-1, ::-1], dtype), _growth(grid))
    log_w = log_dx + jnp.asarray(LOG_WEIGHTS - np.log(num), dtype)
    return Placed(x.reshape(-1, ORDER), log_w.reshape(-1, ORDER))


def _smooth_nodes(grid: Grid, t: np.ndarray, log_weights: np.ndarray) -> Placed:
    """``nodes`` without ends of supports, as two matrix products of what a panel has with what its kind has.

    Products are what XLA keeps: elementwise, it would compute the nodes anew, 15 by 15, wherever they are used.
    """
    dtype, complement, k = grid.left.dtype, t[::-1], _growth(grid)
    kinds = np.array([0, -k, k])
    width = grid.right - grid.left
    log_width = nu.safe_log(width)
    of_kind = grid.tail[:, None] == kinds
    anchor = jnp.where(grid.tail < 0, grid.right, grid.left)
    stretched = np.stack([t, (1.0 - t**-k) / k, (complement**-k - 1.0) / k])
    log_slopes = np.stack([np.zeros_like(t), -(k + 1) * np.log(t), -(k + 1) * np.log(complement)])

    def product(first, rest, table):
        table = np.concatenate([np.ones((1, t.size)), table])
        features = jnp.concatenate([first[:, None], rest], axis=1)
        return nu.matmul(features, jnp.asarray(table, dtype))

    x = product(anchor, jnp.where(of_kind, width[:, None], 0.0), stretched)
    log_w = product(log_width, jnp.asarray(of_kind, dtype), log_slopes + np.tile(log_weights, t.size // ORDER))
    return Placed(x.reshape(-1, ORDER), log_w.reshape(-1, ORDER))


def sign_changes(
    grid: Grid, placed: Placed, gap: Callable[[Array], Array], values: Array, num: int
) -> tuple[Float[Array, " num"], Bool[Array, " num"], Bool[Array, " num"]]:
    """Where ``gap`` changes sign, at the first ``num`` such points: x, whether there is one, whether it rises.

    ``values`` = gap(placed.x). What happens between two neighbouring nodes twice is not seen.
    """
    roots, found, rising = _changes(grid, placed, gap, values, num, moving=False)
    per_panel = placed.x.shape[0] // grid.left.shape[0]
    x = _at(grid, jnp.where(found, roots, 0.5) / per_panel)[0]
    return jax.lax.stop_gradient(x), found, rising


def _changes(grid, placed, gap, values, num, *, moving):
    """Sign changes as positions = number of the stretch + t on it; the number of stretches where there is none."""
    stretches = placed.x.shape[0]
    per_panel = stretches // grid.left.shape[0]
    values = jax.lax.stop_gradient(values).ravel()
    changes = (values[1:] > 0.0) != (values[:-1] > 0.0)
    index = _first_true(changes, num)
    found = index < changes.size
    index = jnp.where(found, index, values.size // 2)  # anywhere but in a tail, where gap may not be differentiable
    # Neighbouring nodes may lie on two stretches.
    position = jnp.asarray(np.arange(stretches)[:, None] + T, placed.x.dtype).ravel()
    fixed = Grid(*(field if isinstance(field, np.ndarray) else jax.lax.stop_gradient(field) for field in grid))

    def gap_at(position):
        return gap(_at(fixed, position / per_panel)[0])

    roots = _roots(gap_at, position[index], position[index + 1], values[index], values[index + 1])
    if moving:
        roots = _moving(gap_at, roots, position[position.size // 2])
    return jnp.where(found, roots, stretches), found, values[index + 1] > 0.0


def _first_true(flags, num):
    """Where the first ``num`` are true, the size where there are fewer; ``jnp.nonzero`` takes longer to compile."""

    places = jnp.arange(flags.size)

    def following(last, _):
        place = jnp.min(jnp.where(flags & (places > last), places, flags.size))
        return place, place

    return jax.lax.scan(following, jnp.full((), -1, places.dtype), length=num)[1]


def split(grid: Grid, placed: Placed, gap: Callable[[Array], Array], values: Array, num: int) -> Placed:
    """The same rule with its panels cut where ``gap`` changes sign, at the first ``num`` such points.

    For integrands with a kink at gap(x) = 0, such as |p − q|. ``values`` = gap(placed.x). The stretches that are cut
    lose their weight; 2 num panels for their pieces are appended. Roots are found in the coordinate of the panel.
    """
    dtype, stretches = placed.x.dtype, placed.x.shape[0]
    per_panel = stretches // grid.left.shape[0]
    roots, found, _ = _changes(grid, placed, gap, values, num, moving=True)
    cut = jnp.minimum(jnp.floor(roots), stretches - 1)
    before = jnp.maximum(cut, jnp.append(jnp.zeros(1, dtype), roots[:-1]))  # the last end before the root
    is_last = found & (jnp.append(cut[1:], stretches) != cut) | (found & ~jnp.append(found[1:], False))
    after = jnp.where(is_last, cut + 1.0, roots)  # and after it; nothing where another root follows
    low, high = jnp.concatenate([before, roots]), jnp.concatenate([roots, after])
    length = jnp.where(jnp.tile(found, 2), high - low, 0.0)[:, None]
    low = jnp.where(jnp.tile(found, 2), low, 0.5 * per_panel)[:, None]  # a place without overflow for what has weight 0
    x, log_dx = _at(grid, (low + length * jnp.asarray(T, dtype)) / per_panel)
    log_length = nu.safe_log(length / per_panel)
    log_w = log_dx + log_length + jnp.asarray(LOG_WEIGHTS, dtype)
    is_cut = jnp.zeros(stretches, bool).at[jnp.where(found, cut, stretches).astype(int)].set(True, mode="drop")
    kept = jnp.where(is_cut[:, None], -jnp.inf, placed.log_w)
    return Placed(jnp.concatenate([placed.x, x]), jnp.concatenate([kept, log_w]))


def _at(grid, position):
    """x and log dx/dt at position = panel + t."""
    panel = jnp.clip(jnp.floor(position), 0, grid.left.shape[0] - 1)
    # What is known to be false everywhere stays known: no grading then.
    none = [isinstance(field, np.ndarray) and not field.any() for field in grid]
    index = panel.astype(int)
    rows = Grid(*(_SMOOTH if each else jnp.asarray(field)[index] for each, field in zip(none, grid, strict=True)))
    tiny = jnp.finfo(position.dtype).eps
    t = jnp.clip(position - panel, tiny, 1.0 - tiny)
    return place(rows, t, 1.0 - t, _growth(grid))


def _roots(gap, low, high, at_low, at_high):
    """Zeros of gap between points with values of opposite sign: the Illinois variant of regula falsi."""

    def narrow(_, bracket):
        low, high, at_low, at_high = bracket
        slope = at_high - at_low
        share = jnp.clip(-at_low / jnp.where(slope == 0.0, 1.0, slope), 0.01, 0.99)
        middle = low + share * (high - low)
        value = gap(middle)
        same = (value > 0.0) == (at_low > 0.0)
        return (
            jnp.where(same, middle, low),
            jnp.where(same, high, middle),
            jnp.where(same, value, 0.5 * at_low),
            jnp.where(same, 0.5 * at_high, value),
        )

    steps = 24 if low.dtype == jnp.float64 else 12  # to rounding, also where the first of them are clipped
    low, high, at_low, at_high = jax.lax.fori_loop(0, steps, narrow, (low, high, at_low, at_high))
    return jax.lax.stop_gradient(jnp.where(jnp.abs(at_low) < jnp.abs(at_high), low, high))


def _moving(gap, roots, anywhere):
    """Roots that move with the parameters of gap, as the implicit function theorem has it: d root = −d gap / gap'.

    A kink that stood still would leave first derivatives right, and second ones without their boundary terms. Only a
    root well inside its stretch moves: next to an end, or to another root, a piece of length 0 has no derivative to
    give, and the other piece would keep its own.
    """
    share = roots - jnp.floor(roots)
    room = jnp.minimum(share, 1.0 - share)
    apart = jnp.abs(jnp.diff(roots))
    room = jnp.minimum(room, jnp.minimum(jnp.append(apart, 1.0), jnp.append(1.0, apart)))

    def is_root(value, slope):
        return jnp.abs(value) < 1e-3 * jnp.abs(slope)  # and no jump, as at the end of a support

    # In a tail a derivative of gap may not be finite.
    return implicit_roots(gap, roots, room > 1e-3, anywhere, is_root)
