"""One door: every divergence of one measure, of two distributions, or, where it is defined for them, of two samples.

Behind it are the pure functions of ``divergences``, which know nothing of distributions. Two distributions are
resolved once and measured by the first route that they have: a closed form, else the nodes on which the divergence is
declared to be measured. The program of a route is compiled once for each structure of the two.
"""

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from divjax import checks, discretize, exact, status
from divjax import divergences as dv
from divjax.catalog import ENTRIES
from divjax.discretize import validity
from divjax.discretize.pmf import values
from divjax.distributions.density import centred, log_prob
from divjax.distributions.family import Density
from divjax.distributions.resolve import is_distribution
from divjax.divergences.measured import declared, is_kinked, orders_of, signature_of_sides, told_of_sides
from divjax.estimation import Estimate, of_closed_form, of_line, or_infinite, warn_of
from divjax.estimation import estimate as estimate_on
from divjax.exact.divergences import loses_digits
from divjax.measures import Cdfs, Coupling, Measure, Nodes, Points
from divjax.numerics.calls import by_name, check_names, described, said
from divjax.numerics.programs import kept, unusual
from divjax.rows import Row, Table

Scalar = Float[Array, ""]
Divergence = Callable[..., Scalar]


class OfOrder(NamedTuple):
    """A closed form for one order alone."""

    order: float
    closed: Divergence


def door(
    leaf: Divergence, *, closed: Divergence | OfOrder | None = None, of_samples: Divergence | None = None
) -> Divergence:
    """``leaf``, a divergence of a measure, as one that takes two distributions or two samples as well.

    closed: its closed form between distributions, which raises NotImplementedError where there is none. of_samples: the
    same divergence between two samples [n, d].
    """

    @functools.wraps(leaf)
    def divergence(*sides: Any, **params: Any) -> Scalar:
        if params and (len(sides) > 1 or isinstance(sides[0] if sides else None, Measure)):
            check_names(leaf, tuple(params))
        if len(sides) != 2:
            _check_sides(leaf, sides, params)
            return leaf(*sides, **params)  # which says what it is measured on
        (p, q), params = sides, unusual(leaf, params)
        given = [_kind(side, leaf) for side in sides]
        if "sample" in given:
            return _of_samples(leaf, of_samples, p, q, given, params)
        return _between(leaf, closed, p, q, params)

    divergence.leaf, divergence.closed = leaf, closed
    divergence.__signature__, divergence.__doc__ = signature_of_sides(leaf), told_of_sides(leaf, of_samples)
    return divergence


def combinator(combine: Callable[..., Divergence]) -> Callable[..., Divergence]:
    """A combinator of divergences, whose divergences take two distributions too."""

    @said
    @functools.wraps(combine)
    def combined(divergence: Divergence, **params: Any) -> Divergence:
        return door(combine(getattr(divergence, "leaf", divergence), **params))

    return combined


def _check_sides(leaf, sides, params):
    """TypeError for distributions that are not two, or not given by their place, or parameters that are."""
    named = by_name(leaf, sides[2]) if len(sides) == 3 else None
    if {"p", "q"} & set(params) or any(map(is_distribution, sides)) or named:
        given = [*map(described, sides), *(f"{name}=" for name in params)]
        raise TypeError(
            f"Expected two distributions for {leaf.__name__}, by their place, and its parameters by name; got "
            f"{', '.join(given)}. Write dj.{leaf.__name__}(p, q{f', {named}' if named else _required(leaf)})."
        )


def _required(leaf):
    needed = [each for each in inspect.signature(leaf).parameters.values() if each.default is each.empty]
    return "".join(f", {each.name}=..." for each in needed if each.kind is each.KEYWORD_ONLY)


def _kind(side: Any, leaf: Divergence) -> str:
    """``"distribution"`` or ``"sample"``; TypeError for what is neither."""
    if isinstance(side, Nodes | Coupling | Cdfs):
        raise TypeError(
            f"Expected one measure, or two distributions, for {leaf.__name__}; got {type(side).__name__} and something "
            f"else. A measure holds both sides: dj.{leaf.__name__}(measure)."
        )
    if is_distribution(side) or isinstance(side, type):
        return "distribution"
    if isinstance(side, Points) or hasattr(side, "shape") or hasattr(side, "__array__") or isinstance(side, list):
        return "sample"
    raise TypeError(
        f"Expected two distributions for {leaf.__name__}; got {type(side).__name__}. Pass objects of distrax, TFP, "
        "numpyro, distreqx, flowjax, efax or scipy.stats, or a measure such as dj.pmf(log_p, log_q)."
    )


def _of_samples(leaf, of_samples, p, q, given, params):
    """Between two samples, or a sample and a distribution."""
    if declared(leaf) in (Nodes, None):
        raise TypeError(
            f"Expected two distributions for {leaf.__name__}, which is measured on log-densities; got "
            f"{' and '.join(f'a {kind}' for kind in given)}. Log-probabilities are dj.pmf(log_p, log_q); samples have "
            "dj.wasserstein, dj.energy, dj.mmd2, dj.samples.neighbour_kl."
        )
    p, q = (checks.sample(side, name) if isinstance(side, list) else side for side, name in ((p, "p"), (q, "q")))
    dims = [np.ndim(side.x if isinstance(side, Points) else side) for side in (p, q) if not is_distribution(side)]
    if of_samples is not None and given == ["sample", "sample"] and max(dims) == 2:
        return of_samples(p, q, **params)
    if max(dims) > 1 and not all(_is_column(side) for side in (p, q)):
        shape = "samples of points [n, d]" if max(dims) == 2 else "arrays of more than two axes"
        raise ValueError(
            f"Expected samples [n] on the line for {leaf.__name__}; got {shape}. In d dimensions use "
            "dj.sliced_wasserstein, dj.sinkhorn_divergence or dj.energy of two samples [n, d]; over batches jax.vmap."
        )
    p, q = (validity.one(side) if is_distribution(side) else side for side in (p, q))
    value = leaf(_discretizer(leaf)(p, q, **_laid(leaf, params)), **params)
    return or_infinite(value, leaf, (p, q), params)[0]


def _is_column(side):
    shape = np.shape(side.x if isinstance(side, Points) else side) if not is_distribution(side) else ()
    return len(shape) < 2 or shape[1] == 1


def _discretizer(leaf: Divergence) -> Callable[..., Any]:
    """A function that does not say what it is measured on is taken for one of nodes."""
    return {Coupling: discretize.coupling, Cdfs: discretize.cdfs}.get(declared(leaf), discretize.quadrature)


def _between(leaf, closed, p, q, params):
    """Between two distributions: by a closed form, or by nodes, with a warning where they are not fine enough."""
    p, q = validity.pair(p, q, by_mass=declared(leaf) in (Coupling, Cdfs))
    _check_parameters(leaf, params)
    value = closed_form(closed, p, q, params)
    if value is not None:
        return _spoken(leaf, value)
    asked = (_sides(p, q, leaf), params, leaf, _laid(leaf, params))
    if not all(map(checks.is_known, jax.tree.leaves((p, q, params)))):
        return _value(*asked)
    found = _estimated(*asked)
    warn_of(found, leaf.__name__)
    return found.value


def _check_parameters(leaf, params):
    """The function itself knows their domain; inside a program they are traced, and not looked at."""
    if all(isinstance(value, float | int | str) for value in params.values()):  # the same each time that it is asked
        _look_at_parameters(leaf, tuple(sorted(params.items())))
    else:
        _look_at_parameters.__wrapped__(leaf, tuple(params.items()))


@functools.lru_cache(maxsize=1024, typed=True)
def _look_at_parameters(leaf, params):
    if params:
        arrays = [jax.ShapeDtypeStruct((1,), jnp.result_type(float))] * 3
        jax.eval_shape(lambda *arrays: leaf((declared(leaf) or Nodes)(*arrays), **dict(params)), *arrays)


def closed_form(closed: Divergence | OfOrder | None, p: Density, q: Density, params: dict[str, Any]) -> Scalar | None:
    """The closed form between two densities; None where there is none for this pair or these parameters."""
    if isinstance(closed, OfOrder):
        order = params.get("order")
        closed, params = (closed.closed, {}) if checks.is_known(order) and order == closed.order else (None, params)
    if closed is None or (closed in (exact.kl, exact.reverse_kl, exact.jeffreys) and loses_digits(p, q)):
        return None
    try:
        return closed(p, q, **params)
    except (NotImplementedError, ValueError):
        return None


@kept
def _value(sides, params, leaf, laid):
    measure = _measure(*sides, leaf=leaf, laid=laid)
    return or_infinite(leaf(measure, **params), leaf, getattr(measure, "laws", sides), params)[0]


@kept
def _estimated(sides, params, leaf, laid):
    measure = _measure(*sides, leaf=leaf, laid=laid)
    if declared(leaf) in (Coupling, Cdfs):
        return of_line(leaf, measure, sides, params)
    return estimate_on(functools.partial(leaf, **params), measure)


def _sides(p: Density, q: Density, leaf: Divergence) -> tuple[Any, ...]:
    """What a program takes: two densities; of discrete ones the values, which are listed outside of it."""
    if declared(leaf) in (Coupling, Cdfs):
        return tuple(values(side) if validity.is_counted(side) else side for side in (p, q))
    return (discretize.pmf(p, q),) if validity.is_discrete(p) else (p, q)


def _measure(p: Any, q: Density | None = None, *, leaf: Divergence, laid: dict[str, Any]) -> Nodes | Coupling | Cdfs:
    """What ``leaf`` is measured on between two distributions."""
    if q is None:
        return p
    if leaf is dv.wasserstein and isinstance(p, Density) and isinstance(q, Density):
        p, q = centred(p, q)  # of a coupling of one's own it is not known that only differences count
    return _discretizer(leaf)(p, q, **laid)


def _laid(leaf, params):
    """What a measure is to be laid for: how many places with kinks of ``leaf`` panels are to end at, and orders."""
    orders = orders_of(leaf, **params)
    return {"crossings": 0 if is_kinked(leaf, **params) is False else 4} | ({"orders": orders} if orders else {})


def _spoken(leaf, value):
    """The value; a NaN does not go out in silence, unless it is traced: a scale below 0 makes no distribution."""
    if checks.is_known(value) and jnp.isnan(value):
        warn_of(Estimate(value, jnp.inf, jnp.nan, status.NON_FINITE), leaf.__name__)
    return value


@said
def estimate(divergence: Divergence, p: Any, q: Any = None, /, **params: Any) -> Estimate:  # p: or a measure, alone
    if not callable(divergence) or is_distribution(divergence):
        got = type(divergence).__name__
        raise TypeError(f"Expected a divergence such as dj.kl first; got {got}. Write dj.estimate(dj.kl, p, q).")
    if q is None:
        return estimate_on(divergence, p, **params)
    leaf = getattr(divergence, "leaf", divergence)
    params = unusual(leaf, params)
    if divergence in vars(exact).values():
        raise TypeError(
            f"Expected a divergence such as dj.kl first; got the closed form exact.{leaf.__name__}: 0 error."
        )
    if declared(leaf) is None and not hasattr(divergence, "leaf") and len(inspect.signature(leaf).parameters) > 1:
        raise TypeError(f"Expected a divergence of a measure, such as dj.kl, first; got {leaf.__name__} of two sides.")
    check_names(leaf, tuple(params))
    checks.both_laws("dj.estimate", p, q)
    p, q = validity.pair(p, q, by_mass=declared(leaf) in (Coupling, Cdfs))
    _check_parameters(leaf, params)
    value = closed_form(getattr(divergence, "closed", None), p, q, params)
    if value is not None:
        return of_closed_form(value, leaf, (p, q), params)
    return _estimated(_sides(p, q, leaf), params, leaf, _laid(leaf, params))


_signature = inspect.signature(estimate)  # of what it takes here; the rest is as of nodes
functools.update_wrapper(estimate, estimate_on).__signature__ = _signature


@said
def table(p: Any, q: Any) -> Table:
    """Every divergence of the catalogue between two distributions, with its error and route, at its usual parameters.

    A row has a ``name``, ``value``, ``stderr`` (NaN where there is no route), ``route`` and ``status``, bits that
    ``dj.explain`` puts in words. ``table["kl"]`` is one of them, ``"kl" in table`` and ``table.keys()`` are about
    names, ``table.to_pandas()`` is a frame. A row of the route "none" has no value here: in more than three dimensions
    only closed forms have one, and transport and energy are measured on the line. Raises as a divergence does.

    Examples:
        >>> dj.table(distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0))["kl"].value  # doctest: +SKIP
        0.5
    """
    checks.both_laws("dj.table", p, q)
    checks.untraced("dj.table", p, q)
    p, q = validity.pair(p, q)
    found = {entry.name: closed_form(globals()[entry.name].closed, p, q, {}) for entry in ENTRIES}
    leaves = {entry.name: entry.function for entry in ENTRIES}
    exactly = {
        name: of_closed_form(value, leaves[name], (p, q), {}) for name, value in found.items() if value is not None
    }
    rows = {name: Row(name, float(each.value), 0.0, "exact", int(each.status)) for name, each in exactly.items()}
    open_ = [entry for entry in ENTRIES if entry.name not in rows]
    for kind in itertools.product((Nodes, Coupling, Cdfs), (False, True)):
        group = [entry for entry in open_ if (declared(entry.function), is_kinked(entry.function)) == kind]
        rows |= {row.name: row for row in _measured_rows(group, p, q)}
    return Table(rows[entry.name] for entry in ENTRIES)


def _measured_rows(group, p, q):
    """Of all that are measured on the same nodes."""
    if not group:
        return []
    names, leaves = [entry.name for entry in group], tuple(entry.function for entry in group)
    discrete = validity.is_discrete(p) and declared(leaves[0]) is Nodes
    route = "pmf" if discrete else _discretizer(leaves[0]).__name__
    try:
        estimates = _all_estimated(_sides(p, q, leaves[0]), leaves)
    except (TypeError, ValueError):
        return [Row(name, math.nan, math.nan, "none", status.OK) for name in names]
    return [
        Row(name, float(each.value), float(each.stderr), route, int(each.status))
        for name, each in zip(names, estimates, strict=True)
    ]


@kept
def _all_estimated(sides, leaves):
    nodes = _measure(*sides, leaf=leaves[0], laid={"crossings": _laid(leaves[0], {})["crossings"]})
    if declared(leaves[0]) is Nodes:
        return [estimate_on(leaf, nodes) for leaf in leaves]
    return [of_line(leaf, nodes, sides, {}) for leaf in leaves]


kl = door(dv.kl, closed=exact.kl)
reverse_kl = door(dv.reverse_kl, closed=exact.reverse_kl)
jeffreys = door(dv.jeffreys, closed=exact.jeffreys)
jensen_shannon = door(dv.jensen_shannon)
squared_hellinger = door(dv.squared_hellinger, closed=exact.squared_hellinger)
bhattacharyya = door(dv.bhattacharyya, closed=exact.bhattacharyya)
chernoff = door(dv.chernoff)
triangular = door(dv.triangular)
total_variation = door(dv.total_variation)
pearson_chi2 = door(dv.pearson_chi2, closed=exact.pearson_chi2)
neyman_chi2 = door(dv.neyman_chi2, closed=exact.neyman_chi2)
alpha_divergence = door(dv.alpha_divergence, closed=exact.alpha_divergence)
renyi = door(dv.renyi, closed=exact.renyi)
tsallis = door(dv.tsallis, closed=exact.tsallis)
beta_divergence = door(dv.beta_divergence)
gamma_divergence = door(dv.gamma_divergence)
l2 = door(dv.l2, closed=exact.l2)
cauchy_schwarz = door(dv.cauchy_schwarz, closed=exact.cauchy_schwarz)
f_divergence = door(dv.f_divergence)
wasserstein = door(dv.wasserstein, closed=OfOrder(2, exact.wasserstein2))
cramer = door(dv.cramer)
reverse = combinator(dv.reverse)
symmetrize = combinator(dv.symmetrize)
skew = combinator(dv.skew)
jensen = combinator(dv.jensen)
energy = door(dv.energy, of_samples=dv.energy_of_samples)


@said
def fisher(p: Any, q: Any, score_q: Any = None, /) -> Scalar:
    """Fisher divergence ∫ p ‖∇log p − ∇log q‖² ≥ 0 (Hyvärinen 2005), blind to the weights of far-apart modes.

    ``fisher(p, q)`` of two distributions: a closed form, or quadrature on the line. ``fisher(x, score_p, score_q)``: at
    a sample x of p, [n, d] or ``Points``, from both scores, functions of one point or their values at all points.
    Raises ValueError for two distributions in more dimensions without a closed form.

    Examples:
        >>> float(dj.fisher(distrax.Normal(0.0, 1.0), distrax.Normal(2.0, 1.0)))
        4.0
    """
    if score_q is not None:
        return dv.fisher(p, q, score_q)
    p, q = validity.pair(p, q)
    value = closed_form(exact.fisher, p, q, {})
    return _fisher(p, q) if value is None else value


@kept
def _fisher(p: Density, q: Density) -> Scalar:
    x = discretize.points(p, q)
    return dv.fisher(x, *(jax.vmap(jax.grad(functools.partial(log_prob, side)))(x.x) for side in (p, q)))


@said
def mmd2(p: Any, q: Any, /, *, kernel: dv.kernels.Kernel) -> Scalar:
    """Squared maximum mean discrepancy E k(X,X') + E k(Y,Y') − 2 E k(X,Y) ≥ 0 (Gretton et al. 2012).

    Of two samples [n, d] or ``Points``, the V-statistic (see ``divjax.divergences.mmd2``). Of two Gaussians or mixtures
    of Gaussians and a kernel made by ``dj.kernels.rbf``, exact. Raises NotImplementedError for other distributions.

    Examples:
        >>> p, q = distrax.Normal(0.0, 1.0), distrax.Normal(1.0, 1.0)
        >>> round(float(dj.mmd2(p, q, kernel=dj.kernels.rbf(1.0))), 4)
        0.1773
    """
    if not is_distribution(p) and not is_distribution(q):
        return dv.mmd2(p, q, kernel=kernel)
    checks.both_or_neither("mmd2", p, q)
    bandwidths = dv.kernels.rbf_bandwidths(dv.kernels.as_kernel(kernel))
    if bandwidths is None:
        raise NotImplementedError(
            "Expected a kernel of dj.kernels.rbf between distributions; got another. Draw samples of both for it."
        )
    return sum(exact.mmd2(p, q, bandwidth=bandwidth) for bandwidth in bandwidths)
