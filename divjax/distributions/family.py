"""What is known of a family of distributions, as one record, and a member of it: the record with its parameters.

A ``Family`` is a table of pure functions of the parameters; what it does not know is None, and what then cannot be
done is refused. A ``Density`` is a family with parameters, a pytree of arrays: what everything behind the door takes.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

# How far in units of the scale the panels of a component go, by the weight of its tail.
GAUSSIAN = (0.0, 1.2, 2.5, 4.0, 5.8, 8.0)
EXPONENTIAL = (0.0, 0.7, 1.5, 2.6, 4.2, 6.5, 10.0, 15.0, 22.0, 32.0)
POWER = (0.0, 0.6, 1.3, 2.2, 3.5, 5.5, 9.0, 16.0, 30.0, 60.0)
FLAT = (0.0, 0.6, 1.2)

# What parameters of these names are in every family but those that say otherwise.
POSITIVE = (
    "scale",
    "rate",
    "concentration",
    "concentration0",
    "concentration1",
    "df",
    "power",
    "temperature",
    "a",
    "b",
)

LINE = (-math.inf, math.inf)
HALF_LINE = (0.0, math.inf)
UNIT = (0.0, 1.0)


@partial(
    jax.tree_util.register_dataclass,
    meta_fields=["reach"],
    data_fields=["center", "scale", "kinks", "edges", "low", "high", "order"],
)
@dataclasses.dataclass(frozen=True)
class Profile:
    """Where a distribution's mass is: all that is needed to lay panels."""

    center: Float[Array, " k"]  # one entry per component
    scale: Float[Array, " k"]
    reach: tuple[float, ...]  # static: ends of the panels, in units of the scale
    kinks: Float[Array, " j"]  # points inside the support where the density is not smooth
    edges: Float[Array, " e"]  # ends of the support, and of components' supports
    low: Float[Array, ""] | None  # the support; None: it has no end on this side
    high: Float[Array, ""] | None
    order: Float[Array, ""] | float = 8.0  # how steeply panels are graded towards an edge: x − low = h t^order


def smooth(center: Any, scale: Any, reach: tuple[float, ...], kinks: Any = ()) -> Profile:
    """The profile of a density on the whole line.

    Examples:
        >>> from divjax.distributions.family import GAUSSIAN, smooth
        >>> smooth(jnp.array([0.0, 16.0]), 1.0, GAUSSIAN).scale.tolist()
        [1.0, 1.0]
    """
    center, scale = jnp.broadcast_arrays(_row(center), _row(scale))
    none = jnp.zeros((0,), center.dtype)
    return Profile(center, scale, reach, _row(kinks) if len(kinks) else none, none, None, None)


def bounded(center: Any, scale: Any, reach: tuple[float, ...], low: Any, high: Any, order: Any = 8.0) -> Profile:
    """The profile of a density whose support has an end; an end that is None or ±inf, a float, is none.

    Examples:
        >>> from divjax.distributions.family import FLAT, bounded
        >>> bounded(0.5, 0.5, FLAT, 0.0, 1.0).edges.tolist()
        [0.0, 1.0]
    """
    center, scale = jnp.broadcast_arrays(_row(center), _row(scale))
    low, high = (None if end is None or is_infinite(end) else _row(end).astype(center.dtype) for end in (low, high))
    edges = [end for end in (low, high) if end is not None]
    none = jnp.zeros((0,), center.dtype)
    low, high = (None if low is None else jnp.min(low)), (None if high is None else jnp.max(high))
    return Profile(center, scale, reach, none, jnp.concatenate(edges) if edges else none, low, high, order)


def _row(x: Any) -> Array:
    return jnp.ravel(jnp.asarray(x))


def is_infinite(end: Any) -> bool:
    """Whether an end of a support is known, while tracing too, to be at infinity."""
    return isinstance(end, float) and math.isinf(end)


def is_open(end: Any) -> bool:
    """Whether no end of a support is known here: it is at infinity, or NaN, since nobody says where it is."""
    return isinstance(end, float) and not math.isfinite(end)


class Source(NamedTuple):
    """How to draw: a mixture with weights exp(log_w) of components x = image(key, index, z)."""

    log_w: Float[Array, " k"]
    # Key, components' numbers [...], standard normal z [..., dim] -> x [..., *event].
    image: Callable[[PRNGKeyArray, Int[Array, "..."], Float[Array, "... dim"]], Array]
    dim: int
    mapped: bool  # x is a smooth function of z; else x comes from the key alone, and z is not looked at
    pathwise: bool  # x is differentiable in the parameters, at a fixed z or key


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Family:
    """What the library knows of a family. All fields are functions of the parameters, a NamedTuple, unless said.

    Functions of a family on the line are elementwise, their parameters broadcast against x. A log-density is finite
    wherever the support is, with finite derivatives, and need not be right outside of it: ``Density`` sees to that.

    Examples:
        >>> import collections
        >>> from divjax.distributions.family import EXPONENTIAL, HALF_LINE, bounded
        >>> decay = dj.distributions.Family(
        ...     name="Decay",
        ...     parameters=collections.namedtuple("Rate", "rate"),
        ...     log_prob=lambda params, x: jnp.log(params.rate) - params.rate * x,
        ...     support=lambda params: HALF_LINE,
        ...     profile=lambda params: bounded(0.0, 1.0 / params.rate, EXPONENTIAL, *HALF_LINE),
        ... )
        >>> round(float(dj.kl(decay(2.0), decay(1.0))), 3)
        0.193
    """

    name: str
    parameters: Callable[..., Any]  # a NamedTuple of arrays
    log_prob: Callable[[Any, Array], Array]  # params, x -> log p(x)
    core: tuple[int, ...] = ()  # how many axes of its own each parameter has; none, if empty
    event: Callable[[Any], tuple[int, ...]] = lambda params: ()
    batch: Callable[[Any], tuple[int, ...]] | None = None  # None: what the parameters have in front of their own axes
    # Not a function: the parameters that are to be positive; names that it does not have are passed over.
    positive: tuple[str, ...] = POSITIVE
    # Those that are to be between 0 and 1.
    chances: tuple[str, ...] = ("success", "failure", "gate")
    # Both ends: a float where no parameter moves it, ±inf included; NaN where there is one, but not known where. None:
    # nothing is known.
    support: Callable[[Any], tuple[Any, Any]] | None = None
    profile: Callable[[Any], Profile] | None = None
    tails: Callable[[Any, Array], tuple[Array, Array]] | None = None  # params, x -> P(X ≤ x), P(X > x)
    # params, u, v = 1 − u -> the x with P(X ≤ x) = u, in closed form
    quantile: Callable[[Any, Array, Array], Array] | None = None
    draw: Callable[[PRNGKeyArray, Any, tuple[int, ...]], Array] | None = None  # key, params, shape -> x [*shape, ...]
    pathwise: bool = True  # not a function: whether draws are differentiable in the parameters
    source: Callable[[Any], Source] | None = None
    discrete: bool = False  # not a function
    # The x [n, *event] that carry all of the mass but what rounding hides, of every member of a batch. None, also as
    # what it returns: there is no such list, or it is not known while tracing.
    grid: Callable[[Any], np.ndarray | None] | None = None
    parts: Callable[[Any], tuple["Density", ...]] | None = None  # of a mixture, a product: what it is made of
    located: bool = False  # not a function: whether x − loc, of the whole line, is all that loc has to do with x
    # For closed forms, see ``divjax.exact``: the member of an exponential family, moments, E log q from moments, and
    # how far a location-scale family is from its standard form.
    member: Callable[[Any], Any] | None = None
    moments: Callable[[Any], Any] | None = None
    target: Callable[[Any], Any] | None = None
    standard: Callable[[Any], "Standard"] | None = None
    # On the line: how fast it falls towards both ends, two of ``divjax.distributions.decay.Decay``. None, also as what
    # it returns: nothing is known of it, and no integral is said to diverge.
    decay: Callable[[Any], Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> "Density":
        """The member with these parameters, as arrays of one floating dtype and of one batch shape."""
        return density(self, self.parameters(*args, **kwargs))


class Standard(NamedTuple):
    """A location-scale family: x = loc + scale · (a standard variable of this mean and variance)."""

    mean: float
    variance: float
    loc: Array
    scale: Array


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["family"])
@dataclasses.dataclass(frozen=True)
class Density:
    """A member of a family, or a batch of members: parameters with leading axes.

    Examples:
        >>> from divjax.distributions.real_line import NORMAL
        >>> NORMAL(jnp.zeros(3), 1.0).batch_shape
        (3,)
    """

    family: Family
    params: Any

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.family.name

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one x."""
        return tuple(self.family.event(self.params))

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """What the shapes of the parameters say."""
        if self.family.batch is not None:
            return tuple(self.family.batch(self.params))
        return batch_of(self.params, self.family.core)


def batch_of(params: Any, core: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The axes of all parameters in front of their own."""
    core = core or (0,) * len(params)
    shapes = [
        jnp.shape(leaf)[: jnp.ndim(leaf) - axes] for leaf, axes in zip(params, core, strict=True) if leaf is not None
    ]
    return np.broadcast_shapes(*shapes)


def density(family: Family, params: Any) -> Density:
    """A ``Density`` whose arrays have one floating dtype, at least float32, and the batch shape in front."""
    core = family.core or (0,) * len(params)
    params = floats(params)
    batch = batch_of(params, family.core)

    def full(leaf, axes):
        own = jnp.shape(leaf)[jnp.ndim(leaf) - axes :]
        # Left as it is where nothing is to be done: two distributions with one array have it in common.
        return leaf if jnp.shape(leaf) == batch + own else jnp.broadcast_to(leaf, batch + own)

    filled = (None if leaf is None else full(leaf, axes) for leaf, axes in zip(params, core, strict=True))
    return Density(family, type(params)(*filled))


def floats(params: Any) -> Any:
    """The leaves as arrays of one floating dtype, at least float32; those that are known stay so while tracing."""
    leaves, structure = jax.tree.flatten(params)
    if not leaves:
        return params
    dtype = jnp.result_type(*leaves)
    dtype = jnp.promote_types(dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.float32, jnp.float32)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return structure.unflatten([array(leaf, dtype) for leaf in leaves])


def array(value: Any, dtype: Any) -> Array:
    """As an array of this dtype; the same object where it is one already."""
    if isinstance(value, jax.core.Tracer):
        return jnp.asarray(value, dtype)
    if isinstance(value, jax.Array) and value.dtype == dtype and not value.weak_type:
        return value
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value, dtype)
