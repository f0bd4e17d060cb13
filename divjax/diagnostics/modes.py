"""Which modes of the data does a model serve?"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from divjax.diagnostics.realism import unrealistic_rate
from divjax.discretize.validity import univariate
from divjax.distributions.density import tails

COVERS, AVERAGES = -2, -1  # basins; k ≥ 0: collapsed onto mode k


def mode_mass(q: Any, modes: Float[Array, " k"]) -> Float[Array, " k"]:
    """The mass of q nearest to each of the given modes of p, [k], summing to one.

    On the line the cells end midway between neighbours. Two modes at the same place share what is nearest to both:
    the part below goes to the first, the part above to the second.

    Examples:
        >>> found = dj.diagnostics.mode_mass(distrax.Normal(0.0, 1.0), jnp.array([0.0, 16.0]))
        >>> [round(float(each), 3) for each in found]
        [1.0, 0.0]
    """
    q = univariate(q, "q")
    modes = jnp.asarray(modes)
    order = jnp.argsort(modes)
    ordered = modes[order]
    below, above = tails(q, 0.5 * (ordered[1:] + ordered[:-1]))
    below, above = jnp.concatenate([jnp.zeros(1), below]), jnp.concatenate([above, jnp.zeros(1)])
    # P(a < X ≤ b) from the smaller tails: F(b) − F(a) = S(a) − S(b).
    upper = jnp.concatenate([below[1:], jnp.ones(1)])
    lower = jnp.concatenate([jnp.ones(1), above[:-1]])
    cells = jnp.where(below < 0.5, upper - below, lower - above)
    return jnp.zeros_like(cells).at[order].set(cells)


def basin(
    p: Any,
    q: Any,
    modes: Float[Array, " k"],
    *,
    missed: ArrayLike = 0.1,
    unrealistic: ArrayLike = 0.1,
    rate: ArrayLike | None = None,
) -> Int[Array, ""]:
    """What kind of fit q is to p, as an int:

    * k ≥ 0, collapsed onto mode k: some mode has less than ``missed`` times its share of p; k is q's heaviest;
    * −1, averages: q serves every mode, but more than ``unrealistic`` of its mass lies where the data are not: the
      post's maximum-likelihood fit;
    * −2, covers: q serves every mode, and its samples look like data.

    ``rate``: ``unrealistic_rate(p, q)``, if known.

    Examples:
        >>> p, modes = dj.targets.two_modes(16.0), jnp.array([0.0, 16.0])
        >>> dj.diagnostics.basin_name(dj.diagnostics.basin(p, distrax.Normal(0.0, 1.0), modes, rate=0.01))
        'collapsed onto mode 0'
    """
    p, q = univariate(p, "p"), univariate(q, "q")
    share, wanted = mode_mass(q, modes), mode_mass(p, modes)
    rate = unrealistic_rate(p, q) if rate is None else rate
    collapsed = jnp.any(share < missed * wanted)
    label = jnp.where(collapsed, jnp.argmax(share), jnp.where(rate > unrealistic, AVERAGES, COVERS))
    return label.astype(jnp.int32)


def basin_name(label: int) -> str:
    """A basin in words, e.g. ``"collapsed onto mode 1"``.

    Examples:
        >>> dj.diagnostics.basin_name(1)
        'collapsed onto mode 1'
    """
    label = int(label)
    if label < COVERS:
        raise ValueError(f"Expected a basin label ≥ {COVERS}; got {label}.")
    return {COVERS: "covers", AVERAGES: "averages"}.get(label, f"collapsed onto mode {label}")
