"""Variational autoencoders with Gaussian latents and pixels (Kingma, Welling 2014; Rezende, Mohamed, Wierstra 2014)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from divjax import checks
from divjax.models.networks import Layers, init_mlp, mlp
from divjax.models.parameters import check_positive

if TYPE_CHECKING:
    import distrax


class Autoencoder(NamedTuple):
    """Parameters: z ~ N(0, I) in k dimensions, x | z ~ N(decoder(z), scale²), z | x about N(encoder(x))."""

    encoder: Layers  # d numbers -> k means, k log-scales
    decoder: Layers  # k numbers -> d means
    log_scale: Float[Array, " d"]  # of x given z


class Joint(NamedTuple):
    """log p(x, z) of one x, as a density of z that is not normalised: its mass is p(x)."""

    params: Autoencoder
    x: Float[Array, " d"]

    batch_shape = ()

    @property
    def event_shape(self) -> tuple[int, ...]:
        return latent_prior(self.params).event_shape

    def log_prob(self, z: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
        prior = latent_prior(self.params).log_prob(z)
        return prior + decode(self.params, z).log_prob(self.x)


def init_autoencoder(
    key: PRNGKeyArray, *, dim: int, latent: int, hidden: Sequence[int] = (128, 128), scale: float = 1.0
) -> Autoencoder:
    """Random networks (``init_mlp``) and a scale of x given z that is the same in every dimension.

    Raises ValueError for a size below 1 and a scale that is not above 0.

    Examples:
        >>> params = dj.models.init_autoencoder(jax.random.key(0), dim=3, latent=2, hidden=(4,))
        >>> dj.models.latent_prior(params).event_shape
        (2,)
    """
    for name, size in (("dim", dim), ("latent", latent), *(("hidden", width) for width in hidden)):
        checks.check_count(size, name)
    check_positive(scale, "scale")
    of_encoder, of_decoder = jax.random.split(key)
    return Autoencoder(
        init_mlp(of_encoder, (dim, *hidden, 2 * latent)),
        init_mlp(of_decoder, (latent, *hidden[::-1], dim)),
        jnp.full(dim, jnp.log(scale), jnp.result_type(float)),
    )


def latent_prior(params: Autoencoder) -> "distrax.Distribution":
    """N(0, I) in as many dimensions as the decoder takes.

    Examples:
        >>> params = dj.models.init_autoencoder(jax.random.key(0), dim=3, latent=2, hidden=(4,))
        >>> dj.models.latent_prior(params).event_shape
        (2,)
    """
    zero = jnp.zeros(params.decoder[0].weight.shape[0], params.log_scale.dtype)
    import distrax

    return distrax.MultivariateNormalDiag(zero, jnp.ones_like(zero))


def encode(params: Autoencoder, x: Float[Array, "*batch d"]) -> "distrax.Distribution":
    """q(z|x), a diagonal Gaussian for each x.

    Examples:
        >>> params = dj.models.init_autoencoder(jax.random.key(0), dim=3, latent=2, hidden=(4,))
        >>> dj.models.encode(params, jnp.zeros(3)).event_shape
        (2,)
    """
    loc, log_scale = jnp.split(mlp(params.encoder, x), 2, axis=-1)
    import distrax

    return distrax.MultivariateNormalDiag(loc, jnp.exp(log_scale))


def decode(params: Autoencoder, z: Float[Array, "*batch k"]) -> "distrax.Distribution":
    """p(x|z), a diagonal Gaussian for each z, all of one scale. Its mean is what is usually shown as a sample.

    Examples:
        >>> params = dj.models.init_autoencoder(jax.random.key(0), dim=3, latent=2, hidden=(4,))
        >>> dj.models.decode(params, jnp.zeros(2)).event_shape
        (3,)
    """
    loc = mlp(params.decoder, z)
    import distrax

    return distrax.MultivariateNormalDiag(loc, jnp.broadcast_to(jnp.exp(params.log_scale), loc.shape))


def elbo(key: PRNGKeyArray, params: Autoencoder, x: Float[Array, " d"]) -> Float[Array, ""]:
    """E_q(z|x) log p(x|z) − KL(q(z|x)‖p(z)) of one x by one draw of z, the KL in closed form; at most log p(x), nats.

    Its mean over data is what a variational autoencoder maximises in the likelihood's place. Pathwise gradient. For a
    tighter bound: ``-variational.iwae(key, Joint(params, x), encode(params, x), num_groups=1, num_particles=...)``.

    Examples:
        >>> params = dj.models.init_autoencoder(jax.random.key(0), dim=3, latent=2, hidden=(4,))
        >>> dj.models.elbo(jax.random.key(1), params, jnp.zeros(3)).shape
        ()
    """
    from divjax.exact import kl  # closed forms are loaded when asked for

    q = encode(params, x)
    return decode(params, q.sample(seed=key)).log_prob(x) - kl(q, latent_prior(params))
