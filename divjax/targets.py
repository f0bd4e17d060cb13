"""Benchmark targets: parameter arrays in, distrax distributions out. Build them inside the mapped function."""

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

from divjax.numerics import calls as _calls

__dir__ = _calls.own(__name__)

if TYPE_CHECKING:
    import distrax


def two_modes(
    separation: ArrayLike, *, weights: ArrayLike = (0.5, 0.5), scales: ArrayLike = (1.0, 1.0)
) -> "distrax.MixtureSameFamily":
    """w₁ N(0, s₁²) + w₂ N(separation, s₂²): the two-mode target of the blog post, there with separation 16.

    weights and scales: [2]; weights sum to one. All traceable.

    Examples:
        >>> float(dj.targets.two_modes(16.0).mean())
        8.0
    """
    separation = jnp.asarray(separation, jnp.result_type(float))
    locs = jnp.stack([jnp.zeros_like(separation), separation])
    import distrax

    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.asarray(weights, locs.dtype)),
        distrax.Normal(locs, jnp.asarray(scales, locs.dtype)),
    )


def fgan_mixture() -> "distrax.MixtureSameFamily":
    """0.33 N(−1, 0.065) + 0.67 N(2, 2.0025), variances: the target of f-GAN's table of Gaussian approximations.

    The paper (Nowozin, Cseke, Tomioka 2016) does not print it. These five numbers were recovered from the fifteen exact
    entries of the table, optimal value, μ and σ for five divergences, and give all of them to 3.5e-4.

    Examples:
        >>> round(float(dj.targets.fgan_mixture().mean()), 2)
        1.01
    """
    weights, means, variances = _arrays((0.33, 0.67), (-1.0, 2.0), (0.065, 2.0025))
    import distrax

    return distrax.MixtureSameFamily(distrax.Categorical(probs=weights), distrax.Normal(means, jnp.sqrt(variances)))


def theis_mixture() -> "distrax.MixtureSameFamily":
    """Ten isotropic Gaussians in the plane: the target of figure 1 of Theis, van den Oord, Bethge (2016).

    The authors' program draws it from NumPy's legacy generator with seed 22: weights from Dirichlet(½), variances
    (1 + U)⁻², means 1.5 N(0, I). These are its numbers to eight decimals.

    Examples:
        >>> dj.targets.theis_mixture().event_shape
        (2,)
    """
    weights, variances, x, y = _arrays(
        (0.0123709, 0.05034592, 0.00834, 0.02083501, 0.01382912,
         0.00003155, 0.28109951, 0.22687753, 0.16384763, 0.22242282),
        (0.51967543, 0.3833048, 0.49069785, 0.39841055, 0.34495038,
         0.80885805, 0.27034573, 0.25280176, 0.35540304, 0.31030685),
        (0.54458864, 0.83362455, -1.6328243, 0.03554216, 3.74876496,
         -3.73504559, -0.35229358, -0.14634519, -1.32979401, -0.20506986),
        (0.15296839, -0.3763943, -0.11821846, -1.62774625, 0.89239268,
         -0.95836211, -1.66175529, 3.15921863, -0.85108166, -0.71992469),
    )  # fmt: skip
    scales = jnp.sqrt(jnp.stack([variances, variances], axis=-1))
    import distrax

    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=weights), distrax.MultivariateNormalDiag(jnp.stack([x, y], axis=-1), scales)
    )


def bishop_mixture() -> "distrax.MixtureSameFamily":
    """½ N((−1, −1), [[½, ¼], [¼, 1]]) + ½ N((1, 1), [[½, −¼], [−¼, 1]]): two correlated modes in the plane.

    For figure 10.3 of Bishop (2006), which prints no parameters; these are those of its re-creation for Murphy's
    Probabilistic Machine Learning (2022). Its mean is 0 and its covariance [[1.5, 1], [1, 2]].

    Examples:
        >>> dj.targets.bishop_mixture().event_shape
        (2,)
    """
    weights, means, covariances = _arrays(
        (0.5, 0.5), ((-1.0, -1.0), (1.0, 1.0)), (((0.5, 0.25), (0.25, 1.0)), ((0.5, -0.25), (-0.25, 1.0)))
    )
    import distrax

    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=weights), distrax.MultivariateNormalFullCovariance(means, covariances)
    )


def _arrays(*values: ArrayLike) -> list[Array]:
    return [jnp.asarray(value, jnp.result_type(float)) for value in values]
