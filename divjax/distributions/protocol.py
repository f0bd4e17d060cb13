"""Objects of a class that nobody knows: served by what they have, a log-density above all.

Where the mass is is asked of ``mean()`` and ``stddev()`` if there are such, else measured on draws.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from divjax.distributions.family import EXPONENTIAL, Density, Family, Profile, bounded, smooth
from divjax.numerics.programs import contents

_DRAWS = 1023  # for the quartiles of an unknown law
_OF_DRAWS = ("seed", "key", "rng_key", "rng"), ("sample_shape", "shape")  # what a class of one's own may call them
_MISSING = (AttributeError, NotImplementedError)


class Held:
    """An object that has no hash: equal to itself alone."""

    def __init__(self, value: Any):
        self.value = value


class Rest(NamedTuple):
    """What of a pytree is no array: it is compared, and not traced."""

    structure: Any
    others: tuple[Any, ...]
    contents: tuple[Any, ...]  # of the others: an object that was changed is another law


@functools.partial(jax.tree_util.register_dataclass, data_fields=["arrays"], meta_fields=["rest"])
@dataclasses.dataclass(frozen=True)
class Wrapped:
    """An object as the pytree that it is; one that is none is equal to itself alone, and has no arrays."""

    arrays: tuple[Array | None, ...]
    rest: Rest

    def unwrap(self) -> Any:
        """The object, of the present arrays."""
        pairs = zip(self.arrays, self.rest.others, strict=True)
        leaves = [other if array is None else array for array, other in pairs]
        return self.rest.structure.unflatten([leaf.value if isinstance(leaf, Held) else leaf for leaf in leaves])


def wrap(value: Any) -> Wrapped:
    """An object as what can be traced: libraries keep functions, flags and constants among the leaves."""
    leaves, structure = jax.tree.flatten(value)
    kinds = jax.Array | np.ndarray | np.generic
    arrays = tuple(jnp.asarray(leaf) if isinstance(leaf, kinds) else None for leaf in leaves)
    others = tuple(_hashable(leaf) if array is None else None for leaf, array in zip(leaves, arrays, strict=True))
    return Wrapped(arrays, Rest(structure, others, tuple(map(contents, others))))


def _hashable(leaf):
    return leaf if isinstance(leaf, Hashable) else Held(leaf)


def is_by_protocol(p: Density) -> bool:
    """Whether it is an object that is served by its own methods."""
    return isinstance(p.params, Wrapped)


def _draw(dist, key, shape):
    """By ``sample(seed=key, sample_shape=shape)``, as in TFP and distrax, or ``sample(key, shape)``, as in numpyro."""
    try:
        given = inspect.signature(dist.sample).parameters
    except ValueError:  # of what is not written in Python
        given = {}
    if not given or any(each.kind is each.VAR_KEYWORD for each in given.values()):
        return dist.sample(seed=key, sample_shape=shape)
    names = [next((each for each in known if each in given), None) for known in _OF_DRAWS]
    if None in names:
        raise TypeError(
            f"Expected a method sample(key, shape) or sample(seed=key, sample_shape=shape) of {type(dist).__name__}; "
            f"got sample({', '.join(given)}). Give it one of these."
        )
    return dist.sample(**dict(zip(names, (key, shape), strict=True)))


def _moments(dist):
    """The mean and the standard deviation, or the root of the variance; methods, or attributes as in numpyro."""
    mean, stddev = _asked(dist.mean), getattr(dist, "stddev", None)
    return mean, jnp.sqrt(_asked(dist.variance)) if stddev is None else _asked(stddev)


def _asked(value):
    return jnp.asarray(value() if callable(value) else value)


def _tails(dist, x):
    below = dist.cdf(x)
    try:
        return below, dist.survival_function(x)
    except _MISSING:
        return below, 1.0 - below


def by_protocol(
    dist: Any,
    *,
    name: str | None = None,
    log_prob: Callable[[Any, Array], Array] = lambda dist, x: dist.log_prob(x),
    event: Callable[[Any], tuple[int, ...]] = lambda dist: getattr(dist, "event_shape", ()),
    batch: Callable[[Any], tuple[int, ...]] = lambda dist: getattr(dist, "batch_shape", ()),
    draw: Callable[[Any, Array, tuple[int, ...]], Array] | None = _draw,
    moments: Callable[[Any], tuple[Array, Array]] = _moments,
    tails: Callable[[Any, Array], tuple[Array, Array]] | None = _tails,
    support: Callable[[Any], tuple[Any, Any]] | None = None,
    pathwise: bool = False,
    discrete: bool = False,
    grid: Callable[[Any], np.ndarray | None] | None = None,
) -> Density:
    """A density of an object by functions of it: log_prob(dist, x), draw(dist, key, shape), support(dist) and so on.

    They must be the same functions from call to call, so that nothing is compiled again. Raises TypeError for an object
    whose draws are no arrays.
    """
    name = name or type(dist).__name__
    axes = event(dist)
    if (not isinstance(axes, tuple | list) and not hasattr(axes, "rank")) or any(not isinstance(n, int) for n in axes):
        raise TypeError(f"Expected a distribution of one array; got {name}, whose event_shape is {axes}.")
    draw = draw if draw is not _draw or hasattr(dist, "sample") else None
    tails = tails if tails is not _tails or hasattr(dist, "cdf") else None
    family = _family(name, log_prob, event, batch, draw, moments, tails, support, pathwise, discrete, grid)
    return Density(family, wrap(dist))


@functools.lru_cache(maxsize=256)
def _family(name, log_prob, event, batch, draw, moments, tails, support, pathwise, discrete, grid) -> Family:
    def both_tails(params, x):
        try:
            return tails(params.unwrap(), x)
        except _MISSING as error:
            raise TypeError(
                f"Expected a distribution with a distribution function; got {name}, which has none. "
                "Measure on dj.quadrature(p, q)."
            ) from error

    return Family(
        name=name,
        parameters=wrap,
        log_prob=lambda params, x: _traced(functools.partial(log_prob, params.unwrap()), x, name),
        event=lambda params: tuple(event(params.unwrap())),
        batch=lambda params: tuple(batch(params.unwrap())),
        support=(lambda params: support(params.unwrap())) if support else None,
        profile=lambda params: _profile(params.unwrap(), name, moments, draw, support),
        tails=both_tails if tails else None,
        draw=(lambda key, params, shape: draw(params.unwrap(), key, shape)) if draw else None,
        pathwise=pathwise,
        discrete=discrete,
        grid=(lambda params: grid(params.unwrap())) if grid else None,
    )


def _traced(log_prob, x, name):
    try:
        return _underflown(log_prob, x)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError, ValueError) as error:
        if isinstance(error, ValueError) and "truth value" not in str(error):
            raise
        raise TypeError(
            f"Expected a log_prob of {name} that JAX can trace; got one that needs numbers, as numpy, scipy and `if` "
            "do. Write it with jax.numpy, jax.scipy and jnp.where."
        ) from None


def _underflown(log_prob, x):
    """log p(x), a constant where it is −inf: its derivative may be infinite there."""
    empty = jax.lax.stop_gradient(log_prob(x)) == -jnp.inf
    event = x.shape[empty.ndim :]
    # A point at which the density is not 0, or the first where it is 0 at all.
    anywhere = x.reshape(-1, *event)[jnp.argmin(empty)]
    inside = jnp.where(empty.reshape(empty.shape + (1,) * len(event)), anywhere, x)
    return jnp.where(empty, -jnp.inf, log_prob(inside))


def _drawn(draw, dist):
    """Draws that tell where the mass is, None where there are none: of an improper law, say."""
    try:
        return jax.lax.stop_gradient(draw(dist, jax.random.key(0), (_DRAWS,)))
    except _MISSING:
        return None


def _profile(dist, name, moments, draw, support) -> Profile:
    try:
        # Moments only place panels; their own derivatives need not exist.
        center, scale = jax.lax.stop_gradient(moments(dist))
    except _MISSING as error:
        x = None if draw is None else _drawn(draw, dist)
        if x is None:
            raise TypeError(
                f"Expected a distribution whose mass can be located; got {name}, which has neither mean and stddev nor "
                f"sample. Say which family it is: dj.distributions.register({name}, lambda d: ...)."
            ) from error
        low, center, high = jnp.quantile(x, jnp.asarray([0.25, 0.5, 0.75], x.dtype), axis=0)
        scale = (high - low) / 1.35
    if support is None:
        return smooth(center, scale, EXPONENTIAL)
    return bounded(center, scale, EXPONENTIAL, *support(dist))
