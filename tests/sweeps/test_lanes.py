"""Lanes: whoever is done makes room, and nobody notices."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_iterations import newton

from divjax import run
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep, zipped
from divjax.training.iteration import Iteration

COUNTS = np.random.default_rng(0).geometric(0.1, 3000).astype(np.int32)
COUNTS[::700] = 1000


def stops(width=4):
    """As many steps as the case says, each a mean over a grid, as quadrature takes it, with a key in the state."""
    grid = jnp.linspace(0.0, 3.0, width)

    def step(state, case):
        key, x, count = state
        return jax.random.fold_in(key, count), jnp.sin(x + grid).mean() + 0.1 * x, count + 1

    return Iteration(
        lambda case: (jax.random.key(case["num"]), 0.01 * case["num"], -case["num"]),
        step,
        lambda state: state[2] >= 0,
        lambda state, case: {"x": state[1], "steps": case["num"] + state[2], "bits": jax.random.key_data(state[0])[0]},
    )


def equal(table, other):
    for name in table.data_vars:
        np.testing.assert_array_equal(table[name].values, other[name].values, err_msg=name)


@pytest.mark.parametrize("options", [{}, {"tile": 16, "chunk_size": 128}, {"tile": 48, "chunk_size": 1000}])
def test_every_case_gets_its_own_steps(options):
    table = sweep({"stops": stops()}, zipped(num=COUNTS), **options)
    single = jax.jit(jax.vmap(lambda num: run(stops(), {"num": num})))(COUNTS)
    np.testing.assert_array_equal(table.steps[0], COUNTS)
    np.testing.assert_array_equal(table.bits[0], single["bits"])
    np.testing.assert_allclose(table.x[0], single["x"], rtol=1e-6)
    assert not table.quarantined.any()


def test_a_case_of_no_steps():
    table = sweep({"stops": stops()}, zipped(num=np.zeros(5, np.int32)))
    np.testing.assert_array_equal(table.steps[0], 0)


def test_the_order_of_the_cases_is_the_order_of_the_results_whatever_the_company():
    forth = sweep({"stops": stops(3)}, zipped(num=COUNTS), tile=32, chunk_size=500)
    back = sweep({"stops": stops(3)}, zipped(num=COUNTS[::-1]), tile=32, chunk_size=500)
    equal(forth, back.isel(case=slice(None, None, -1)))


def wanders(healthy=()):
    """Halves x until it is small; at x = 1 a root goes wrong. Nothing else would ever stop it."""
    base = newton()

    def step(x, case):
        return jnp.where((case["a"] < 0) & (x <= 1.0), jnp.sqrt(-x), x * 0.5)

    parts = (lambda case: jnp.float32(16.0), step, lambda x: x < 1e-3, lambda x, case: {"x": x})
    return (
        Iteration(*parts, *healthy)
        if healthy
        else base._replace(init=parts[0], step=step, done=parts[2], result=parts[3])
    )


def test_a_lane_that_becomes_nan_keeps_its_last_state_and_is_flagged():
    a = np.ones(100, np.float32)
    a[[3, 50]] = -1.0
    table = sweep({"wanders": wanders()}, zipped(a=a))
    assert np.flatnonzero(table.quarantined[0]).tolist() == [3, 50]
    np.testing.assert_array_equal(table.x[0, [3, 50]], 1.0)
    np.testing.assert_array_equal(np.delete(table.x.values[0], [3, 50]), np.float32(16 * 0.5**14))


def test_an_iteration_may_say_what_healthy_means_or_that_it_sees_to_it():
    cases = zipped(a=np.ones(3, np.float32))
    strict = sweep({"w": wanders((lambda x: x > 3.0,))}, cases)
    assert strict.quarantined.all()
    np.testing.assert_array_equal(strict.x, 4.0)
    own = sweep({"w": wanders((None,))}, cases)
    assert "quarantined" not in own


def fits(separation, seed):
    cases = zipped(separation=separation, seed=seed)
    return sweep({"reverse_kl": two_modes.iteration("reverse_kl")}, cases, chunk_size=1024)


@pytest.mark.slow
def test_fits_do_not_notice_a_neighbour_of_nan_or_any_other():
    separation, seed = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 16, 33, dtype="f4"), np.arange(64)))
    seed = seed.astype(np.int32)
    clean = fits(separation, seed)
    assert (clean.status == 0).all()
    spoilt = separation.copy()
    spoilt[1000] = np.nan
    others = np.delete(np.arange(2112), 1000)
    sick = fits(spoilt, seed)
    equal(clean.isel(case=others), sick.isel(case=others))
    assert sick.status[0, 1000] == 2
    mixed = np.random.default_rng(1).permutation(2112)
    equal(clean.isel(case=mixed), fits(separation[mixed], seed[mixed]))


DEVICES = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])
import numpy as np, jax
sys.path.insert(0, {tests!r})
from divjax.studies.two_modes import study as two_modes
from divjax.sweeps import product, sweep
from divjax.sweeps.devices import shares
from test_lanes import COUNTS, stops, zipped
assert jax.local_device_count() == {devices}
assert shares(500, 16) == min({cores}, len(os.sched_getaffinity(0)))
parts = {{
    "stops": sweep({{"stops": stops(3)}}, zipped(num=COUNTS[:1100]), tile=16, chunk_size=500),
    "fits": sweep(
        {{"reverse_kl": two_modes.iteration("reverse_kl")}},
        product(separation=np.linspace(0, 16, 5, dtype="f4"), seed=np.arange(41)),
        derive=lambda r, c: {{"twice": 2 * r["loc"]}},
        store={store!r}, chunk_size=100, tile=16,
    ),
}}
np.savez({out!r}, **{{f"{{k}}.{{n}}": v.values for k, t in parts.items() for n, v in t.data_vars.items()}})
"""


@pytest.mark.slow
def test_two_devices_and_two_cores_give_the_bits_of_one(tmp_path):
    found = {}
    for devices, cores in ((1, 1), (1, 2), (2, 2)):
        name = f"{devices}-{cores}"
        paths = {"store": str(tmp_path / f"{name}.zarr"), "out": str(tmp_path / f"{name}.npz")}
        code = DEVICES.format(devices=devices, cores=cores, tests=str(Path(__file__).parent), **paths)
        flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        root = Path(__file__).parents[2]
        environment = os.environ | flags | {"PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment)
        found[name] = dict(np.load(tmp_path / f"{name}.npz"))
    for name, values in found["1-1"].items():
        for other in ("1-2", "2-2"):
            np.testing.assert_array_equal(values, found[other][name], err_msg=f"{name} {other}")


@pytest.mark.slow
def test_cost_follows_the_mean_number_of_steps():
    """Counted: every step that a lane is taken through, also those of lanes that are done or empty."""
    taken = []
    iteration = stops(512)

    def step(state, case):
        jax.debug.callback(lambda _: taken.append(1), state[2])
        return iteration.step(state, case)

    sweep({"stops": iteration._replace(step=step)}, zipped(num=COUNTS))
    jax.effects_barrier()
    assert len(taken) >= COUNTS.sum()
    assert len(COUNTS) * COUNTS.max() > 10 * len(taken)


@pytest.mark.slow
def test_fits_in_chunks_and_tiles_of_another_size():
    cases = product(separation=np.array([0.5, 2.5, 16.0], np.float32), seed=np.arange(40, dtype=np.int32))
    whole, parts = (
        sweep({"reverse_kl": two_modes.iteration("reverse_kl")}, cases, chunk_size=size) for size in (120, 13)
    )
    assert (whole.status == 0).all()
    np.testing.assert_array_equal(whole.status, parts.status)
    np.testing.assert_allclose(parts["loc"], whole["loc"], atol=1e-5)
    np.testing.assert_allclose(np.log(parts["scale"]), np.log(whole["scale"]), atol=1e-5)
