"""What a divergence is measured on: declared where it is defined, read from there by everyone else."""

import functools
from collections.abc import Callable
from typing import Any

from jaxtyping import Array

from divjax.measures import Cdfs, Coupling, Measure, Nodes, Points

Divergence = Callable[..., Array]


def measured_on(measure: type[Measure], *, kinked: bool = False) -> Callable[[Divergence], Divergence]:
    """Declares that ``divergence(measure, **params)`` is a function of that measure: ``Nodes``, ``Coupling``, ``Cdfs``.

    kinked: its integrand has kinks where both sides are equal, and asks for nodes there (``crossings``). Anything but
    the measure is a TypeError that says how to make one; also while tracing, so that a program does not pay for it.

    Examples:
        >>> @dj.divergences.measured_on(dj.Nodes)
        ... def gap(nodes):
        ...     return jnp.max(jnp.abs(nodes.log_p - nodes.log_q))
        ...
        >>> round(float(gap(dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))))), 3)
        0.693
    """

    def declare(divergence):
        @functools.wraps(divergence)
        def checked(*given, **params):
            if len(given) != 1 or not isinstance(given[0], measure):
                kinds = ", ".join(map(_kind, given)) or "nothing"
                raise TypeError(
                    f"Expected {measure.__name__} for {divergence.__name__}; got {kinds}. Use {measure.made_by}."
                )
            return divergence(*given, **params)

        checked.measured_on, checked.kinked = measure, kinked
        return checked

    return declare


def declared(divergence: Divergence) -> type[Measure] | None:
    """What it is measured on; None for a function that does not say."""
    return getattr(_inner(divergence), "measured_on", None)


def is_kinked(divergence: Divergence) -> bool:
    """Whether it asks for nodes where both sides are equal; False for a function that does not say."""
    return getattr(_inner(divergence), "kinked", False)


def declared_as(divergence: Divergence, name: str) -> Callable[[Divergence], Divergence]:
    """Declares a divergence made of another to be measured as that one, and calls it ``name(other)``."""

    def declare(made):
        made.__name__ = f"{name}({getattr(_inner(divergence), '__name__', 'divergence')})"
        measure = declared(divergence)
        return made if measure is None else measured_on(measure, kinked=is_kinked(divergence))(made)

    return declare


def _inner(divergence):
    return _inner(divergence.func) if isinstance(divergence, functools.partial) else divergence


def _kind(value: Any) -> str:
    """What came instead of a measure, in words."""
    name = type(value).__name__
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, Nodes | Coupling | Cdfs | Points):
        return "None" if value is None else name
    if hasattr(value, "log_prob"):
        return f"the distribution {name}"
    return f"an array {list(value.shape)}" if hasattr(value, "shape") else f"a {name}"
