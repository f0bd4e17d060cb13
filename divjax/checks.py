"""What callers pass to a divergence: checked once, and made arrays of one floating dtype.

Shapes and dtypes are known while tracing and always checked. The value of a parameter is checked where it is
concrete; a traced one is NaN where it would be refused. Values of arrays are never looked at: what is wrong there is a
NaN, and a status.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from divjax.measures import Measure, Points, arrays
from divjax.numerics.calls import described, is_law_like
from divjax.numerics.programs import of_host, seen, warn_of_rounding


def operands(measure: Measure, *params: ArrayLike) -> tuple[Any, ...]:
    """The measure and the parameters, all arrays of one floating dtype, those of the measure flat: ``same_nodes``."""
    named = arrays(measure)
    values = same_nodes({name: value for name, value in named.items() if name != "log_w"}, measure.log_w, *params)
    # One axis: loops over the small last axes of structured nodes would not be vectorised.
    flat = [jnp.ravel(value) if jnp.ndim(value) > 1 else value for value in values[: len(named)]]
    return dataclasses.replace(measure, **dict(zip(named, flat, strict=True))), *values[len(named) :]


def same_nodes(named: Mapping[str, ArrayLike], log_w: ArrayLike = 0.0, *params: ArrayLike) -> tuple[Array, ...]:
    """Arrays at the same nodes, by name, log-weights of the nodes, and parameters: all of one floating dtype.

    At least float32; the arrays of equal shape, log_w of that or a scalar. Raises TypeError for what is no array of
    real numbers, ValueError for a wrong shape, each with the remedy.
    """
    for name, value in (*named.items(), ("log_w", log_w)):
        _check_array(value, name)
    (first, shape), *others = ((name, jnp.shape(value)) for name, value in named.items())
    for name, other in others:
        if other != shape:
            raise ValueError(
                f"Expected {first} and {name} of equal shapes; got {shape} and {other}. Both belong to the same "
                "nodes: broadcast a shared one with jnp.broadcast_to, map over batches with jax.vmap."
            )
    if jnp.shape(log_w) not in ((), shape):
        raise ValueError(
            f"Expected log_w to be a scalar or of the nodes' shape {shape}; got {jnp.shape(log_w)}. "
            "Use jnp.broadcast_to."
        )
    return floating(*named.values(), log_w, *params)


def sample(value: Any, name: str) -> Array:
    """An array of real numbers, of a list or of another library's array too; TypeError for anything else."""
    if isinstance(value, np.ma.MaskedArray) and (masked := np.count_nonzero(np.ma.getmaskarray(value))):
        raise ValueError(
            f"Expected {name} without masked entries; got {masked} of {value.size}. Pass {name}.compressed(), or "
            "dj.Points with a log-weight of −inf where it is masked."
        )
    x = _array(value)
    if x is None:
        raise TypeError(
            f"Expected {name} to be a distribution, or a sample of real numbers; got {_kind(value)}. Pass an array, "
            "dj.Points(x, log_w), or an object of distrax, TFP, numpyro, distreqx, flowjax, efax or scipy.stats."
        )
    return x


def points(value: Any, name: str) -> Array:
    """A sample, as an array of real numbers; TypeError for anything else, a distribution above all."""
    if is_law_like(value):
        raise TypeError(
            f"Expected {name} to be a sample, an array [n, d] or dj.Points; got the distribution "
            f"{type(value).__name__}. Between distributions use dj.kl, dj.wasserstein, dj.energy or another of "
            "dj.table(p, q), or draw a sample of each."
        )
    x = _array(value)
    if x is None:
        raise TypeError(
            f"Expected {name} to be a sample of real numbers; got {_kind(value)}. Pass an array [n, d]; of a "
            "table its columns of numbers, table.to_numpy(float)."
        )
    return x


def both_or_neither(name: str, p: Any, q: Any) -> None:
    """TypeError for a distribution beside a sample."""
    if is_law_like(p) != is_law_like(q) and (hasattr(p, "__array__") or hasattr(q, "__array__")):
        raise TypeError(
            f"Expected two distributions or two samples for {name}; got {described(p)} and {described(q)}. Draw a "
            "sample of the distribution; a distribution and a sample have dj.wasserstein and dj.energy."
        )


def both_laws(name: str, p: Any, q: Any) -> None:
    """TypeError for samples."""
    if any(isinstance(side, Points | list) or hasattr(side, "__array__") for side in (p, q)):
        raise TypeError(
            f"Expected two distributions for {name}; got {described(p)} and {described(q)}. Of samples use "
            "dj.wasserstein(x, y), dj.energy(x, y), dj.mmd2(x, y, kernel=dj.kernels.rbf(1.0)) or dj.samples."
        )


def untraced(name: str, *sides: Any) -> None:
    """TypeError for distributions of traced parameters."""
    if not all(map(is_known, jax.tree.leaves(sides))):
        raise TypeError(
            f"Expected known parameters for {name}, which is of Python's numbers; got traced ones. Call it outside of "
            "jax.jit and jax.grad, or the divergences themselves within."
        )


def key(value: Any) -> Any:
    """One key of JAX's random numbers; TypeError for anything else, ValueError for a batch of them."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", ())
    is_key = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not is_key and not (dtype == jnp.uint32 and shape and shape[-1] in (2, 4)):
        raise TypeError(f"Expected a key of random numbers first; got {_got(value)}. Make one: jax.random.key(0).")
    if (batch := shape if is_key else shape[:-1]) != ():
        raise ValueError(
            f"Expected one key; got a batch of keys of shape {batch}. Use one of them, keys[0], or jax.vmap over keys."
        )
    return value


def _got(value):
    return repr(value) if isinstance(value, int | float | str | None) else described(value)


def _array(value: Any) -> Array | None:
    """An array of real numbers, None for what is none."""
    is_array = isinstance(value, list | tuple) or hasattr(value, "__array__") or hasattr(value, "shape")
    is_traced = isinstance(value, list | tuple) and not all(map(is_known, jax.tree.leaves(value)))
    try:
        x = jnp.asarray(value if is_traced else _of_host(value)) if is_array else None
    except (TypeError, ValueError):  # of strings, of objects, of rows of unequal length
        return None
    return None if x is None or jnp.issubdtype(x.dtype, jnp.complexfloating) else x


def _of_host(value: Any) -> Any:
    """An array of numpy's, or of a library that knows numpy, in this machine's order of bytes."""
    if isinstance(value, jax.Array) or (array := of_host(value)).dtype.kind not in "iuf":
        return value
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    warn_of_rounding(array)
    return array


def floating(*values: ArrayLike) -> tuple[Array, ...]:
    """As arrays of one floating dtype, at least float32, not broadcast. Lists are arrays here."""
    values = tuple(jnp.asarray(value) if isinstance(value, list | tuple) else value for value in values)
    dtype = jnp.result_type(*values)
    dtype = jnp.promote_types(dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.float32, jnp.float32)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return tuple(jnp.asarray(value, dtype) for value in values)


def parameter(
    value: ArrayLike,
    name: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
    infinite: bool = False,
    whole: bool = False,
) -> ArrayLike:
    """The value, a real scalar in [low, high] (``above``: not low itself, ``below``: not high), finite unless
    ``infinite``; an integer if ``whole``.

    Raises TypeError or ValueError for anything else, with the domain. A traced value cannot be looked at: outside of
    the domain it is NaN.
    """
    if not _is_real(value):
        raise TypeError(f"Expected a real number {name}; got {_kind(value)}. Pass a float or a scalar array.")
    if whole and not jnp.issubdtype(jnp.result_type(value), jnp.integer):
        raise TypeError(f"Expected {name} to be a whole number; got {value!r:.60}.")
    if jnp.shape(value) != ():
        raise ValueError(f"Expected a scalar {name}; got shape {jnp.shape(value)}. Use jax.vmap over {name}.")
    open_low, open_high = above or (math.isinf(low) and not infinite), below or (math.isinf(high) and not infinite)
    if not is_known(value):
        return _inside_or_nan(value, low, high, open_low=open_low, open_high=open_high)
    number = float(value)
    if not (low < number if open_low else low <= number) or not (number < high if open_high else number <= high):
        domain = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        raise ValueError(f"Expected {name} in {domain}; got {number:g}. Choose a value inside.")
    seen(value)
    return value


def _inside_or_nan(value, low, high, *, open_low, open_high):
    """A whole number cannot be NaN: it is as it was."""
    if not jnp.issubdtype(value.dtype, jnp.floating):
        return value
    outside = []
    if not math.isinf(low):
        outside.append(value <= low if open_low else value < low)
    if not math.isinf(high):
        outside.append(value >= high if open_high else value > high)
    # A product: its derivative is NaN as well.
    return value * jnp.where(functools.reduce(jnp.logical_or, outside), jnp.nan, 1.0) if outside else value


def check_count(value: Any, name: str) -> None:
    """A whole number of at least 1, known while tracing; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(
            f"Expected {name} to be a whole number; got {value!r:.60}. Shapes must be static: pass a Python integer."
        )
    if value < 1:
        raise ValueError(f"Expected {name} >= 1; got {value}.")


def is_known(value: Any) -> bool:
    """Whether its values can be looked at: it is not traced."""
    return not isinstance(value, jax.core.Tracer)


def _check_array(value: Any, name: str) -> None:
    if hasattr(value, "log_prob"):
        raise TypeError(
            f"Expected arrays such as log-densities; got the distribution {type(value).__name__}. Discretise first: "
            "kl(quadrature(p, q))."
        )
    if not _is_real(value):
        raise TypeError(f"Expected {name} to be an array of real numbers; got {_kind(value)}. {_remedy(value)}")


def _is_real(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    dtype = getattr(value, "dtype", None)
    try:
        return dtype is not None and (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer))
    except TypeError:  # a dtype of another library
        return False


def _kind(value: Any) -> str:
    return str(getattr(value, "dtype", None) or type(value).__name__)


def _remedy(value: Any) -> str:
    kind = _kind(value)
    if isinstance(value, Measure):
        return f"Pass it whole: kl({kind.lower()})."
    if kind == "bool":
        return "A mask is log_w = jnp.where(mask, 0.0, -jnp.inf)."
    return "Use its real part, .real." if kind.startswith("complex") else "Use jnp.asarray."
