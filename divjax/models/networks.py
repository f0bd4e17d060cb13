"""Small networks as pure functions of their parameters: critics and generators."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree


class Layer(NamedTuple):
    """x @ weight + bias."""

    weight: Float[Array, "n m"]
    bias: Float[Array, " m"]


Layers = tuple[Layer, ...]


def init_mlp(key: PRNGKeyArray, sizes: Sequence[int], *, gain: float = 1.0) -> Layers:
    """Random layers of the given sizes, input first: weights uniform with variance gain² · 2/(n + m), biases 0.

    The uniform form of Glorot, Bengio (2010), which keeps the scale of values and gradients through tanh; ``gain`` √2
    does so through relu. Raises ValueError for fewer than two sizes and for a size below 1.

    Examples:
        >>> [layer.bias.shape for layer in dj.models.init_mlp(jax.random.key(0), (2, 16, 1))]
        [(16,), (1,)]
    """
    sizes = tuple(sizes)
    if len(sizes) < 2 or any(size < 1 for size in sizes):
        raise ValueError(f"Expected sizes [input, ..., output], all >= 1; got {sizes}. Pass (2, 64, 64, 1), say.")
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(
        Layer(
            gain * jax.nn.initializers.glorot_uniform()(key, (n, m), jnp.result_type(float)),
            jnp.zeros(m, jnp.result_type(float)),
        )
        for key, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    )


def mlp(
    layers: Layers, x: Float[Array, "*batch n"], *, activation: Callable[[Array], Array] = jnp.tanh
) -> Float[Array, "*batch m"]:
    """Affine maps with an activation between them, none after the last.

    Examples:
        >>> layers = dj.models.init_mlp(jax.random.key(0), (2, 16, 1))
        >>> dj.models.mlp(layers, jnp.zeros((5, 2))).shape
        (5, 1)
    """
    for layer in layers[:-1]:
        x = activation(x @ layer.weight + layer.bias)
    return x @ layers[-1].weight + layers[-1].bias


def residual_mlp(
    layers: Layers, x: Float[Array, "*batch n"], *, activation: Callable[[Array], Array] = jnp.tanh
) -> Float[Array, "*batch m"]:
    """The same layers, where those from a width to the same width add to what they get (He et al. 2016).

    Examples:
        >>> layers = dj.models.init_mlp(jax.random.key(0), (2, 16, 16, 1))
        >>> dj.models.residual_mlp(layers, jnp.zeros((5, 2))).shape
        (5, 1)
    """
    for layer in layers[:-1]:
        new = activation(x @ layer.weight + layer.bias)
        x = x + new if x.shape[-1] == new.shape[-1] else new
    return x @ layers[-1].weight + layers[-1].bias


def from_module(module: Any) -> tuple[PyTree, Callable[..., Any]]:
    """``(params, apply)`` of an ``equinox.Module`` or a ``flax.nnx.Module``: ``apply(params, *args)`` calls it.

    The params are equinox's floating-point arrays, or nnx's ``Param``; whatever else it holds stays as it is, so that a
    layer whose state moves at each call (batch statistics, dropout's counter) keeps the state that it has here. Raises
    TypeError for another kind of object.

    Examples:
        >>> import equinox
        >>> params, apply = dj.models.from_module(equinox.nn.Linear(2, 1, key=jax.random.key(0)))
        >>> float(apply(jax.tree.map(jnp.ones_like, params), jnp.array([1.0, 2.0]))[0])
        4.0
    """
    kinds = {cls.__module__.partition(".")[0] for cls in type(module).__mro__}
    if "equinox" in kinds:
        import equinox

        params, rest = equinox.partition(module, equinox.is_inexact_array)
        return params, lambda params, *args: equinox.combine(params, rest)(*args)
    if "flax" in kinds:
        from flax import nnx

        if isinstance(module, nnx.Module):
            definition, params, rest = nnx.split(module, nnx.Param, ...)
            return params, lambda params, *args: nnx.merge(definition, params, rest, copy=True)(*args)
    raise TypeError(
        f"Expected an equinox or flax.nnx module; got {type(module).__name__}. Pass its apply function and params."
    )
