"""From any library's object to a ``Density``, once, at the door."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from divjax.distributions.family import Density
from divjax.numerics.calls import is_law_like

# The library that a class comes from -> the file that knows its classes. None is imported before its objects arrive.
ADAPTERS = {
    "distrax": "distrax",
    "tensorflow_probability": "tfp",
    "numpyro": "numpyro",
    "distreqx": "distreqx",
    "flowjax": "flowjax",
    "efax": "efax",
    "scipy": "scipy",
    "divjax": "models",
}
_OWN: dict[type, Callable[[Any], Density]] = {}


def register(kind: type, to_density: Callable[[Any], Density]) -> None:
    """Says how objects of a class of one's own become a ``Density``.

    to_density: a function of an object, such as ``lambda d: NORMAL(d.mu, d.sigma)``, with ``NORMAL`` of
    ``divjax.distributions.real_line``. Raises TypeError for what is no class, or no function.

    Examples:
        >>> from divjax.distributions.real_line import NORMAL
        >>> class Bell:
        ...     mu, sigma = 1.0, 1.0
        ...
        >>> dj.distributions.register(Bell, lambda bell: NORMAL(bell.mu, bell.sigma))
        >>> round(float(dj.kl(Bell(), distrax.Normal(0.0, 1.0))), 4)
        0.5
    """
    if not isinstance(kind, type):
        raise TypeError(f"Expected a class; got {kind!r:.60}. Register the class, not one of its objects.")
    if not callable(to_density):
        raise TypeError(f"Expected a function from an object to a Density; got {to_density!r:.60}.")
    _OWN[kind] = to_density


def resolve(dist: Any, name: str = "the distribution") -> Density:
    """The ``Density`` that an object stands for: what every function that takes a distribution makes of it first.

    dist: a Density itself, an object of a known library, of a registered class, or any with a log-density. name: what a
    message calls it. Raises TypeError, with what was expected and the remedy, for anything else.

    Examples:
        >>> found = dj.distributions.resolve(distrax.Normal(jnp.zeros(3), 1.0))
        >>> found.name, found.batch_shape
        ('Normal', (3,))
    """
    if isinstance(dist, Density):
        return dist
    if isinstance(dist, type):
        raise TypeError(f"Expected {name} to be a distribution; got the class {dist.__name__}. Build one of it.")
    for kind in type(dist).__mro__:
        if kind in _OWN:
            return _registered(_OWN[kind](dist), kind)
        library = ADAPTERS.get(kind.__module__.partition(".")[0])
        if library is None:
            continue
        adapter = importlib.import_module(f"divjax.distributions.adapters.{library}")
        found = adapter.to_density(dist, kind)
        if found is not None:
            return found
    if callable(getattr(dist, "log_prob", None)):
        return importlib.import_module("divjax.distributions.protocol").by_protocol(dist)
    raise TypeError(_refusal(dist, name))


def _registered(found: Any, kind: type) -> Density:
    """What the function that was registered for a class made of an object."""
    if isinstance(found, Density):
        return found
    if is_distribution(found) and type(found) is not kind:
        return resolve(found)
    raise TypeError(
        f"Expected a Density of the function registered for {kind.__name__}; got {type(found).__name__}. Return a "
        "record such as NORMAL(loc, scale) of divjax.distributions.real_line, or a distribution of a known library."
    )


def is_distribution(value: Any) -> bool:
    """Whether it can be meant as one: it has a log-density, or is of a class that is known."""
    return isinstance(value, Density) or is_law_like(value) or any(kind in _OWN for kind in type(value).__mro__)


def _remedy_of_scipy(dist: Any) -> str:
    if hasattr(dist, "dataset"):  # gaussian_kde
        return "Draw samples, dist.resample(1000), or build the mixture, such as distrax.MixtureSameFamily."
    if callable(getattr(dist, "freeze", None)):
        if hasattr(dist, "xk"):  # of values and probabilities of one's own
            return "Call it, dist(), which freezes it; classes 0, 1, … are distrax.Categorical(probs=...)."
        return "Freeze it: scipy.stats.norm(0, 1) is a distribution, scipy.stats.norm a family."
    return "Use a frozen distribution, scipy.stats.norm(0, 1), or one of distrax, TFP or numpyro."


def _refusal(dist: Any, name: str) -> str:
    got = f"an array of shape {np.shape(dist)}" if hasattr(dist, "__array__") else type(dist).__name__
    if isinstance(dist, list | tuple) or hasattr(dist, "__array__"):
        remedy = (
            "Samples are compared by dj.wasserstein, dj.energy, dj.mmd2 and the like; log-probabilities are "
            "dj.pmf(log_p, log_q)."
        )
    elif type(dist).__module__.startswith("scipy.stats"):
        remedy = _remedy_of_scipy(dist)
    else:
        remedy = (
            "Build a distribution of distrax, TFP, numpyro, distreqx, flowjax, efax or scipy.stats, or give it a "
            "log_prob."
        )
    return f"Expected {name} to be a distribution; got {got}. {remedy}"
