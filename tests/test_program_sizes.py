"""How large the programs of public functions are: instructions of StableHLO, which tell how long a first call compiles.

The counts depend on nothing but the code and the version of JAX. A ceiling that is passed is a question to answer: what
is in the program of this function that was not there before?
"""

import distrax
import jax
import jax.numpy as jnp
import pytest

import divjax as dj
from divjax.distributions.resolve import resolve

KEY = jax.random.key(0)
P, Q = resolve(dj.targets.two_modes(6.0)), resolve(distrax.Normal(3.0, 3.0))
ONE, OTHER = resolve(distrax.Normal(0.0, 1.0)), resolve(dj.targets.two_modes(4.0))
NODES = jax.eval_shape(dj.quadrature, P, Q)
DRAWS = jax.eval_shape(lambda p, q: dj.monte_carlo(KEY, p, q, num_draws=4096), P, Q)
SAMPLES = (jnp.zeros((500, 4)),) * 2


def _gradient(theta):
    def draws(theta):
        return dj.monte_carlo(KEY, P, distrax.Normal(theta[0], theta[1]), num_draws=4096)

    return dj.estimate_gradient(dj.jensen_shannon, draws, theta)


def _fit(separation):
    def loss(params, case):
        return dj.kl(dj.quadrature(dj.targets.two_modes(case), dj.models.normal(params)))

    start = {"loc": jnp.asarray(1.0), "log_scale": jnp.asarray(0.0)}
    return dj.run(dj.fit(loss, start, dj.training.newton()), separation)


CEILINGS = {
    "quadrature": (dj.quadrature, (P, Q), 390),
    "quadrature, crossings=4": (lambda p, q: dj.quadrature(p, q, crossings=4), (P, Q), 1360),
    "coupling": (dj.coupling, (P, Q), 540),
    "coupling, crossings=4": (lambda p, q: dj.coupling(p, q, crossings=4), (P, Q), 1650),
    "cdfs": (dj.cdfs, (P, Q), 370),
    "monte_carlo": (lambda key, p, q: dj.monte_carlo(key, p, q, num_draws=4096), (KEY, P, Q), 1300),
    "kl(nodes)": (dj.kl, (NODES,), 130),
    "jensen_shannon(nodes)": (dj.jensen_shannon, (NODES,), 170),
    "renyi(nodes)": (dj.renyi, (NODES,), 610),
    "chernoff(nodes)": (dj.chernoff, (NODES,), 950),
    "gamma_divergence(nodes)": (dj.gamma_divergence, (NODES,), 610),
    "estimate(kl, nodes)": (lambda nodes: dj.estimate(dj.kl, nodes), (NODES,), 480),
    "estimate(kl, draws)": (lambda nodes: dj.estimate(dj.kl, nodes), (DRAWS,), 1100),
    "estimate_gradient(jensen_shannon, draws)": (_gradient, (jnp.array([3.0, 3.0]),), 3300),
    "kl(p, q), closed form": (dj.kl, (ONE, Q), 120),
    "kl(p, q)": (dj.kl, (P, Q), 550),
    "total_variation(p, q)": (dj.total_variation, (P, Q), 1520),
    "wasserstein(p, q)": (dj.wasserstein, (P, Q), 1750),
    "bounds.kl": (dj.bounds.kl, (P, OTHER), 1870),
    "unrealistic_rate": (dj.diagnostics.unrealistic_rate, (P, Q), 1180),
    "region_level": (dj.diagnostics.region_level, (P,), 1060),
    "sliced_wasserstein": (lambda x, y: dj.sliced_wasserstein(KEY, x, y), SAMPLES, 285),
    "run(fit(..., newton))": (_fit, (jnp.asarray(6.0),), 1470),
}


def instructions(function, arguments) -> int:
    text = jax.jit(function).lower(*arguments).as_text()
    return sum(" = " in line for line in text.splitlines())


@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="an older JAX writes the same program otherwise")
@pytest.mark.parametrize("name", CEILINGS)
def test_programs_stay_small(name):
    function, arguments, ceiling = CEILINGS[name]
    count = instructions(function, arguments)
    assert 0.5 * ceiling < count <= ceiling, f"{name}: {count} instructions, {ceiling} expected"


if __name__ == "__main__":
    for name, (function, arguments, ceiling) in CEILINGS.items():
        print(f"{name:44s} {instructions(function, arguments):6d}   ceiling {ceiling:6d}")
