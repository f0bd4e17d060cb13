"""Huszár (2015) by two routes: the generalised JS across its weight, scheduled sampling across its rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax.cli import main
from divjax.studies.huszar import generalised_js, scheduled_sampling
from divjax.studies.huszar.scheduled_sampling import PHRASES, objective, optimum
from divjax.studies.two_modes import study as two_modes


def fitted(weights, separation=6.0, seeds=12):
    cases = dj.product(separation=[separation], weight=weights, seed=np.arange(seeds, dtype=np.int32))
    options = {"derive": two_modes.diagnose((0.5, 0.5), (1.0, 1.0)), "dims": {"mode_mass": ("mode",)}}
    table = dj.sweep({"exact": generalised_js.exact_fit()}, cases, **options)
    return table.isel(divergence=0, separation=0)


def test_the_ends_of_the_weight_are_the_two_kls():
    """Each within a weight's own order of the limit, by quadrature of KL alone."""
    p, q = dj.targets.two_modes(2.0), dj.models.normal({"loc": 0.5, "log_scale": 0.3})
    nodes = dj.quadrature(p, q)
    for weight, limit in ((1e-3, dj.kl(nodes)), (1.0 - 1e-3, dj.reverse_kl(nodes))):
        np.testing.assert_allclose(generalised_js.normalised(nodes, weight=weight), limit, rtol=5e-3)


def test_the_best_gaussian_turns_from_covering_to_seeking():
    table = fitted([0.05, 0.5, 0.9, 0.98])
    best = [two_modes.optima(table.isel(weight=i))[0] for i in range(4)]
    assert [each.basin < 0 for each in best] == [True, True, True, False]
    for each in best[:3]:
        assert abs(each.loc - 3.0) < 1e-3
    assert abs(best[0].scale - 10.0**0.5) < 0.01  # KL's: the data's own moments
    assert min(abs(best[3].loc), abs(best[3].loc - 6.0)) < 0.05
    assert best[3].unrealistic_rate < 0.5 * best[2].unrealistic_rate


@pytest.mark.slow
def test_the_game_ends_where_quadrature_does():
    exact, games = generalised_js.run((0.05, 0.5, 0.9), 6, separation=3.0, steps=1500)
    for weight in games["weight"].values:
        best = two_modes.optima(exact.sel(weight=weight))
        assert len(best) == 1
        for name, truth in (("loc", best[0].loc), ("scale", best[0].scale)):
            ends = games.sel(weight=weight)[name].values
            assert abs(ends.mean() - truth) < 4.0 * ends.std(ddof=1) / ends.size**0.5 + 0.01, (weight, name)
            assert np.abs(ends - truth).max() < 0.1


def by_hand(q, p, rate):
    """The objective in loops over the steps, in plain numpy."""
    total = 0.0
    for a in range(2):
        total += p[a].sum() * np.log(p[a].sum() / q[a].sum())
        for b in range(2):
            of_q, of_p = q[a, b] / q[a].sum(), p[a, b] / p[a].sum()
            total += rate * p[a, b] * np.log(of_p / of_q)
            total += (1.0 - rate) * q[a].sum() * p[:, b].sum() * np.log(p[:, b].sum() / of_q)
    return total


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_objective_is_the_sum_it_says(rate, x64):
    q = np.array([[0.1, 0.3], [0.4, 0.2]])
    np.testing.assert_allclose(objective(jnp.log(q), PHRASES, rate), by_hand(q, PHRASES, rate), rtol=1e-12)


@pytest.mark.parametrize(("p", "value"), [(np.eye(2) / 2, 0.573115), (np.array([[0.5, 0.5], [0.0, 0.0]]), 1.029550)])
def test_what_the_data_never_do_adds_nothing(p, value):
    """By hand: the terms with p > 0 alone."""
    np.testing.assert_allclose(objective(jnp.log(jnp.array([[0.1, 0.3], [0.4, 0.2]])), p, 0.4), value, rtol=1e-5)


def test_scheduled_sampling_as_it_is_run_has_this_objective_for_its_mean():
    """−log q of the data's steps, the second one conditioned on the data's first or on the model's, drawn."""
    q, rate, num = np.array([[0.1, 0.3], [0.4, 0.2]]), 0.4, 200_000
    rng = np.random.default_rng(0)
    pairs = rng.choice(4, num, p=PHRASES.ravel())
    first, second = pairs // 2, pairs % 2
    own = rng.random(num) >= q[0].sum()
    seen = np.where(rng.random(num) < rate, first, own)
    losses = -np.log(q.sum(1)[first]) - np.log((q / q.sum(1, keepdims=True))[seen, second])
    entropy = lambda p: -np.sum(p * np.log(p))  # noqa: E731
    given = entropy(PHRASES) - entropy(PHRASES.sum(1))
    constant = entropy(PHRASES.sum(1)) + rate * given + (1.0 - rate) * entropy(PHRASES.sum(0))
    expected = float(objective(jnp.log(jnp.asarray(q)), PHRASES, rate)) + constant
    assert abs(losses.mean() - expected) < 4.0 * losses.std() / num**0.5


def test_fits_end_at_the_closed_form_and_at_independence():
    table = scheduled_sampling.run(num_seeds=2)
    assert (table["status"] == 0).all()
    held = table.sel(draw="held")
    expected = np.stack([optimum(PHRASES, rate) for rate in table["rate"].values])
    np.testing.assert_allclose(held["q"].values, np.broadcast_to(expected[:, None], held["q"].shape), atol=3e-5)
    for draw in ("held", "through"):
        factorised = table.sel(draw=draw).isel(rate=0)["q"].values
        np.testing.assert_allclose(
            factorised, np.broadcast_to(np.outer(PHRASES.sum(1), PHRASES.sum(0)), (2, 2, 2)), atol=3e-5
        )
    information = table["mutual_information"].isel(seed=0).values
    assert (np.diff(information, axis=1) > 0.0).all()


def test_differentiating_through_the_draw_goes_lower_and_the_data_are_no_optimum():
    """Improper: at a rate between 0 and 1 the data's own table has a larger objective, and a gradient."""
    table = scheduled_sampling.run(rates=(0.5,), num_seeds=1).isel(rate=0, seed=0)
    held, through = (float(table["value"].sel(draw=draw)) for draw in ("held", "through"))
    at_data = float(objective(jnp.log(PHRASES), PHRASES, 0.5))
    assert through < held < at_data
    gradient = jax.grad(lambda logits: objective(jax.nn.log_softmax(logits.ravel()).reshape(2, 2), PHRASES, 0.5))
    assert np.abs(gradient(jnp.log(PHRASES))).max() > 0.01


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generalised_js.run((0.0,)), "weights in"),
        (lambda: generalised_js.run(()), "at least one weight"),
        (lambda: scheduled_sampling.run(rates=(1.5,)), "rates between 0 and 1"),
        (lambda: scheduled_sampling.run(np.eye(2)), "positive probabilities"),
        (lambda: scheduled_sampling.run(np.ones((2, 2))), "sum to 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    arguments = ["huszar", "--weights", "0.1,0.9", "--seeds", "2", "--steps", "100", "--out", str(tmp_path), "--quiet"]
    for _ in range(2):  # the second reads what the first has left
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert not end.value.code
        out = capsys.readouterr().out
        assert "covers both" in out
        assert "mutual information" in out
    assert {"exact.zarr", "games.zarr", "weights.png", "sequences.png"} == {path.name for path in tmp_path.iterdir()}
