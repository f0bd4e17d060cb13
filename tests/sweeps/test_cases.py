"""Cases against itertools, and every refusal."""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax.sweeps import product, take, zipped
from divjax.sweeps.cases import canonical, chunk_shape, grid, indices, regions


class Normal(NamedTuple):
    loc: np.ndarray
    scale: np.ndarray


def test_product_runs_through_every_combination_with_the_last_axis_fastest():
    cases = product(a=[1.0, 2.0], b=range(3), c=(True, False))
    assert (cases.dims, cases.shape, cases.size) == (("a", "b", "c"), (2, 3, 2), 12)
    rows = take(cases, np.arange(12))
    expected = list(itertools.product([1.0, 2.0], range(3), (True, False)))
    assert list(zip(*(rows[name].tolist() for name in "abc"), strict=True)) == expected


def test_zipped_columns_stay_together_inside_a_product():
    weights, scales = np.eye(3), [1.0, 2.0, 3.0]
    cases = product(problem=zipped(weights=weights, scales=scales), seed=jnp.arange(4))
    assert (cases.dims, cases.shape) == (("problem", "seed"), (3, 4))
    case = take(cases, np.array([9]))
    np.testing.assert_array_equal(case["weights"], [[0, 0, 1]])
    assert case["scales"] == 3.0
    assert case["seed"] == 1
    assert jnp.issubdtype(case["seed"].dtype, jnp.integer)


def test_an_axis_may_be_a_pytree():
    cases = product(p=Normal(np.zeros(2), np.ones((2, 3))), q={"loc": [1, 2]})
    case = take(cases, np.array([1, 2]))
    assert case["p"].scale.shape == (2, 3)
    np.testing.assert_array_equal(case["q"]["loc"], [2, 1])


def test_canonical_follows_the_precision_and_never_wraps_an_integer():
    cases = product(x=np.array([0.1, np.nan]), seed=np.array([2**40, 1]))
    with pytest.raises(ValueError, match="fit int32"):
        canonical(cases)
    assert take(canonical(product(x=[0.1])), np.arange(1))["x"].dtype == np.float32


def test_canonical_keeps_double_precision(x64):
    case = take(canonical(product(x=[0.1], seed=[2**40])), np.arange(1))
    assert (case["x"].dtype, case["seed"].dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("shape", [(7,), (1,), (3, 5), (5, 3, 4), (1, 9), (2, 1, 3, 2)])
@pytest.mark.parametrize("num", [1, 2, 4, 6, 13, 1000])
def test_boxes_tile_the_grid_once_in_flat_order(shape, num):
    chunk = chunk_shape(shape, num)
    lanes = math.prod(chunk)
    assert lanes <= num
    boxes = list(regions(shape, chunk))
    assert len(boxes) == math.prod(grid(shape, chunk))
    flat = np.arange(math.prod(shape)).reshape(shape)
    parts = [flat[box].ravel() for box in boxes]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(flat.size))
    for box, part in zip(boxes, parts, strict=True):
        padded = indices(box, shape, lanes)
        np.testing.assert_array_equal(padded, np.concatenate([part, np.full(lanes - len(part), part[-1])]))


REFUSED = {
    "at least one axis": lambda: product(),
    "at least one column": lambda: zipped(),
    "one positive length.*lengths \\[0\\]": lambda: product(a=[]),
    "one positive length.*lengths \\[\\]": lambda: product(a={}),
    "one positive length.*lengths \\[2, 3\\]": lambda: product(a={"x": np.ones(2), "y": np.ones(3)}),
    "columns of one length": lambda: zipped(a=[1, 2], b=[1, 2, 3]),
    "scalar": lambda: product(a=1.0),
    "dtype <U1": lambda: product(a=["x"]),
    "typed keys": lambda: product(a=jax.random.split(jax.random.key(0), 2)),
    "got 'b' along both": lambda: product(a=zipped(b=[1]), b=[1]),
    "got 'c' along both": lambda: product(a=zipped(c=[1]), b=zipped(c=[1])),
    "got a product over": lambda: product(a=product(b=[1], c=[1])),
    "chunk_size >= 1": lambda: chunk_shape((3,), 0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_is_wrong(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
