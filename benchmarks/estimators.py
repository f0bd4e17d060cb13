"""Monte Carlo: what ten divergences cost beside one, and variance × cost of gradients beside TFP's.

Run ``python benchmarks/estimators.py``. Prints target and measurement side by side and exits with 1 where a target is
missed; ``--out FOLDER`` keeps the results there. A ratio of times is the median over rounds of the ratio in the round.
Variances are over keys at equal numbers of draws; bias is the mean error in its own standard errors, against
quadrature: an estimator that is off by more than four is marked as wrong.
"""

import argparse
import sys
from pathlib import Path

import common
import distrax
import jax
import jax.numpy as jnp
import numpy as np
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import discretize as dz

TEN = (
    dj.kl, dj.reverse_kl, dj.jeffreys, dj.jensen_shannon, dj.squared_hellinger, dj.triangular, dj.total_variation,
    dj.pearson_chi2, dj.neyman_chi2, lambda draws: dj.alpha_divergence(draws, alpha=0.3),
)  # fmt: skip
COST_TARGET = 1.5
THETA = jnp.array([0.5, 0.3])
P = distrax.Normal(0.0, 1.0)
vi = tfp.vi


def model(theta):
    return distrax.Normal(theta[0], jnp.exp(theta[1]))


def gaussians(dim: int):
    """A mixture of four Gaussians as target, one as model."""
    locs = 2.0 * jax.random.normal(jax.random.key(1), (4, dim))
    parts = distrax.MultivariateNormalDiag(locs, jnp.ones((4, dim)))
    p = distrax.MixtureSameFamily(distrax.Categorical(logits=jnp.zeros(4)), parts)
    return p, lambda theta: distrax.MultivariateNormalDiag(theta[0] * jnp.ones(dim), jnp.exp(theta[1]) * jnp.ones(dim))


PAIRS = {
    "one dimension, two modes": lambda: (dj.targets.two_modes(4.0), model),
    "16 dimensions, four modes": lambda: gaussians(16),
}


def cost(num: int, rounds: int) -> tuple[list[common.Row], dict]:
    """Ten divergences against one, from the same draws: values, and values with gradients."""
    run, rows = {}, []
    key = jax.random.key(0)
    for name, build in PAIRS.items():
        p, q = build()
        for label, divergences in (("one", TEN[:1]), ("ten", TEN)):

            def values(theta, p=p, q=q, divergences=divergences):
                draws = dj.monte_carlo(key, p, q(theta), num_draws=num)
                return sum(divergence(draws) for divergence in divergences)

            step = jax.jit(values).lower(THETA).compile()
            run[f"{name}, {label}"] = lambda step=step: jax.block_until_ready(step(THETA))
            slope = jax.jit(jax.value_and_grad(values)).lower(THETA).compile()
            run[f"{name}, {label}, gradient"] = lambda slope=slope: jax.block_until_ready(slope(THETA))
    seconds = common.clock(run, rounds)
    for name in PAIRS:
        for suffix in ("", ", gradient"):
            label = f"{name}{suffix}: ten divergences / one"
            measured = common.ratio(seconds, f"{name}, ten{suffix}", f"{name}, one{suffix}")
            rows.append(common.Row(label, COST_TARGET, measured))
    return rows, {name: float(times.min()) for name, times in seconds.items()}


def tfp_loss(discrepancy, gradient, num):
    """TFP's monte_carlo_variational_loss; for its doubly reparameterised gradient with the stopped copy it asks for."""

    def loss(theta, key):
        q = tfp.distributions.Normal(theta[0], jnp.exp(theta[1]))
        stopped = tfp.distributions.Normal(*jax.lax.stop_gradient((theta[0], jnp.exp(theta[1]))))
        return vi.monte_carlo_variational_loss(
            tfp.distributions.Normal(0.0, 1.0).log_prob,
            q,
            sample_size=num,
            discrepancy_fn=discrepancy,
            gradient_estimator=gradient,
            stopped_surrogate_posterior=stopped if gradient == vi.GradientEstimators.DOUBLY_REPARAMETERIZED else None,
            seed=key,
        )

    return loss


def ours(divergence, num, **options):
    return lambda theta, key: divergence(dj.monte_carlo(key, P, model(theta), num_draws=num, **options))


def estimators(num: int) -> dict:
    """Divergence -> name -> loss(theta, key)."""
    ways = vi.GradientEstimators
    found = {}
    for name, discrepancy in (("kl", vi.kl_forward), ("reverse_kl", vi.kl_reverse)):
        divergence = getattr(dj, name)
        found[name] = {
            "tfp reparameterized": tfp_loss(discrepancy, ways.REPARAMETERIZATION, num),
            "tfp score": tfp_loss(discrepancy, ways.SCORE_FUNCTION, num),
            "tfp doubly reparameterized": tfp_loss(discrepancy, ways.DOUBLY_REPARAMETERIZED, num),
            "divjax, base q": ours(divergence, num, base="q"),
            "divjax, base q, score": ours(divergence, num, base="q", gradient="score"),
            "divjax, mixture": ours(divergence, num),
            "divjax, mixture, antithetic": ours(divergence, num, design=dz.antithetic),
            "divjax, mixture, lattice": ours(divergence, num, design=dz.lattice),
        }
    found["reverse_kl"]["divjax, reverse_kl_stl"] = lambda theta, key: dj.variational.reverse_kl_stl(
        key, P, model(theta), num_draws=num
    )
    return found


def gradients(num: int, keys: int, rounds: int) -> dict:
    """Bias in standard errors, variance (its trace), seconds and variance × seconds of every gradient estimator."""
    table = {}
    many = jax.random.split(jax.random.key(2), keys)
    for name, losses in estimators(num).items():
        exact = jax.grad(lambda theta, name=name: getattr(dj, name)(dj.quadrature(P, model(theta))))(THETA)
        slopes = {label: jax.jit(jax.vmap(jax.grad(loss), (None, 0))) for label, loss in losses.items()}
        samples = {label: np.asarray(slope(THETA, many), np.float64) for label, slope in slopes.items()}
        run = {
            label: (lambda slope=slope: jax.block_until_ready(slope(THETA, many))) for label, slope in slopes.items()
        }
        seconds = common.clock(run, rounds)
        reference = None
        print(f"gradient of {name} at {num} draws: bias in standard errors, variance, ns a draw, variance × time")
        for label, sample in samples.items():
            bias = np.abs((sample.mean(0) - np.asarray(exact)) / (sample.std(0) / np.sqrt(keys))).max()
            variance, time = float(sample.var(0).sum()), float(np.median(seconds[label]))
            product = variance * time
            reference = reference or product
            entry = {"bias": float(bias), "variance": variance, "seconds": time, "relative": product / reference}
            table[f"{name}: {label}"] = entry
            wrong = "  WRONG" if bias > 4.0 else ""
            each = time / num / keys * 1e9
            print(f"  {label:30s} {bias:8.1f} {variance:10.3g} {each:8.2f} {product / reference:10.3g}{wrong}")
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=16384)
    parser.add_argument("--draws", type=int, default=1024, help="draws of a gradient estimate")
    parser.add_argument("--keys", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    rows, seconds = cost(args.num, 20 * args.rounds)  # of a millisecond each
    met = common.show(rows)
    table = gradients(args.draws, args.keys, args.rounds)
    valid = [entry["relative"] for label, entry in table.items() if "divjax" in label and entry["bias"] <= 4.0]
    best = [common.Row("best of divjax: variance × time / TFP's reparameterized", 1.0, min(valid))]
    met = common.show(best) and met
    common.save("estimators", rows + best, {"num": args.num, "seconds": seconds, "gradients": table}, args.out)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
