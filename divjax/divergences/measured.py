"""What a divergence is measured on: declared where it is defined, read from there by everyone else."""

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxtyping import Array

from divjax import checks, status
from divjax.measures import Cdfs, Coupling, Measure, Nodes, Points, Rule
from divjax.numerics.calls import callers_level
from divjax.numerics.programs import kept

Divergence = Callable[..., Array]


def measured_on(
    measure: type[Measure],
    *,
    kinked: bool | Callable[..., bool | None] = False,
    infinite: Callable[..., Any] | None = None,
    orders: Callable[..., tuple[Any, ...]] | None = None,
) -> Callable[[Divergence], Divergence]:
    """Declares that ``divergence(measure, **params)`` is a function of that measure: ``Nodes``, ``Coupling``, ``Cdfs``.

    kinked: its integrand has kinks where both sides are equal, and asks for nodes there (``crossings``); or a function
    of the parameters that says so, None where that is not known. What was laid without them is an ``AccuracyWarning``;
    anything but the measure is a TypeError that says how to make one. Both while tracing too, so that a program does
    not pay for it. What is declared is a kept program.

    infinite: which integrals make it infinite, by how fast both densities fall: a function of the places where they
    end (``divjax.distributions.decay.Places``, on the line ``Tails``) and of the parameters that says whether one of
    them diverges there. By default none is known to. ``estimate`` and ``D(p, q)`` read it; the function itself, of
    nodes alone, stays finite.

    orders: the α of the ∫ p^α q^(1−α) that it looks at, a function of the parameters: where they are outside of [0, 1]
    ``D(p, q)`` lays nodes for them.

    Examples:
        >>> @dj.divergences.measured_on(dj.Nodes)
        ... def gap(nodes):
        ...     return jnp.max(jnp.abs(nodes.log_p - nodes.log_q))
        ...
        >>> round(float(gap(dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))))), 3)
        0.693
    """

    def declare(divergence):
        program = kept(divergence)

        @functools.wraps(divergence)
        def checked(*given, **params):
            if len(given) != 1 or not isinstance(given[0], measure):
                kinds = ", ".join(map(_kind, given)) or "nothing"
                raise TypeError(
                    f"Expected {measure.__name__} for {divergence.__name__}; got {kinds}. Use {measure.made_by}."
                )
            if kinked and is_blind(given[0]) and is_kinked(checked, **params):
                _warn_of_kinks(divergence.__name__, given[0])
            # Programs are kept for each kind of nodes: for the arrays, whatever the laws.
            return program(_without_laws(given[0]), **params)

        checked.measured_on, checked.kinked, checked.infinite, checked.orders = measure, kinked, infinite, orders
        return checked

    return declare


def _without_laws(measure):
    return replace(measure, laws=None) if getattr(measure, "laws", None) is not None else measure


def is_blind(measure: Measure) -> bool:
    """Whether it is a rule of panels that has no ends of panels where both sides are equal."""
    return getattr(measure, "crossings", None) == 0 and getattr(measure, "rule", Rule.PANELS) is Rule.PANELS


def _warn_of_kinks(name, measure):
    made_by = "coupling" if isinstance(measure, Coupling) else "quadrature"
    warnings.warn(
        f"Expected panels that end where both sides are equal, where {name} has kinks; got a measure laid without. Use "
        f"dj.{made_by}(p, q, crossings=4).",
        status.AccuracyWarning,
        stacklevel=callers_level(),
    )


def declared(divergence: Divergence) -> type[Measure] | None:
    """What it is measured on; None for a function that does not say."""
    return getattr(_inner(divergence), "measured_on", None)


def is_kinked(divergence: Divergence, **params: Any) -> bool | None:
    """Whether it asks for nodes where both sides are equal; False for a function that does not say, None if unknown."""
    kinked = getattr(_inner(divergence), "kinked", False)
    return kinked(**_bound(divergence, params)) if callable(kinked) else kinked


def orders_of(divergence: Divergence, **params: Any) -> tuple[Any, ...]:
    """The orders that it asks nodes for: none of those that are known to be in [0, 1]."""
    orders = getattr(_inner(divergence), "orders", None)
    found = () if orders is None else orders(**_bound(divergence, params))
    return tuple(order for order in found if not checks.is_known(order) or not 0.0 <= float(order) <= 1.0)


def infinite_where(divergence: Divergence, places: Any, **params: Any) -> Any:
    """Whether it is infinite between two densities that end at these places; False where that is not known."""
    infinite = getattr(_inner(divergence), "infinite", None)
    return False if infinite is None else infinite(places, **_bound(divergence, params))


def declared_as(
    divergence: Divergence, name: str, infinite: Callable[..., Any] | None = None
) -> Callable[[Divergence], Divergence]:
    """Declares a divergence made of another to be measured as that one, and calls it ``name(other)``."""

    def declare(made):
        made.__name__ = f"{name}({getattr(_inner(divergence), '__name__', 'divergence')})"
        measure, kinked = declared(divergence), is_kinked(divergence) is not False
        return made if measure is None else measured_on(measure, kinked=kinked, infinite=infinite)(made)

    return declare


def signature_of_sides(leaf: Divergence) -> inspect.Signature:
    """What may be called: two sides, or a measure alone, and the parameters by name."""
    sides = [
        inspect.Parameter("p", inspect.Parameter.POSITIONAL_ONLY),
        inspect.Parameter("q", inspect.Parameter.POSITIONAL_ONLY, default=None),
    ]
    params = [each for each in inspect.signature(leaf).parameters.values() if each.kind is each.KEYWORD_ONLY]
    return inspect.Signature(sides + params)


def told_of_sides(leaf: Divergence, of_samples: Divergence | None) -> str:
    """The leaf's docstring, with what else it takes here behind its first paragraph."""
    name, measure = leaf.__name__, declared(leaf)
    first, _, rest = inspect.cleandoc(leaf.__doc__ or "").partition("\n\n")
    on_line = measure in (Coupling, Cdfs)
    samples = ", two samples, or one of each" if on_line else ""
    samples += ", in any dimension if both are samples" if of_samples else ""
    how = f"``{name}(p, q)``: of two distributions of any known library{samples}."
    if measure is not None:
        how += f" ``{name}(measure)``: of {measure.__name__}, made by {measure.made_by}."
    return "\n\n".join((first, how, rest))


def _inner(divergence):
    return _inner(divergence.func) if isinstance(divergence, functools.partial) else divergence


def _bound(divergence: Divergence, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with those that partial functions hold."""
    while isinstance(divergence, functools.partial):
        params, divergence = divergence.keywords | params, divergence.func
    return params


def _kind(value: Any) -> str:
    """What came instead of a measure, in words."""
    name = type(value).__name__
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, Nodes | Coupling | Cdfs | Points):
        return "None" if value is None else name
    if hasattr(value, "log_prob"):
        return f"the distribution {name}"
    return f"an array of shape {tuple(value.shape)}" if hasattr(value, "shape") else f"a {name}"
