"""The nodes of a rule: two ways to place them."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from divjax.discretize import panels
from divjax.distributions import resolve
from divjax.distributions.density import profile


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nodes_as_matrix_products(num, dtype, x64):
    """Where the kinds of the panels are known while tracing; the general formula serves where they are not."""
    loc, scale = jnp.asarray([-3.0, 0.0, 40.0], dtype), jnp.asarray([1e-3, 1.0, 2.0], dtype)
    parts = distrax.MixtureSameFamily(distrax.Categorical(logits=jnp.zeros(3, dtype)), distrax.Normal(loc, scale))
    grid = panels.lay(profile(resolve(parts)), profile(resolve(distrax.Normal(dtype(0.5), dtype(3.0)))))
    assert isinstance(grid.tail, np.ndarray)
    assert isinstance(grid.graded_left, np.ndarray)
    general = panels.nodes(jax.tree.map(jnp.asarray, grid), num)
    placed = panels.nodes(grid, num)
    for ours, theirs in zip(placed, general, strict=True):
        assert ours.shape == theirs.shape == (num * grid.left.size, panels.ORDER)
        np.testing.assert_allclose(ours, theirs, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)
    assert np.isneginf(placed.log_w).any() == np.isneginf(general.log_w).any()
