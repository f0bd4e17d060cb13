"""Scheduled sampling on a sequence of two steps: the objective that Huszár (2015) showed to be improper.

A model q(a) q(b|a) of p(a) p(b|a) is trained to predict the data's second step b from the data's first step with
probability ``rate``, and otherwise from a first step z that the model itself has drawn (Bengio et al. 2015):

    L(q) = KL(p_a ‖ q_a) + rate Σ_a p(a) KL(p_b|a ‖ q_b|a) + (1 − rate) Σ_z q(z) KL(p_b ‖ q_b|z).

At rate 1 this is KL(p ‖ q). At rate 0 it is zero where q(a) = p(a) and q(b|a) = p(b) for every a: the steps have become
independent, whatever the data are. Between the two the data are no optimum either.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float

from divjax import numerics as nu
from divjax.sweeps import product, sweep
from divjax.training import fit
from divjax.training.iteration import Iteration

if TYPE_CHECKING:
    import xarray

Joint = Float[ArrayLike, "A B"]  # probabilities of (a, b)

# Two first steps, each followed by one of its own: a language of two phrases and some noise.
PHRASES = np.array([[0.54, 0.06], [0.04, 0.36]])
RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
HELD, THROUGH = "held", "through"  # the draw of the model's first step: without a gradient, as in practice, or with


def objective(log_q: Float[Array, "A B"], p: Joint, rate: ArrayLike, *, through: bool = True) -> Float[Array, ""]:
    """L(q) above, in nats, from the log-probabilities of a model and the probabilities of the data, both [A, B].

    through: whether the model's own first step z carries a gradient. Scheduled sampling as it is run takes it as given:
    False, the same value with other derivatives. Where p is 0 a term is 0; q is positive.
    """
    p, log_first = jnp.asarray(p, log_q.dtype), jax.nn.logsumexp(log_q, axis=1)
    log_second = log_q - log_first[:, None]
    first, second = jnp.sum(p, axis=1), jnp.sum(p, axis=0)
    own = jnp.exp(log_first if through else jax.lax.stop_gradient(log_first))
    taught = _relative(p, nu.safe_log(first)[:, None] + log_second)
    given = jnp.sum(own[:, None] * _relative(second, log_second))  # KL(p_b ‖ q_b|z) by z
    return jnp.sum(_relative(first, log_first)) + rate * jnp.sum(taught) + (1.0 - rate) * given


def _relative(p, log_q):
    """p log(p/q), 0 where p is."""
    return jnp.where(p > 0.0, p * (nu.safe_log(p) - jnp.where(p > 0.0, log_q, 0.0)), 0.0)


def optimum(p: Joint, rate: ArrayLike) -> Float[Array, "A B"]:
    """The model that scheduled sampling ends in, in closed form, where the model's first step is taken as given.

    q(a) = p(a), and q(b|a) = rate p(b|a) + (1 − rate) p(b): at every rate the marginals are right, and what the steps
    have to do with each other is watered down.
    """
    p = jnp.asarray(p)
    return rate * p + (1.0 - rate) * jnp.sum(p, axis=1, keepdims=True) * jnp.sum(p, axis=0)


def mutual_information(log_q: Float[Array, "A B"]) -> Float[Array, ""]:
    """KL(q(a, b) ‖ q(a) q(b)) in nats: what a model's second step knows of its first."""
    first, second = jax.nn.logsumexp(log_q, axis=1)[:, None], jax.nn.logsumexp(log_q, axis=0)
    return jnp.sum(jnp.exp(log_q) * (log_q - first - second))


def sequence_fit(p: Joint, *, through: bool) -> Iteration:
    """The fit of a free table of probabilities, for cases of a rate and a seed."""
    p = np.asarray(p, float)

    def normalised(logits):
        return logits - jax.nn.logsumexp(logits)

    def loss(logits, case):
        return objective(normalised(logits), p, case["rate"], through=through)

    def init(case):
        return jax.random.normal(jax.random.key(case["seed"]), p.shape)

    # Not a line search: held, the gradient is of no function, and its value need not fall.
    steps = fit(loss, init, optax.adam(0.05, b1=0.5), max_steps=5000, tol=1e-5)

    def result(state, case):
        end = steps.result(state, case)
        log_q = normalised(end.params)
        return {
            "q": jnp.exp(log_q),
            "value": end.value,
            "kl": jnp.sum(_relative(jnp.asarray(p), log_q)),
            "mutual_information": mutual_information(log_q),
            "status": end.status,
        }

    return steps._replace(result=result)


def run(p: Joint = PHRASES, rates: Sequence[float] = RATES, num_seeds: int = 4) -> "xarray.Dataset":
    """Both ways to treat the model's first step × rates × seeds: dimensions ``draw``, ``rate``, ``seed``, ``a``, ``b``.

    Raises ValueError for rates outside [0, 1], and for p that is no table of positive probabilities.
    """
    p = np.asarray(p, float)
    if p.ndim != 2 or not (p > 0.0).all() or abs(p.sum() - 1.0) > 1e-6:
        raise ValueError(f"Expected p [A, B] of positive probabilities that sum to 1; got {p.tolist()!r:.60}.")
    if not all(0.0 <= rate <= 1.0 for rate in rates):
        raise ValueError(f"Expected rates between 0 and 1; got {list(rates)}.")
    iterations = {HELD: sequence_fit(p, through=False), THROUGH: sequence_fit(p, through=True)}
    cases = product(rate=np.asarray(rates, np.float32), seed=np.arange(num_seeds, dtype=np.int32))
    return sweep(iterations, cases, dim="draw", dims={"q": ("a", "b")})
