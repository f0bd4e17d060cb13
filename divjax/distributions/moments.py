"""KL between different families, written once per family instead of once per pair.

KL(p‖q) = −H(p) − E_p log q, and log q is linear in a few functions of x: so p brings its entropy and moments, q brings
``expected_log_density`` of any moments. A moment that p does not know in closed form is None.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

Scalar = Float[Array, ""]


class Moments(NamedTuple):
    """What a distribution on [low, high] offers. Logarithmic moments are of a positive variable."""

    low: float | Array
    high: float | Array
    entropy: Scalar
    mean: Scalar | None = None
    variance: Scalar | None = None
    log: Scalar | None = None  # E log x
    log_variance: Scalar | None = None  # Var log x
    log1m: Scalar | None = None  # E log(1 − x)
    exp: Callable[[Array], Array] | None = None  # t -> E e^(t x), for t < 0
    power: Callable[[Array], Array] | None = None  # s -> E x^s, for s > 0
    distance: Callable[[Array], Array] | None = None  # m -> E |x − m|


class Target(NamedTuple):
    """q: its support, the moments it needs, and E log q from them."""

    low: float | Array
    high: float | Array
    needs: tuple[str, ...]
    expected_log_density: Callable[[Moments], Array]
