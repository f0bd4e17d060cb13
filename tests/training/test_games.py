"""Games whose trajectories are known by hand: the bilinear game, Dirac-GAN, and one in which only one player moves."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import divjax as dj

RATE = 0.1


def start(case):
    return dj.Start(case["x"], case["y"], jax.random.key(0))


def bilinear(**options):
    """The critic raises x y, the generator lowers it: v = (−y, x), a rotation about the origin."""
    sgd = optax.sgd(RATE)
    options = {"rounds": 1, "steps": 20} | options
    return dj.game(lambda x, y, key, case: -x * y, lambda x, y, key, case: x * y, start, sgd, sgd, **options)


def growth(iteration, steps=20):
    """By how much a step changes the distance to the origin."""
    end = dj.run(iteration, {"x": jnp.float32(0.6), "y": jnp.float32(-0.8)})
    assert int(end.steps) == steps
    assert int(end.status) == 0
    return float(jnp.hypot(*end.players)) ** (1 / steps)


def test_simultaneous_steps_spiral_outwards():
    assert growth(bilinear(simultaneous=True)) == pytest.approx(np.sqrt(1 + RATE**2), rel=1e-6)


def test_alternating_steps_stay_on_an_ellipse():
    """x² + y² − rate·x·y is conserved: the step is area-preserving and conjugate to a rotation."""
    end = dj.run(bilinear(steps=1000), {"x": jnp.float32(0.6), "y": jnp.float32(-0.8)}).players
    x, y = map(float, end)
    invariants = [a * a + b * b + s * RATE * a * b for a, b in ((0.6, -0.8), (x, y)) for s in (1, -1)]
    assert min(abs(invariants[0] - invariants[2]), abs(invariants[1] - invariants[3])) < 1e-4


def test_extragradient_contracts():
    expected = np.sqrt((1 - RATE**2) ** 2 + RATE**2)
    assert growth(bilinear(simultaneous=True, extragradient=True)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("adjust", [dj.training.consensus(0.7), dj.training.symplectic(0.7)], ids=["all", "rotation"])
def test_corrections_contract_a_rotation(adjust):
    """J is antisymmetric: Jᵀv = Aᵀv points away from the origin, and pulls in."""
    expected = np.sqrt((1 - 0.7 * RATE) ** 2 + RATE**2)
    assert growth(bilinear(simultaneous=True, adjust=adjust)) == pytest.approx(expected, rel=1e-6)


def test_what_has_no_rotation_needs_no_symplectic_correction():
    """Two players with losses x² + x y and y² + x y: J is symmetric, A = 0; consensus adds Jᵀv."""
    jacobian = np.array([[2.0, 1.0], [1.0, 2.0]])

    def field(players):
        x, y = players
        return dj.training.Players(2 * x + y, 2 * y + x), dj.training.Players(x * x + x * y, y * y + x * y)

    at = dj.training.Players(jnp.float32(0.3), jnp.float32(-1.1))
    v = jacobian @ np.array([0.3, -1.1])
    plain, _ = dj.training.symplectic()(field)(at)
    pulled, losses = dj.training.consensus(0.5)(field)(at)
    np.testing.assert_allclose(plain, v, rtol=1e-6)
    np.testing.assert_allclose(pulled, v + 0.5 * jacobian.T @ v, rtol=1e-6)
    np.testing.assert_allclose(losses, [0.09 - 0.33, 1.21 - 0.33], rtol=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sign_of_the_symplectic_correction_turns_at_unstable_points(sign):
    """v = sign·z + 3·rotated z. At (5, 0): v = (5 sign, 15), Aᵀv = (45, −15 sign), Jᵀv = (50, 0) (Balduzzi et al. 2018,
    section 4): the correction points towards the origin if that is stable, away if not."""

    def field(players):
        x, y = players
        return dj.training.Players(sign * x - 3.0 * y, sign * y + 3.0 * x), dj.training.Players(x, y)

    at = dj.training.Players(jnp.float32(5.0), jnp.float32(0.0))
    adjusted, _ = dj.training.symplectic()(field)(at)
    np.testing.assert_allclose(adjusted, [sign * (5.0 + 45.0), 15.0 - 15.0], atol=1e-4)
    always, _ = dj.training.symplectic(align=False)(field)(at)
    np.testing.assert_allclose(always, [sign * 5.0 + 45.0, 15.0 - 15.0 * sign], atol=1e-4)


def dirac(penalty, **options):
    """Mescheder, Geiger, Nowozin (2018): data at 0, the generator at y, a linear critic of slope x."""

    def critic_loss(x, y, key, case):
        return jax.nn.softplus(x * y) + jnp.log(2.0) + 0.5 * penalty * x**2

    def generator_loss(x, y, key, case):
        return -jax.nn.softplus(x * y)

    sgd = optax.sgd(RATE)
    return dj.game(critic_loss, generator_loss, start, sgd, sgd, simultaneous=True, **options)


def test_dirac_gan_circles_and_a_penalty_ends_that():
    case = {"x": jnp.float32(0.0), "y": jnp.float32(1.0)}
    plain = dj.run(dirac(0.0, rounds=1, steps=3000), case)
    penalised = dj.run(dirac(1.0, rounds=1, steps=3000), case)
    assert float(jnp.hypot(*plain.players)) > 1.0
    assert float(jnp.hypot(*penalised.players)) < 1e-4


def test_a_game_that_one_plays_is_a_fit():
    """Adam on the generator's loss alone; the critic's has no gradient."""
    loss = lambda y: jnp.sum((y - jnp.arange(3.0)) ** 4)  # noqa: E731
    adam = optax.adam(0.05)
    alone = dj.run(dj.fit(lambda y, case: loss(y), jnp.ones(3), adam, max_steps=60, tol=0.0))
    init = lambda case: dj.Start(jnp.float32(1.0), jnp.ones(3), jax.random.key(1))  # noqa: E731
    losses = lambda x, y, key, case: 0.0 * x, lambda x, y, key, case: loss(y)
    played = dj.run(dj.game(*losses, init, adam, adam, rounds=3, steps=20))
    np.testing.assert_allclose(played.players.generator, alone.params, rtol=1e-6)
    assert float(played.players.critic) == 1.0
    assert int(played.steps) == 60


def test_the_average_is_uniform_at_first_and_exponential_then():
    """The generator goes up by RATE a step: its path is known."""
    losses, sgd = (lambda x, y, key, case: 0.0 * x, lambda x, y, key, case: -y), optax.sgd(RATE)
    climb = dj.game(*losses, start, sgd, sgd, rounds=1, steps=30, ema=0.9)
    average = float(dj.run(climb, {"x": jnp.float32(0), "y": jnp.float32(0)}).average)
    expected = 0.0
    for t in range(30):
        expected += max(0.1, 1 / (t + 1)) * (RATE * (t + 1) - expected)
    assert average == pytest.approx(expected, rel=1e-5)


def test_the_starting_critic_is_projected_too():
    begun = bilinear(project=lambda x: jnp.minimum(x, 0.25)).init({"x": jnp.float32(0.6), "y": jnp.float32(-0.8)})
    assert float(begun.players.critic) == 0.25


@pytest.mark.parametrize("name", ["consensus", "symplectic"])
def test_an_adjustment_that_was_not_called_says_so(name):
    with pytest.raises(TypeError, match=rf"Write adjust={name}\(1.0\)"):
        growth(bilinear(simultaneous=True, adjust=getattr(dj.training, name)))


def test_critic_steps_projection_and_evaluation():
    """The critic climbs by RATE at each of its steps and is held at 1.05; what is evaluated is kept round by round."""
    count = dj.game(lambda x, y, key, case: -x, lambda x, y, key, case: 0.0 * y, start, optax.sgd(RATE),
                    optax.sgd(RATE), rounds=3, steps=2, critic_steps=2,
                    project=lambda x: jnp.minimum(x, 1.05),
                    evaluate=lambda x, y, key, case: {"x": x, "twice": 2 * y, "n": jnp.int32(7)})  # fmt: skip
    end = dj.run(count, {"x": jnp.float32(0), "y": jnp.float32(3)})
    np.testing.assert_allclose(end.trace["x"], [0.4, 0.8, 1.05], rtol=1e-6)
    np.testing.assert_allclose(end.trace["twice"], 6.0)
    assert end.trace["n"].tolist() == [7, 7, 7]
    np.testing.assert_allclose(end.losses.critic, [-0.2, -0.6, -0.975], rtol=1e-5)


@pytest.mark.parametrize("simultaneous", [False, True])
def test_fresh_draws_at_every_step(simultaneous):
    """Each loss tells its key: none is met twice, except by the two players of a simultaneous step."""
    told = []

    def tell(key):
        jax.debug.callback(lambda data: told.append(tuple(data.tolist())), jax.random.key_data(key))

    def loss(x, y, key, case):
        tell(key)
        return x * y

    sgd = optax.sgd(0.0)
    dj.run(
        dj.game(loss, loss, start, sgd, sgd, rounds=2, steps=3, critic_steps=2, simultaneous=simultaneous),
        {"x": jnp.float32(1), "y": jnp.float32(1)},
    )
    jax.effects_barrier()
    assert len(told) == 2 * 3 * 3
    assert len(set(told)) == 2 * 3 * (2 if simultaneous else 3)


def poisoned(case_steps=4):
    """The generator goes up by RATE a step; at ``limit`` the critic's loss is NaN."""

    def critic_loss(x, y, key, case):
        return jnp.where(y > case["limit"], jnp.nan, x)

    losses, sgd = (critic_loss, lambda x, y, key, case: -y), optax.sgd(RATE)
    return dj.game(*losses, start, sgd, sgd, rounds=5, steps=case_steps, evaluate=lambda x, y, key, case: y)


def test_nan_in_one_player_stops_both_and_says_when():
    cases = {"x": jnp.zeros(3), "y": jnp.zeros(3), "limit": jnp.array([100.0, 0.95, -1.0])}
    ends = jax.jit(jax.vmap(lambda case: dj.run(poisoned(), case)))(cases)
    assert ends.status.tolist() == [0, 2, 2]
    assert ends.steps.tolist() == [20, 10, 0]
    np.testing.assert_allclose(ends.players.generator, [2.0, 1.0, 0.0], rtol=1e-5)
    assert np.isnan(ends.trace).tolist() == [[False] * 5, [False] * 2 + [True] * 3, [True] * 5]
    alone = dj.run(poisoned(), jax.tree.map(lambda leaf: leaf[0], cases))
    np.testing.assert_array_equal(alone.trace, ends.trace[0])


@pytest.mark.parametrize("simultaneous", [False, True])
def test_nan_in_the_first_of_several_critic_steps_and_what_an_optimiser_would_hide(simultaneous):
    """The critic's loss is NaN at 0, where it starts and where it is not at its next step; and the root's slope is
    infinite there, which clipping turns into a step."""
    hidden = lambda x, y, key, case: x + jax.lax.stop_gradient(jnp.where(x == 0.0, jnp.nan, 0.0))  # noqa: E731
    steep = lambda x, y, key, case: jnp.sqrt(x)  # noqa: E731
    clipped = optax.chain(optax.clip(1.0), optax.sgd(RATE))
    for loss in (hidden, steep):
        options = {"rounds": 1, "steps": 3, "critic_steps": 2, "simultaneous": simultaneous}
        iteration = dj.game(loss, lambda x, y, key, case: y, start, clipped, clipped, **options)
        end = dj.run(iteration, {"x": jnp.float32(0), "y": jnp.float32(1)})
        assert (int(end.status), int(end.steps), float(end.players.critic)) == (2, 0, 0.0)


def test_keys_of_data_noise_and_penalty_are_three():
    told = []

    def tell(key):
        jax.debug.callback(lambda data: told.append(tuple(data.tolist())), jax.random.key_data(key))
        return key

    losses = dj.adversarial_losses(
        dj.critic.wasserstein_1,
        lambda params, x: params * x[:, 0],
        lambda key, case: jax.random.normal(tell(key), (4, 1)),
        lambda g, key, case: jax.random.normal(tell(key), (4, 1)),
        penalty=lambda key, v, x_p, x_q: 0.0 * jax.random.uniform(tell(key)),
    )
    key = jax.random.key(3)
    losses.critic(jnp.float32(1), jnp.float32(1), key, None)
    jax.effects_barrier()
    assert len(set(told)) == 3
    assert tuple(jax.random.key_data(key).tolist()) not in told


def test_narrow_parameters_and_optimisers_that_want_the_loss():
    bf16 = lambda case: dj.Start(jnp.ones(2, jnp.bfloat16), jnp.ones((), jnp.bfloat16), jax.random.key(0))  # noqa: E731
    losses = dj.training.Players(lambda x, y, key, case: jnp.sum(x**2) * y, lambda x, y, key, case: y * jnp.sum(x))
    losses = dj.training.unrolled(losses, 2, jnp.float32(0.1))
    options = {"rounds": 1, "steps": 4, "ema": 0.5, "project": lambda x: x / jnp.linalg.norm(x.astype(jnp.float32))}
    iteration = dj.game(*losses, bf16, optax.polyak_sgd(0.1), optax.adam(1e-2), **options)
    end = dj.run(iteration)
    assert int(end.status) == 0
    assert end.players.critic.dtype == end.average.dtype == jnp.bfloat16


def test_a_step_after_the_end_changes_nothing():
    iteration, case = bilinear(rounds=2), {"x": jnp.float32(1), "y": jnp.float32(1)}
    state = iteration.init(case)
    for _ in range(2):
        state = iteration.step(state, case)
    assert bool(iteration.done(state))
    after = iteration.step(state, case)

    def same(a, b):
        keys = jnp.issubdtype(a.dtype, jax.dtypes.prng_key)
        return bool(jnp.array_equal(*map(jax.random.key_data, (a, b))) if keys else jnp.array_equal(a, b))

    assert all(map(same, jax.tree.leaves(state), jax.tree.leaves(after)))


def test_games_are_swept():
    cases = dj.product(x=np.float32([0.1, 0.5]), y=np.float32([1.0, 2.0, 3.0]))
    table = dj.sweep({"bilinear": bilinear(simultaneous=True, rounds=2, steps=5)}, cases)
    assert table["players.critic"].shape == (1, 2, 3)
    radius = np.hypot(table["players.critic"], table["players.generator"])[0]
    expected = np.hypot(*np.meshgrid([0.1, 0.5], [1.0, 2.0, 3.0], indexing="ij")) * (1 + RATE**2) ** 5
    np.testing.assert_allclose(radius, expected, rtol=1e-5)


def test_unrolling_differentiates_through_the_critics_answer():
    """Critic loss ½ (x − y)², so that k steps of rate r lead from x to y + (1 − r)ᵏ (x − y); generator loss x·y."""
    losses = dj.training.Players(lambda x, y, key, case: 0.5 * (x - y) ** 2, lambda x, y, key, case: x * y)
    _, generator_loss = dj.training.unrolled(losses, 3, 0.2)
    x, y, left = 0.7, -0.4, 0.8**3
    key = jax.random.key(0)
    value, slope = jax.value_and_grad(generator_loss, argnums=1)(jnp.float32(x), jnp.float32(y), key, None)
    assert float(value) == pytest.approx((y + left * (x - y)) * y, rel=1e-5)
    assert float(slope) == pytest.approx(2 * y * (1 - left) + left * x, rel=1e-5)
    with pytest.raises(ValueError, match=r"num >= 1"):
        dj.training.unrolled(losses, 0, 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds to be an integer >= 1; got 0"),
        ({"rounds": 2.5}, "rounds to be an integer >= 1; got 2.5"),
        ({"steps": 0}, "steps to be an integer >= 1"),
        ({"critic_steps": 0}, "critic_steps to be an integer >= 1"),
        ({"ema": 1.0}, r"ema in \[0, 1\)"),
        ({"extragradient": True}, "simultaneous=True with extragradient"),
        ({"adjust": dj.training.consensus()}, "simultaneous=True with adjust"),
    ],
)
def test_options_that_make_no_game(options, message):
    with pytest.raises(ValueError, match=message):
        bilinear(**options)


def test_losses_and_starts_that_make_no_game():
    sgd, case = optax.sgd(0.1), {"x": jnp.float32(1), "y": jnp.float32(1)}
    good = lambda x, y, key, case: x * y  # noqa: E731
    vector = dj.game(good, lambda x, y, key, case: jnp.stack([x, y]), start, sgd, sgd, rounds=1)
    with pytest.raises(TypeError, match=r"scalar from generator_loss.*\(2,\)"):
        dj.run(vector, case)
    with pytest.raises(TypeError, match=r"Start\(critic, generator, key\)"):
        dj.run(dj.game(good, good, lambda case: (1.0, 1.0), sgd, sgd, rounds=1), case)
    with pytest.raises(TypeError, match="init to be a function; got Start"):
        dj.game(good, good, dj.Start(1.0, 1.0, jax.random.key(0)), sgd, sgd, rounds=1)
    with pytest.raises(TypeError, match="floating-point"):
        dj.run(dj.game(good, good, lambda case: dj.Start(1, 1.0, jax.random.key(0)), sgd, sgd, rounds=1), case)
