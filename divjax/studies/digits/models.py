"""What is trained on images of digits: an autoencoder and a flow by maximum likelihood, two adversarial networks.

A grey level from 0 to 16 becomes a number in [0, 1] by adding noise that is uniform below the next level: densities are
then finite, and the mean log-density is a lower bound on the log-probability of the levels themselves, less 64 log 17
(Theis, van den Oord, Bethge 2016).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from divjax import models, variational
from divjax.studies.adversarial.methods import lookup
from divjax.studies.adversarial.play import ROUNDS, descent, losses_of, trained
from divjax.training import Start, stochastic_fit
from divjax.training.iteration import Iteration

DIM, LEVELS, LATENT, NOISE = 64, 17, 8, 16
BATCH, HIDDEN = 64, (128, 128)
PARTICLES = 64  # of the importance-weighted bound on an autoencoder's log-likelihood

Images = Float[Array, "n d"]
Draw = Callable[[PRNGKeyArray, PyTree, int], Images]  # key, parameters, number -> points
Data = Callable[[PyTree], Images]  # case -> images


class Generator(NamedTuple):
    """A model, how it is trained, what it draws."""

    iteration: Iteration  # its result has fields average, losses, trace, steps and status
    sample: Draw
    steps: int


def dequantised(key: PRNGKeyArray, images: Images) -> Images:
    """(level + u) / 17, u uniform on [0, 1)."""
    return (images + jax.random.uniform(key, images.shape)) / LEVELS


def quantised(x: Images) -> Images:
    """The grey levels of points of the unit cube; the nearest ones for points outside."""
    return jnp.clip(jnp.floor(LEVELS * x), 0.0, LEVELS - 1.0)


def batch(key: PRNGKeyArray, images: Images) -> Images:
    """Images drawn with replacement, with noise of their own."""
    which, noise = jax.random.split(key)
    return dequantised(noise, images[jax.random.randint(which, (BATCH,), 0, images.shape[0])])


def autoencoder(train: Data, held_out: Data, *, means: bool, steps: int) -> Generator:
    """A variational autoencoder; what it draws are p(x|z), or the means of it, as they are mostly shown."""

    def init(key, images):
        return models.init_autoencoder(key, dim=DIM, latent=LATENT, hidden=HIDDEN, scale=0.2)

    def elbo(key, params, x):
        return jax.vmap(lambda key, x: models.elbo(key, params, x))(jax.random.split(key, len(x)), x)

    def bound(key, params, x):
        def one(pair):
            key, x = pair
            joint, posterior = models.Joint(params, x), models.encode(params, x)
            return -variational.iwae(key, joint, posterior, num_groups=1, num_particles=PARTICLES)

        return jax.lax.map(one, (jax.random.split(key, len(x)), x), batch_size=50)

    def sample(key, params, num):
        of_latent, of_pixels = jax.random.split(key)
        given = models.decode(params, models.latent_prior(params).sample(seed=of_latent, sample_shape=(num,)))
        return given.loc if means else given.sample(seed=of_pixels)

    return Generator(_likely(train, held_out, init, elbo, bound, steps=steps, rate=2e-3), sample, steps)


def flow(train: Data, held_out: Data, *, steps: int) -> Generator:
    """A coupling flow of splines, which starts as a Gaussian with the pixels' means and standard deviations."""

    def init(key, images):
        params = models.init_coupling_flow(key, dim=DIM, num_layers=4, hidden=HIDDEN, num_bins=4)
        x = dequantised(jax.random.fold_in(key, 1000), images)
        return params | {"loc": jnp.mean(x, 0), "log_scale": jnp.log(jnp.std(x, 0))}

    def log_prob(key, params, x):
        return models.coupling_flow(params).log_prob(x)

    def sample(key, params, num):
        return models.coupling_flow(params).sample(seed=key, sample_shape=(num,))

    return Generator(_likely(train, held_out, init, log_prob, log_prob, steps=steps, rate=1e-3), sample, steps)


def _likely(train: Data, held_out: Data, init: Any, log_q: Any, best: Any, *, steps: int, rate: float) -> Iteration:
    """Maximum likelihood by stochastic gradients. log_q, best: (key, parameters, points) -> log-density or a bound, of
    which the former is ascended and the latter taken of images held out, after each round."""
    each = max(steps // ROUNDS, 1)

    def loss(params, key, case):
        of_batch, of_latents = jax.random.split(key)
        return -jnp.mean(log_q(of_latents, params, batch(of_batch, train(case)))) / DIM

    def start(case):
        of_params, of_draws = jax.random.split(jax.random.key(case["seed"]))
        return init(of_params, train(case)), of_draws

    def evaluate(params, key, case):
        of_noise, of_latents = jax.random.split(key)
        return jnp.mean(best(of_latents, params, dequantised(of_noise, held_out(case)))) - DIM * jnp.log(LEVELS)

    return stochastic_fit(
        loss, start, descent(rate, each * ROUNDS), num_rounds=ROUNDS, num_steps=each, ema=0.99, evaluate=evaluate
    )


_network = partial(models.mlp, activation=jax.nn.leaky_relu)


def adversarial(train: Data, held_out: Data, *, method: str, steps: int) -> Generator:
    """A network on Gaussian noise against a critic, by one of the studied methods. It has no likelihood: NaN."""
    del held_out
    chosen = lookup(method)

    def sample(key, params, num):
        return jax.nn.sigmoid(_network(params, jax.random.normal(key, (num, NOISE))))

    losses = losses_of(
        chosen,
        lambda params, x: _network(params, 2.0 * x - 1.0)[..., 0],
        lambda key, case: batch(key, train(case)),
        lambda params, key, case: sample(key, params, BATCH),
    )

    def start(case):
        of_critic, of_generator, of_game = jax.random.split(jax.random.key(case["seed"]), 3)
        critic = models.init_mlp(of_critic, (DIM, *HIDDEN, 1), gain=2.0**0.5)
        return Start(critic, models.init_mlp(of_generator, (NOISE, *HIDDEN, DIM), gain=2.0**0.5), of_game)

    def evaluate(critic, params, key, case):
        del critic, params, key, case
        return jnp.full((), jnp.nan)

    game = trained(losses, start, evaluate, steps=steps, critic_steps=chosen.critic_steps, rate=1e-3, b1=0.5)
    return Generator(game, sample, steps)


MODELS: dict[str, Callable[..., Generator]] = {
    "vae": partial(autoencoder, means=False, steps=4000),
    "vae_means": partial(autoencoder, means=True, steps=4000),
    "flow": partial(flow, steps=1000),
    "gan": partial(adversarial, method="non_saturating", steps=8000),
    "wgan_gp": partial(adversarial, method="wgan_gp", steps=4000),
}
