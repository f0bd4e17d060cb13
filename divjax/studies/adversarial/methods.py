"""The adversarial methods that are compared: an objective, what keeps its critic smooth, how often the critic moves."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array

from divjax import catalog
from divjax.discretize import quadrature
from divjax.divergences import critic, jensen_shannon, reverse_kl

# E_q −log D at D = p/(p+q) held fixed has the gradient of this, not of jensen_shannon (Arjovsky, Bottou 2017).
NON_SATURATING = "reverse_kl - 2 jensen_shannon"
UNROLLED = 5  # critic steps that the unrolled generator looks ahead


class Method(NamedTuple):
    """How two players are trained."""

    objective: critic.Objective
    criterion: str  # what a perfect critic would make the generator minimise: of the catalogue, or ``NON_SATURATING``
    penalty: Callable | None = None
    critic_steps: int = 1
    unroll: int = 0
    dual: str = ""  # of ``critic.DUALS``, where the critic's value bounds the criterion


def _slope(*, one_sided):
    return lambda key, v, x, y: 10.0 * critic.penalties.gradient_penalty(key, v, x, y, one_sided=one_sided)


def _r1(weight):
    return lambda key, v, x, y: weight * critic.penalties.zero_centred_penalty(v, x)


def _f_gan(name, criterion=None):
    return Method(critic.f_gan(name), criterion or name, critic_steps=3, dual=name)


METHODS = {
    "gan": Method(critic.saturating, "jensen_shannon"),
    "non_saturating": Method(critic.non_saturating, NON_SATURATING),
    "unrolled": Method(critic.non_saturating, NON_SATURATING, unroll=UNROLLED),
    "r1": Method(critic.non_saturating, NON_SATURATING, _r1(0.1)),
    # Gulrajani et al. (2017). On a line a slope of 1 cannot become −1 without passing 0, where this penalty is highest:
    # a generator that has run past the data is not called back. The one-sided one (Petzka et al. 2018) lets it pass.
    "wgan_gp": Method(critic.wasserstein_1, "wasserstein_1", _slope(one_sided=False), critic_steps=5),
    "wgan_lp": Method(critic.wasserstein_1, "wasserstein_1", _slope(one_sided=True), critic_steps=5),
    "f_gan_kl": _f_gan("kl"),
    "f_gan_reverse_kl": _f_gan("reverse_kl"),
    "f_gan_jensen_shannon": _f_gan("jensen_shannon"),
    "f_gan_jeffreys": _f_gan("jeffreys"),
    "f_gan_pearson_chi2": _f_gan("pearson_chi2"),
}
LINE = tuple(name for name in METHODS if name not in ("unrolled", "r1"))  # trained on two modes by default
PLANE = ("gan", "non_saturating", "unrolled", "r1", "wgan_gp")  # on rings and grids


def measure(criterion: str) -> Callable[[Any, Any], Array]:
    """The exact criterion between two distributions; minima of ``NON_SATURATING`` may be negative."""
    if criterion != NON_SATURATING:
        return catalog.lookup(criterion).measure

    def difference(p, q):
        nodes = quadrature(p, q, crossings=0)
        return reverse_kl(nodes) - 2.0 * jensen_shannon(nodes)

    return difference


def lookup(name: str) -> Method:
    """Raises ValueError, with the names there are, for another one."""
    if name not in METHODS:
        raise ValueError(f"Expected a method out of {', '.join(METHODS)}; got {name!r}.")
    return METHODS[name]
