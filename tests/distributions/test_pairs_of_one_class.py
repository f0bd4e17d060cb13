"""Two members of one class, where a value or a gradient was wrong once: benchmarks/matrix.py has the others."""

import distrax
import jax
import jax.numpy as jnp
import pytest

import divjax as dj


def moving_end(loc, scale):
    """A logit-normal variable stretched to (0, scale): an infinite end is mapped to one that moves."""
    map_ = distrax.Chain([distrax.ScalarAffine(0.0, scale), distrax.Sigmoid()])
    return distrax.Transformed(distrax.Normal(loc, scale), map_)


def test_next_to_an_end_that_infinity_is_mapped_to():
    with jax.enable_x64(True):  # noqa: FBT003
        p, q = moving_end(0.3, 1.4), moving_end(0.22, 1.33)
        assert dj.kl(p, q) == jnp.inf
        assert dj.jensen_shannon(p, q) == pytest.approx(0.01757915664, abs=1e-10)
