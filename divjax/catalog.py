"""The catalogue: one table of every divergence, its range, what it is measured on, and how it is best fitted.

``python -m divjax.catalog`` prints docs/catalogue.md.
"""

import difflib
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from divjax import discretize as dz
from divjax import divergences as dv
from divjax import numerics as nu
from divjax.divergences.measured import declared, is_kinked
from divjax.measures import Cdfs, Coupling, Nodes
from divjax.numerics import calls as _calls

__dir__ = _calls.own(__name__)

Leaf = Callable[..., Array]

DISCRETIZERS = {Nodes: dz.quadrature, Coupling: dz.coupling, Cdfs: dz.cdfs}  # of two distributions


class Entry(NamedTuple):
    """One divergence. ``function(discretize(p, q), **params)`` is its value; both are None for closed forms only.

    Examples:
        >>> entry = dj.catalog.lookup("kl")
        >>> entry.high, entry.bases()
        ('∞', ('mixture', 'p', 'q'))
    """

    name: str
    formula: str
    function: Leaf | None
    high: str  # upper end of its range; the lower is 0
    symmetric: str
    metric: str  # "yes", "its root", "no"
    reference: str
    parameter: str = ""  # the name of its parameter, and the value meant where none is given
    default: float | None = None
    objective: Leaf | None = None  # a monotone function of it that is easier to minimise
    from_objective: Leaf | None = None  # (its value, parameter) -> the divergence, where that costs no digits
    alias: str = ""  # how it is called with a parameter, if not by its name: alpha_0.5
    closed: str = ""  # its name in divjax.exact, if not its own
    needs: str = ""  # of p and q, if its discretisation does not say it

    def measure(self, p: Any, q: Any) -> Array:
        """The divergence between two distributions (or, for coupling and cdfs, samples)."""
        return self._on(self.function, p, q)

    def loss(self, p: Any, q: Any) -> Array:
        """What to minimise to fit with it: the same optimum, better behaved far away."""
        return self._on(self.objective or self.function, p, q)

    def of_loss(self, p: Any, q: Any, loss: Array) -> Array:
        """``measure``, where ``loss`` is known: measured anew only where that costs digits."""
        if self.objective is None:
            return loss
        return self.measure(p, q) if self.from_objective is None else self.from_objective(loss, self.default)

    def _on(self, function, p, q):
        measure = _measured(self).discretize(p, q, crossings=4 if self.kinked else 0)
        return function(measure, **({self.parameter: self.default} if self.parameter else {}))

    @property
    def discretize(self) -> Callable[..., Any] | None:
        """How two distributions are measured for it: quadrature, coupling or cdfs."""
        return None if self.function is None else DISCRETIZERS[declared(self.function)]

    @property
    def kinked(self) -> bool:
        """Whether its integrand has kinks where both sides are equal: nodes should know."""
        given = {self.parameter: self.default} if self.default is not None else {}
        return is_kinked(self.function, **given) is not False

    def bases(self) -> tuple[str, ...]:
        """The bases of ``monte_carlo`` that are valid for it, the one first whose weights are always bounded."""
        return ("mixture", "p", "q") if self.discretize is dz.quadrature else ()

    def routes(self) -> tuple[str, ...]:
        """The ways to its value, each a name below ``divjax``."""
        inside = [(f"exact.{self.closed or self.name}"), f"logits.{self.name}", f"exact.bounds.{self.name}"]
        own = (
            [self.discretize.__name__]
            if self.discretize
            else list(filter(_exists, (self.name, f"samples.{self.name}")))
        )
        return (*own, *(["monte_carlo"] if self.bases() else []), *filter(_exists, inside))


def _exists(route):
    *rooms, name = route.split(".")
    return hasattr(functools.reduce(getattr, rooms, importlib.import_module("divjax")), name)


ENTRIES = (
    Entry("kl", "∫ p log(p/q)", dv.kl, "∞", "no", "no", "Kullback, Leibler 1951"),
    Entry("reverse_kl", "∫ q log(q/p)", dv.reverse_kl, "∞", "no", "no", "Kullback, Leibler 1951"),
    Entry("jeffreys", "∫ (p−q) log(p/q)", dv.jeffreys, "∞", "yes", "no", "Jeffreys 1946"),
    Entry("jensen_shannon", "w KL(p‖m) + (1−w) KL(q‖m), m = w p + (1−w) q", dv.jensen_shannon,
          "log 2", "at ½", "its root", "Lin 1991; Huszár 2015", "weight", 0.5),
    Entry("squared_hellinger", "1 − ∫ √(p q)", dv.squared_hellinger, "1", "yes", "its root",
          "Hellinger 1909"),
    Entry("bhattacharyya", "−log ∫ √(p q)", dv.bhattacharyya, "∞", "yes", "no",
          "Bhattacharyya 1943"),
    Entry("chernoff", "max over a of −log ∫ pᵃ q¹⁻ᵃ", dv.chernoff, "∞", "yes", "no",
          "Chernoff 1952"),
    Entry("triangular", "∫ (p−q)²/(p+q)", dv.triangular, "2", "yes", "its root", "Le Cam 1986"),
    Entry("total_variation", "½ ∫ abs(p−q)", dv.total_variation, "1", "yes", "yes",
          "Jordan 1881"),
    Entry("pearson_chi2", "∫ (p−q)²/q", dv.pearson_chi2, "∞", "no", "no", "Pearson 1900",
          objective=functools.partial(dv.log_affinity, alpha=2.0)),
    Entry("neyman_chi2", "∫ (p−q)²/p", dv.neyman_chi2, "∞", "no", "no", "Neyman 1949",
          objective=functools.partial(dv.log_affinity, alpha=-1.0)),
    Entry("alpha_divergence", "(1 − ∫ pᵃ q¹⁻ᵃ) / (a (1−a))", dv.alpha_divergence, "∞", "no",
          "no", "Minka 2005", "alpha", 0.5, alias="alpha"),
    Entry("renyi", "log ∫ pᵃ q¹⁻ᵃ / (a−1)", dv.renyi, "∞", "no", "no", "Rényi 1961", "alpha",
          0.5),
    Entry("tsallis", "(∫ pᵃ q¹⁻ᵃ − 1) / (a−1)", dv.tsallis, "∞", "no", "no", "Tsallis 1998",
          "alpha", 0.5),
    Entry("beta_divergence", "∫ q¹⁺ᵇ − (1+1/b) p qᵇ + p¹⁺ᵇ/b", dv.beta_divergence, "∞", "no",
          "no", "Basu et al. 1998", "beta", 0.5, alias="beta"),
    Entry("gamma_divergence", "log∫p¹⁺ᵍ/(g(1+g)) − log∫p qᵍ/g + log∫q¹⁺ᵍ/(1+g)", dv.gamma_divergence,
          "∞", "no", "no", "Fujisawa, Eguchi 2008", "gamma", 0.5, alias="gamma"),
    Entry("l2", "∫ (p−q)²", dv.l2, "∞", "yes", "its root", "Scott 2001"),
    Entry("cauchy_schwarz", "−log (∫ p q / √(∫p² ∫q²))", dv.cauchy_schwarz, "∞", "yes", "no",
          "Príncipe 2000"),
    Entry("wasserstein", "(∫ abs(P⁻¹−Q⁻¹)ᵏ du)^(1/k)", dv.wasserstein, "∞", "yes", "yes",
          "Villani 2003", "order", 1.0, objective=dv.transport_cost, from_objective=nu.safe_root,
          closed="wasserstein2"),
    Entry("cramer", "∫ (P−Q)² dx", dv.cramer, "∞", "yes", "its root", "Cramér 1928"),
    Entry("energy", "2 E‖X−Y‖ − E‖X−X′‖ − E‖Y−Y′‖ = 2 ∫ (P−Q)² dx", dv.energy, "∞", "yes", "its root",
          "Székely, Rizzo 2013", needs="cdfs, or samples in any dimension"),
)  # fmt: skip

# Measured on samples or scores, or in closed form only: their functions are called by name.
OTHERS = (
    Entry("fisher", "∫ p ‖∇log p − ∇log q‖²", None, "∞", "no", "no", "Hyvärinen 2005", needs="scores"),
    Entry("stein", "E_pp κ(X,X′), κ the Stein kernel of q, squared", None, "∞", "no", "no",
          "Liu et al. 2016; Chwialkowski et al. 2016", needs="samples of p, score of q"),
    Entry("mmd2", "E k(X,X′) + E k(Y,Y′) − 2 E k(X,Y)", None, "2 sup k", "yes", "its root",
          "Gretton et al. 2012", "kernel", needs="samples"),
    Entry("sliced_wasserstein", "(E W_k(θᵀX, θᵀY)ᵏ)^(1/k), θ on the sphere", None, "∞", "yes", "yes",
          "Rabin et al. 2011", "order", 2.0, needs="samples"),
    Entry("max_sliced_wasserstein", "max over θ of W_k(θᵀX, θᵀY)", None, "∞", "yes", "yes",
          "Deshpande et al. 2019", "order", 2.0, needs="samples"),
    Entry("sinkhorn_divergence", "OT_ε(p,q) − (OT_ε(p,p) + OT_ε(q,q))/2", None, "∞", "yes", "no",
          "Feydy et al. 2019", "epsilon", needs="samples"),
    Entry("neighbour_kl", "KL(p‖q) from nearest neighbours", None, "∞", "no", "no",
          "Wang, Kulkarni, Verdú 2009", needs="samples"),
    Entry("neighbour_renyi", "Rényi's from nearest neighbours", None, "∞", "no", "no",
          "Póczos, Schneider 2011", "alpha", needs="samples"),
    Entry("mixture_wasserstein2", "min over couplings of the components of (Σ πᵢⱼ W₂²(pᵢ, qⱼ))^½", None, "∞",
          "yes", "yes", "Delon, Desolneux 2020", needs="Gaussian mixtures"),
)  # fmt: skip

CATALOG = {entry.name: entry for entry in ENTRIES + OTHERS}


def lookup(name: str) -> Entry:
    """The entry of a name, which may end in a parameter: ``wasserstein_2``, ``jensen_shannon_0.1``, ``alpha_0.25``.

    Raises ValueError, with the known names and the nearest, for one that is not in the catalogue, has a parameter
    outside its domain, or is not measured on arrays.

    Examples:
        >>> entry = dj.catalog.lookup("wasserstein_2")
        >>> entry.parameter, entry.default
        ('order', 2.0)
    """
    if name in CATALOG:
        return _measured(CATALOG[name])
    stem, _, number = name.rpartition("_")
    entry = next((entry for entry in ENTRIES if stem in (entry.name, entry.alias) and stem), None)
    if entry is None or not entry.parameter or not _is_number(number):
        known = [entry.name for entry in ENTRIES]
        aliases = [entry.alias for entry in ENTRIES if entry.alias]
        near = difflib.get_close_matches(stem if entry else name, [*known, *aliases], 1, 0.0)[0]
        with_parameter = ", ".join(
            f"{entry.alias or entry.name}_<{entry.parameter}>" for entry in ENTRIES if entry.parameter
        )
        raise ValueError(
            f"Expected a divergence out of {', '.join(known)}, or with its parameter {with_parameter}; "
            f"got {name!r}. Did you mean {near!r}?"
        )
    value = float(number)
    _check_parameter(entry, value)
    entry = entry._replace(name=name, default=value)
    if entry.function in (dv.alpha_divergence, dv.tsallis) and not 0.0 <= value <= 1.0:
        return entry._replace(objective=dv.log_affinity)  # the divergence is its exponential, and overflows
    return entry


def _is_number(text):
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _measured(entry):
    if entry.discretize is None:
        raise ValueError(
            f"Expected a divergence that is measured between distributions; got {entry.name!r}. Call "
            f"dj.{entry.routes()[0]} yourself, or choose one of {', '.join(entry.name for entry in ENTRIES)}."
        )
    return entry


def _check_parameter(entry, value):
    """The function itself knows its domain."""
    measure, node = declared(entry.function), jax.ShapeDtypeStruct((1,), jnp.float32)
    try:
        jax.eval_shape(lambda x: entry.function(measure(x, x, x), **{entry.parameter: value}), node)
    except ValueError as error:
        raise ValueError(
            str(error)
            .replace(f"Expected {entry.parameter} in", f"Expected {entry.parameter} of {entry.name} in")
            .splitlines()[0]
        ) from None


def _call(entry):
    default = "" if entry.default is None else f"={entry.default:g}"
    return f"`{entry.name}{f'({entry.parameter}{default})' if entry.parameter else ''}`"


def _needs(entry):
    known = {dz.quadrature: "densities", dz.coupling: "quantiles or samples", dz.cdfs: "cdfs or samples"}
    return entry.needs or known[entry.discretize]


SHORT: Mapping[str, Callable[[Entry], str]] = {
    "name": _call,
    "definition": lambda entry: entry.formula,
    "range": lambda entry: f"[0, {entry.high}]",
    "symmetric": lambda entry: entry.symmetric,
    "metric": lambda entry: entry.metric,
    "measured on": lambda entry: f"`{entry.discretize.__name__}`",
    "source": lambda entry: entry.reference,
}
FULL: Mapping[str, Callable[[Entry], str]] = {
    **{title: column for title, column in SHORT.items() if title not in ("measured on", "source")},
    "bounded": lambda entry: "no" if entry.high == "∞" else "yes",
    "needs": _needs,
    "routes": lambda entry: ", ".join(f"`{route}`" for route in entry.routes()),
    "Monte Carlo bases": lambda entry: ", ".join(entry.bases()) or "none",
    "source": SHORT["source"],
}


def markdown(columns: Mapping[str, Callable[[Entry], str]] = SHORT, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """The catalogue as a table: the one in the README."""
    rows = [list(columns), ["---"] * len(columns), *([cell(entry) for cell in columns.values()] for entry in entries)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- |", "|---|").replace(" --- |", "---|")


def document() -> str:
    """docs/catalogue.md: every divergence and every way to its value."""
    return f"""# The catalogue

p is the target and q the model, values are in nats, and the names are those of `divjax`. *needs* is what has to be
known of p and q. A *route* is a way to the value: nodes of `quadrature`, `cdfs` or a `coupling` of the two, a closed
form in `exact`, a function of samples or scores by its own name, `bounds` between Gaussian mixtures, `logits` for two
softmaxes, or draws of `monte_carlo` from one of its *bases*. There, (p + q)/2, the mixture, bounds the weights p/r and
q/r by 2; draws of p alone are enough where the tails of q are no heavier than those of p, draws of q the other way
round, and `estimate` has a status for where they are. An upper end ∞ is reached where the supports differ, or where an
integral diverges. Made by `python -m divjax.catalog`.

{markdown(FULL, ENTRIES + OTHERS)}"""


if __name__ == "__main__":
    print(document(), end="")
