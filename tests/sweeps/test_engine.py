"""Sweeps against the loop of single runs."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_iterations import Traces, descent, newton

from divjax import run
from divjax.sweeps import product, sweep, zipped
from divjax.training.iteration import Iteration

CASES = product(a=[1.0, 4.0, 9.0, 100.0, 2.0], seed=range(3))
DIMS = {"params.powers": ("power",)}


def same(table, other):
    for name in table.variables:
        np.testing.assert_array_equal(table[name].values, other[name].values, err_msg=name)


@pytest.fixture(scope="module")
def table():
    return sweep({"newton": newton(), "descent": descent()}, CASES, dims=DIMS)


def test_a_sweep_is_the_loop_of_single_runs(table):
    for name, iteration in {"newton": newton(), "descent": descent()}.items():
        single = jax.jit(lambda case, iteration=iteration: run(iteration, case))
        for a in table.a.values:
            for seed in table.seed.values:
                case = {"a": jnp.float32(a), "seed": jnp.int32(seed)}
                row = table.sel(divergence=name, a=a, seed=seed)
                root = (single(case).params if name == "newton" else single(case)["params"])["root"]
                np.testing.assert_allclose(row["params.root"], root, rtol=3e-7)
                np.testing.assert_allclose(row["params.root"], np.sqrt(a), rtol=1e-6)
                if name == "newton":
                    assert row.steps == single(case).steps
                    assert row.echo == seed


def test_labels_coordinates_and_dtypes(table):
    assert table["params.root"].dims == ("divergence", "a", "seed")
    assert table["params.powers"].dims == ("divergence", "a", "seed", "power")
    assert table.divergence.values.tolist() == ["newton", "descent"]
    assert table.a.values.tolist() == [1, 4, 9, 100, 2]
    assert table.a.dtype == np.float32
    assert table.seed.dtype == np.int32
    assert {"divjax", "jax", "dtype", "config", "fingerprint"} == set(table.attrs)
    assert table.attrs["dtype"] == "float32"


def test_what_an_iteration_lacks_is_visibly_absent(table):
    assert np.isnan(table.gap.sel(divergence="newton")).all()
    assert np.isfinite(table.gap.sel(divergence="descent")).all()
    assert (table.steps.sel(divergence="descent") == -1).all()
    assert table.steps.dtype == np.int32


@pytest.mark.parametrize("chunk_size", [1, 4, 6, 15])
def test_chunks_and_padding_leave_no_trace(table, chunk_size):
    traces = Traces()
    chunked = sweep({"newton": newton(traces), "descent": descent()}, CASES, dims=DIMS, chunk_size=chunk_size)
    assert traces.count == 1
    assert chunked.attrs == table.attrs
    np.testing.assert_array_equal(chunked.steps, table.steps)
    np.testing.assert_allclose(chunked["params.root"], table["params.root"], rtol=3e-7)


def test_zipped_axes_pytrees_and_vectors_become_coordinates():
    last = Iteration(
        lambda case: jnp.int32(0),
        lambda state, case: state + 1,
        lambda state: state >= 1,
        lambda state, case: case["weights"] @ case["direction"] + case["model"]["shift"],
    )
    cases = product(
        problem=zipped(weights=np.eye(2), scale=[1.0, 2.0]),
        direction=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        model={"shift": [0.0, 10.0]},
    )
    table = sweep({"last": last}, cases, dims={"weights": ("component",)}, dim="method")
    assert table.value.dims == ("method", "problem", "direction", "model")
    np.testing.assert_array_equal(table.value[0, :, :, 0], [[1, 3, 5], [2, 4, 6]])
    np.testing.assert_array_equal(table.value[0, :, :, 1], [[11, 13, 15], [12, 14, 16]])
    assert table.weights.dims == ("problem", "component")
    assert table.scale.dims == ("problem",)
    assert table["direction.value"].dims == ("direction", "direction.value_0")
    assert table["model.shift"].dims == ("model",)
    alone = sweep({"last": last}, zipped(weights=np.eye(2), direction=np.eye(2), model={"shift": [0.0, 1.0]}))
    np.testing.assert_array_equal(alone.value, [[1, 2]])
    assert alone.value.dims == ("divergence", "case")


def test_double_precision(x64):
    table = sweep({"newton": newton(tolerance=1e-14)}, product(a=[2.0], seed=[2**40]))
    assert table["params.root"].dtype == np.float64
    assert abs(table["params.root"].item() - 2**0.5) < 1e-15
    assert table.seed.item() == 2**40


def test_progress_counts_fits_and_is_quiet_without_a_terminal(capfd):
    calls = []
    sweep({"n": newton(), "d": descent()}, CASES, chunk_size=6, progress=lambda *call: calls.append(call))
    assert calls == [(0, 30), (6, 30), (12, 30), (15, 30), (21, 30), (27, 30), (30, 30)]
    sweep({"d": descent()}, CASES, progress=True)
    assert capfd.readouterr() == ("", "")


def changed(**parts):
    return {"newton": newton(), "other": descent()._replace(**parts)}


def grows():
    return Iteration(
        lambda c: {"n": jnp.int32(0)}, lambda s, c: {"n": s["n"] * 0.5}, lambda s: s["n"] > 3, lambda s, c: s
    )


REFUSED = {
    "at least one iteration": lambda: sweep({}, CASES),
    "everywhere": lambda: sweep(changed(result=lambda s, c: {"steps": s[0]}), CASES),
    "unlike the axes": lambda: sweep(changed(result=lambda s, c: {"a": s[0]}), CASES),
    "different names": lambda: sweep(changed(result=lambda s, c: {"x/y": s[0]}), CASES),
    "new name for dim": lambda: sweep({"d": descent()}, CASES, dim="a"),
    "Correct the names": lambda: sweep({"d": descent()}, CASES, dims={"typo": ()}),
    "Expected 0 names": lambda: sweep({"d": descent()}, CASES, dims={"gap": ("x",)}),
    "length 3 along 'k'; got 5": lambda: sweep(
        {"d": descent()._replace(result=lambda s, c: {"u": jnp.ones(3), "v": jnp.ones(5)})},
        CASES,
        dims={"u": ("k",), "v": ("k",)},
    ),
    "a store can hold; got \\['_sweep'\\]": lambda: sweep(changed(result=lambda s, c: {"_sweep": s[0]}), CASES),
    "a store can hold; got \\['a/b'\\]": lambda: sweep({"d": descent()}, CASES, dim="a/b"),
    "different dimensions": lambda: sweep(changed(result=lambda s, c: {"m": jnp.ones(3)}), CASES, dims={"m": ("a",)}),
    "state\\['n'\\]": lambda: sweep({"s": grows()}, CASES),
    "one truth value": lambda: sweep({"d": descent()._replace(done=lambda s: s)}, CASES),
    "tile >= 1": lambda: sweep({"d": descent()}, CASES, tile=0),
    "that differ in float32": lambda: sweep({"d": descent()}, product(a=np.array([1.0, 1.0 + 1e-12]))),
    "chunk_size >= 1": lambda: sweep({"d": descent()}, CASES, chunk_size=0),
    "config of numbers": lambda: sweep({"d": descent()}, CASES, config={"f": print}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_is_wrong(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("name: Iteration", lambda: sweep(descent(), CASES)),
        ("name: Iteration", lambda: sweep({"d": print}, CASES)),
        ("dj.sweeps.product or dj.sweeps.zipped; got dict", lambda: sweep({"d": descent()}, {"a": [1.0]})),
        ("tile to be an integer; got 2.5", lambda: sweep({"d": descent()}, CASES, tile=2.5)),
        ("chunk_size to be an integer", lambda: sweep({"d": descent()}, CASES, chunk_size="3")),
        ("Write \\('mode',\\)", lambda: sweep({"d": descent()}, CASES, dims={"gap": "mode"})),
    ],
)
def test_refusals_of_another_kind(message, refused):
    with pytest.raises(TypeError, match=message):
        refused()


@pytest.mark.slow
def test_the_fingerprint_knows_values_dtypes_names_and_settings():
    def mark(cases=CASES, name="d", **options):
        return sweep({name: descent()}, cases, **options).attrs["fingerprint"]

    marks = [
        mark(),
        mark(name="e"),
        mark(product(a=[1.0, 4.0, 9.0, 100.0, 3.0], seed=range(3))),
        mark(product(a=[1.0, 4.0, 9.0, 100.0, 2.0], seed=[0.0, 1.0, 2.0])),
        mark(dim="method"),
        mark(config={"tolerance": 1e-3}),
        mark(config={"tolerance": np.float64(1e-4)}),
        mark(config={"weights": jnp.ones(2)}),
        mark(config={"weights": jnp.zeros(2)}),
    ]
    assert len(set(marks)) == len(marks)
    assert mark(chunk_size=4, config={}) == marks[0]


@pytest.mark.slow
def test_a_million_lanes_cost_little_more_than_one():
    still = Iteration(lambda c: c["x"] + c["y"], lambda s, c: s, lambda s: jnp.array(1) > 0, lambda s, c: s)
    table = sweep({"still": still}, product(x=np.arange(1000), y=np.arange(1000)))
    np.testing.assert_array_equal(table.value[0], np.add.outer(np.arange(1000), np.arange(1000)))


def test_importing_the_engine_imports_no_table_library():
    code = "import sys, divjax.sweeps; print([m for m in ('xarray', 'zarr', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_axis_that_nothing_reads_is_named():
    """A misspelt name of it, usually. Read by a derived result alone, or by one of two iterations, it is read."""
    first = Iteration(lambda case: case["a"], lambda state, _: state, lambda _: True, lambda state, _: {"x": state})
    both = first._replace(result=lambda state, case: {"x": state + case["b"]})
    cases = product(a=[1.0, 2.0], b=[3.0])
    with pytest.warns(UserWarning, match="No iteration reads 'b' of the cases"):
        sweep({"first": first}, cases)
    sweep({"first": first, "both": both}, cases)
    sweep({"first": first}, cases, derive=lambda result, case: {"y": result["x"] * case["b"]})
