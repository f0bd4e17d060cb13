"""Normalising flows of rational-quadratic splines: rich models of exact density, on the line and in d dimensions.

Durkan, Bekasov, Murray, Papamakarios, Neural Spline Flows (2019); couplings after Dinh, Krueger, Bengio (2014).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from divjax import checks
from divjax.models.networks import Layers, init_mlp, mlp
from divjax.models.parameters import check_names, check_positive

if TYPE_CHECKING:
    import distrax

    from divjax.models.laws import MonotoneSpline, SplineFlow


def init_spline_flow(*, num_bins: int = 8, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> dict[str, Array]:
    """N(loc, scale²) as a spline flow of ``num_bins`` bins: ``{"loc": (), "log_scale": (), "spline": [3 num_bins +
    1]}``.

    With loc 0 and scale 1 the flow is the identity. Raises ValueError for num_bins below 1 and a scale that is not
    positive.

    Examples:
        >>> dj.models.init_spline_flow(num_bins=4)["spline"].shape
        (13,)
    """
    checks.check_count(num_bins, "num_bins")
    check_positive(scale, "scale")
    dtype = jnp.result_type(float)
    return {
        "loc": jnp.asarray(loc, dtype),
        "log_scale": jnp.log(jnp.asarray(scale, dtype)),
        "spline": jnp.zeros(3 * num_bins + 1, dtype),
    }


def spline_flow(params: dict[str, Array], *, bound: float = 4.0) -> "SplineFlow":
    """The distribution of loc + exp(log_scale) T(z), z ~ N(0, 1), with T a monotone rational-quadratic spline.

    On [−bound, bound], which T maps onto itself, it has a piece for each bin, with the bins' widths and heights and the
    slopes at their ends from ``params["spline"]`` [3 bins + 1]; beyond it is linear with the slope at the end, so that
    the tails are Gaussian. Any real parameters give a monotone T, zeros the identity. The log-density has a kink at
    every knot; ``dj.quadrature`` puts an end of a panel there. Raises ValueError for other shapes.

    Examples:
        >>> flow = dj.models.spline_flow(dj.models.init_spline_flow(num_bins=4))
        >>> round(float(flow.log_prob(jnp.zeros(()))), 4)
        -0.9189
    """
    import distrax

    from divjax.models.laws import HeldNormal, SplineFlow

    shapes = {name: jnp.shape(value) for name, value in params.items()}
    size = math.prod(shapes.get("spline", ()))
    if shapes != {"loc": (), "log_scale": (), "spline": (size,)} or size < 4 or size % 3 != 1:
        raise ValueError(
            f"Expected scalars loc and log_scale and a spline [3 bins + 1]; got {shapes}. See init_spline_flow."
        )
    base = HeldNormal(jnp.zeros_like(params["loc"]), jnp.ones_like(params["loc"]))
    affine = distrax.ScalarAffine(params["loc"], log_scale=params["log_scale"])
    return SplineFlow(base, distrax.Chain([affine, _spline(params["spline"], bound)]))


def init_coupling_flow(
    key: PRNGKeyArray, *, dim: int, num_layers: int = 4, hidden: Sequence[int] = (32,), num_bins: int = 8
) -> dict[str, PyTree]:
    """The identity as a coupling flow in ``dim`` dimensions: random conditioners whose last layer is zero.

    ``{"loc": [d], "log_scale": [d], "layers": ...}``, a tuple of so many ``mlp`` from d numbers through the hidden
    widths to d splines of ``num_bins`` bins. Raises ValueError for dim below 2 and for num_layers or num_bins below 1.

    Examples:
        >>> len(dj.models.init_coupling_flow(jax.random.key(0), dim=2, num_layers=2, hidden=(4,), num_bins=4)["layers"])
        2
    """
    checks.check_count(num_bins, "num_bins")
    if dim < 2 or num_layers < 1:
        raise ValueError(
            f"Expected dim >= 2 and num_layers >= 1; got {dim} and {num_layers}. Use spline_flow on the line."
        )
    sizes = (dim, *hidden, dim * (3 * num_bins + 1))
    networks = [init_mlp(key, sizes) for key in jax.random.split(key, num_layers)]
    zero = jnp.zeros(dim, jnp.result_type(float))
    ended = tuple((*network[:-1], jax.tree.map(jnp.zeros_like, network[-1])) for network in networks)
    return {"loc": zero, "log_scale": zero, "layers": ended}


def coupling_flow(params: dict[str, PyTree], *, bound: float = 4.0) -> "distrax.Transformed":
    """The distribution of loc + exp(log_scale) T(z), z ~ N(0, I), with T = T_L ∘ … ∘ T_1 of spline couplings.

    T_l leaves the coordinates of one parity as they are, and maps each of the others by a monotone spline on
    [−bound, bound], linear beyond, whose parameters are an ``mlp`` of the former: the inverse and the determinant of
    the Jacobian are explicit. The parity changes from layer to layer, so that two layers move every coordinate.
    Expectations under it by ``dj.monte_carlo``; by ``dj.quadrature`` in two and three dimensions to a few digits only,
    since it has kinks. Raises ValueError where loc, log_scale and the networks do not fit.

    Examples:
        >>> start = dj.models.init_coupling_flow(jax.random.key(0), dim=2, num_layers=2, hidden=(4,), num_bins=4)
        >>> dj.models.coupling_flow(start).event_shape
        (2,)
    """
    import distrax

    from divjax.models.laws import HeldNormal

    check_names(params, "loc", "log_scale", "layers")
    params = params | {name: jnp.asarray(params[name]) for name in ("loc", "log_scale")}
    (dim,) = params["loc"].shape[-1:] if params["loc"].ndim == 1 else (0,)
    outputs = [network[-1].bias.shape[-1] for network in params["layers"]]
    if dim < 2 or params["log_scale"].shape != (dim,) or not outputs or any(n % (3 * dim) != dim for n in outputs):
        raise ValueError(
            f"Expected loc [d] and log_scale [d], d >= 2, and networks to d (3 bins + 1) numbers; got "
            f"{params['loc'].shape}, {params['log_scale'].shape} and {outputs}. See init_coupling_flow."
        )
    zero = jnp.zeros_like(params["loc"])
    base = distrax.Independent(HeldNormal(zero, jnp.ones_like(zero)), 1)
    affine = distrax.Block(distrax.ScalarAffine(params["loc"], log_scale=params["log_scale"]), 1)
    couplings = [
        distrax.MaskedCoupling(
            jnp.arange(dim) % 2 == index % 2, Partial(_conditioned, network), Partial(_spline, bound=bound)
        )
        for index, network in enumerate(params["layers"])
    ]
    return distrax.Transformed(base, distrax.Chain([affine, *couplings[::-1]]))


def _conditioned(network: Layers, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d m"]:
    """The parameters of each coordinate's spline. Of a Partial, so that networks are leaves of the distribution."""
    return mlp(network, x).reshape(*x.shape, -1)


def _spline(params: Float[Array, "*batch m"], bound: float) -> "MonotoneSpline":
    from divjax.models.laws import MonotoneSpline

    check_positive(bound, "bound")
    return MonotoneSpline(params, range_min=-bound, range_max=bound)
