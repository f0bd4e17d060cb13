"""Bounds from critics against quadrature: equal at the best critic, below it at any other."""

import functools
import math

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax.divergences import critic
from tests.marks import cases

P, Q = distrax.Normal(0.0, 1.0), distrax.Normal(0.7, 1.2)
LEAVES = {name: getattr(dj, name) for name in critic.DUALS if name != "gan"}
ORDERS = {
    "alpha_3": functools.partial(dj.alpha_divergence, alpha=3.0),
    "skewed_js": functools.partial(dj.jensen_shannon, weight=0.2),
    "triangular": dj.triangular,
    "own": functools.partial(dj.f_divergence, f=lambda t: t * jnp.log(t)),
}


@pytest.fixture(scope="module")
def nodes():
    """Both samples are the nodes of a quadrature: the means are the expectations."""
    return jax.tree.map(np.asarray, dj.quadrature(P, Q, crossings=4))


def both(nodes, function, v):
    log_w_p, log_w_q = nodes.log_p + nodes.log_w, nodes.log_q + nodes.log_w
    return float(function(v, v, log_w_p=log_w_p, log_w_q=log_w_q))


@pytest.mark.parametrize("name", LEAVES)
def test_the_best_critic_gives_the_divergence_and_any_other_less(name, nodes):
    dual, exact = critic.DUALS[name], float(LEAVES[name](nodes))
    bound = functools.partial(both, nodes, functools.partial(critic.variational, dual=dual))
    best = np.clip(dual.best(nodes.log_p - nodes.log_q), -60.0, 60.0)
    assert bound(best) == pytest.approx(exact, rel=2e-5)
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=best.size).astype(np.float32)
        other = np.clip(best, -2.0, 2.0) + noise  # so that total variation's, which is ±∞, may be wrong too
        assert bound(other) < exact


@pytest.mark.parametrize("name", cases([*LEAVES, *ORDERS], slow=["own"]))
def test_the_tangent_is_a_bound_for_every_leaf(name, nodes):
    divergence = {**LEAVES, **ORDERS}[name]
    exact, d = float(divergence(nodes)), nodes.log_p - nodes.log_q
    bound = functools.partial(both, nodes, functools.partial(critic.tangent, divergence=divergence))
    assert bound(d) == pytest.approx(exact, rel=2e-5)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=d.size).astype(np.float32)
        assert bound(d + noise) <= exact * (1.0 + 1e-6)  # of total variation's many critics are the best


def test_bounds_on_kl(nodes):
    exact, d = float(dj.kl(nodes)), nodes.log_p - nodes.log_q
    assert exact == pytest.approx(math.log(1.2) + (1.0 + 0.49) / (2 * 1.44) - 0.5, rel=1e-5)
    assert both(nodes, critic.donsker_varadhan, d + 5.0) == pytest.approx(exact, rel=2e-5)  # any constant
    assert both(nodes, critic.nwj, d + 1.0) == pytest.approx(exact, rel=2e-5)
    other = d + np.sin(3.0 * d)
    assert both(nodes, critic.nwj, other + 1.0) < both(nodes, critic.donsker_varadhan, other) < exact


def test_a_bound_on_fresh_samples_is_below_within_its_error():
    keys = jax.random.split(jax.random.key(0), 400)

    @jax.jit
    @jax.vmap
    def on_samples(key):
        first, second = jax.random.split(key)
        ratio = lambda x: P.log_prob(x) - Q.log_prob(x)  # noqa: E731
        v_p, v_q = (ratio(d.sample(seed=k, sample_shape=256)) for d, k in ((P, first), (Q, second)))
        return [critic.variational(dual.best(v_p), dual.best(v_q), dual=dual) for dual in map(critic.DUALS.get, SMOOTH)]

    SMOOTH = ("kl", "reverse_kl", "jensen_shannon", "jeffreys", "squared_hellinger")
    exact = [float(LEAVES[name](dj.quadrature(P, Q))) for name in SMOOTH]
    for value, values in zip(exact, on_samples(keys), strict=True):
        assert abs(values.mean() - value) < 4.0 * values.std() / 20.0


def test_infonce_is_below_the_mutual_information_and_log_n():
    rho, n = 0.9, 64

    @jax.jit
    @jax.vmap
    def bound(key):
        x, noise = jax.random.normal(key, (2, n))
        y = rho * x + math.sqrt(1.0 - rho**2) * noise
        scores = distrax.Normal(rho * x[:, None], math.sqrt(1.0 - rho**2)).log_prob(y[None])
        return critic.infonce(scores)

    values = bound(jax.random.split(jax.random.key(1), 200))
    exact = -0.5 * math.log(1.0 - rho**2)
    assert exact - 0.1 < values.mean() < exact
    assert critic.infonce(50.0 * jnp.eye(n)) == pytest.approx(math.log(n), rel=1e-5)


def test_the_games_at_the_best_critic(nodes):
    """Both as samples in equal number, so that the losses of the papers come out as they say."""
    d = jnp.asarray([2.0, -1.0, 0.3])
    p = jax.nn.softmax(jnp.asarray([1.0, 0.2, -0.5]))
    q = p * jnp.exp(-d) / jnp.sum(p * jnp.exp(-d))
    d = jnp.log(p) - jnp.log(q)
    counts = 4000
    rows = [np.repeat(np.asarray(d), np.round(counts * np.asarray(w)).astype(int)) for w in (p, q)]
    shared = dj.pmf(jnp.log(p), jnp.log(q))
    js, tv = float(dj.jensen_shannon(shared)), float(dj.total_variation(shared))
    assert critic.saturating.critic(*rows) == pytest.approx(math.log(4.0) - 2.0 * js, abs=2e-3)
    assert critic.non_saturating.critic(*rows) == critic.saturating.critic(*rows)
    assert critic.f_gan(critic.DUALS["gan"]).critic(*rows) == pytest.approx(float(critic.saturating.critic(*rows)))
    assert critic.hinge.critic(*(np.sign(r) for r in rows)) == pytest.approx(2.0 - 2.0 * tv, abs=4e-3)
    shares = [1.0 / (1.0 + np.exp(-r)) for r in rows]
    triangular = float(dj.triangular(shared))
    assert critic.least_squares.critic(*shares) == pytest.approx((2.0 - triangular) / 8.0, abs=1e-3)
    assert critic.wasserstein_1.critic(jnp.array([3.0, 5.0]), jnp.array([1.0, 1.0, 1.0])) == -3.0
    assert critic.wasserstein_1.generator(jnp.array([3.0, 5.0]), jnp.array([1.0, 2.0])) == -1.5
    assert critic.paired.critic(jnp.zeros(3), jnp.zeros(3)) == pytest.approx(math.log(2.0))


@pytest.mark.parametrize("name", critic.DUALS)
def test_sure_critics_give_finite_losses_and_gradients(name):
    dual = critic.DUALS[name]
    sure = jnp.array([60.0, -60.0, 0.0])
    value, slopes = jax.value_and_grad(lambda a, b: critic.variational(a, b, dual=dual), (0, 1))(sure, sure)
    assert np.isfinite(value)
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_bad_input():
    v = jnp.zeros(3)
    with pytest.raises(ValueError, match=r"critic_p of shape \[n\].*got \(3, 1\)"):
        critic.nwj(v[:, None], v)
    with pytest.raises(ValueError, match=r"log-weights of critic_q of shape \(3,\); got \(2,\)"):
        critic.nwj(v, v, log_w_q=jnp.zeros(2))
    with pytest.raises(ValueError, match="f-divergence, a sum over nodes"):
        critic.tangent(v, v, divergence=functools.partial(dj.renyi, alpha=2.0))
    with pytest.raises(ValueError, match=r"scores \[n, n\]"):
        critic.infonce(v)
    with pytest.raises(ValueError, match="as many samples"):
        critic.paired.critic(v, v[:2])
