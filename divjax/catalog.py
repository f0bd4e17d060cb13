"""The catalogue: one table of every divergence, its range, what it is measured on, and how it is best fitted."""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jaxtyping import Array

from divjax import discretize as dz
from divjax import divergences as dv

Leaf = Callable[..., Array]


class Entry(NamedTuple):
    """One divergence. ``function(*discretize(p, q), **params)`` is its value."""

    name: str
    formula: str
    function: Leaf
    discretize: Callable[..., Any]  # what it is measured on: quadrature, coupling or cdfs
    low: str
    high: str
    symmetric: str
    metric: str  # "yes", "its root", "no"
    reference: str
    parameter: str = ""  # the name of its parameter, and the value meant where none is given
    default: float | None = None
    objective: Leaf | None = None  # a monotone function of it that is easier to minimise
    kinked: bool = False  # its integrand has kinks where p = q: nodes should know
    alias: str = ""  # how it is called with a parameter, if not by its name: alpha_0.5

    def measure(self, p: Any, q: Any) -> Array:
        """The divergence between two distributions (or, for coupling and cdfs, samples)."""
        return self._on(self.function, p, q)

    def loss(self, p: Any, q: Any) -> Array:
        """What to minimise to fit with it: the same optimum, better behaved far away."""
        return self._on(self.objective or self.function, p, q)

    def _on(self, function, p, q):
        arrays = self.discretize(p, q, crossings=4 if self.kinked else 0)
        return function(*arrays, **({self.parameter: self.default} if self.parameter else {}))


ENTRIES = (
    Entry("kl", "∫ p log(p/q)", dv.kl, dz.quadrature, "0", "∞", "no", "no", "Kullback, Leibler 1951"),
    Entry("reverse_kl", "∫ q log(q/p)", dv.reverse_kl, dz.quadrature, "0", "∞", "no", "no", "Kullback, Leibler 1951"),
    Entry("jeffreys", "∫ (p−q) log(p/q)", dv.jeffreys, dz.quadrature, "0", "∞", "yes", "no", "Jeffreys 1946"),
    Entry("jensen_shannon", "w KL(p‖m) + (1−w) KL(q‖m), m = w p + (1−w) q", dv.jensen_shannon, dz.quadrature, "0",
          "log 2", "at ½", "its root", "Lin 1991; Huszár 2015", "weight", 0.5),
    Entry("squared_hellinger", "1 − ∫ √(p q)", dv.squared_hellinger, dz.quadrature, "0", "1", "yes", "its root",
          "Hellinger 1909"),
    Entry("bhattacharyya", "−log ∫ √(p q)", dv.bhattacharyya, dz.quadrature, "0", "∞", "yes", "no",
          "Bhattacharyya 1943"),
    Entry("chernoff", "max over a of −log ∫ pᵃ q¹⁻ᵃ", dv.chernoff, dz.quadrature, "0", "∞", "yes", "no",
          "Chernoff 1952"),
    Entry("triangular", "∫ (p−q)²/(p+q)", dv.triangular, dz.quadrature, "0", "2", "yes", "its root", "Le Cam 1986"),
    Entry("total_variation", "½ ∫ abs(p−q)", dv.total_variation, dz.quadrature, "0", "1", "yes", "yes",
          "Jordan 1881", kinked=True),
    Entry("pearson_chi2", "∫ (p−q)²/q", dv.pearson_chi2, dz.quadrature, "0", "∞", "no", "no", "Pearson 1900",
          objective=partial(dv.log_affinity, alpha=2.0)),
    Entry("neyman_chi2", "∫ (p−q)²/p", dv.neyman_chi2, dz.quadrature, "0", "∞", "no", "no", "Neyman 1949",
          objective=partial(dv.log_affinity, alpha=-1.0)),
    Entry("alpha_divergence", "(1 − ∫ pᵃ q¹⁻ᵃ) / (a (1−a))", dv.alpha_divergence, dz.quadrature, "0", "∞", "no",
          "no", "Minka 2005", "alpha", 0.5, alias="alpha"),
    Entry("renyi", "log ∫ pᵃ q¹⁻ᵃ / (a−1)", dv.renyi, dz.quadrature, "0", "∞", "no", "no", "Rényi 1961", "alpha",
          0.5),
    Entry("tsallis", "(∫ pᵃ q¹⁻ᵃ − 1) / (a−1)", dv.tsallis, dz.quadrature, "0", "∞", "no", "no", "Tsallis 1998",
          "alpha", 0.5),
    Entry("beta_divergence", "∫ q¹⁺ᵇ − (1+1/b) p qᵇ + p¹⁺ᵇ/b", dv.beta_divergence, dz.quadrature, "0", "∞", "no",
          "no", "Basu et al. 1998", "beta", 0.5, alias="beta"),
    Entry("gamma_divergence", "log∫p¹⁺ᵍ/(g(1+g)) − log∫p qᵍ/g + log∫q¹⁺ᵍ/(1+g)", dv.gamma_divergence, dz.quadrature,
          "0", "∞", "no", "no", "Fujisawa, Eguchi 2008", "gamma", 0.5, alias="gamma"),
    Entry("l2", "∫ (p−q)²", dv.l2, dz.quadrature, "0", "∞", "yes", "its root", "Scott 2001"),
    Entry("cauchy_schwarz", "−log (∫ p q / √(∫p² ∫q²))", dv.cauchy_schwarz, dz.quadrature, "0", "∞", "yes", "no",
          "Príncipe 2000"),
    Entry("wasserstein", "(∫ abs(P⁻¹−Q⁻¹)ᵏ du)^(1/k)", dv.wasserstein, dz.coupling, "0", "∞", "yes", "yes",
          "Villani 2003", "order", 1.0, objective=dv.transport_cost, kinked=True),
    Entry("cramer", "∫ (P−Q)² dx", dv.cramer, dz.cdfs, "0", "∞", "yes", "its root", "Cramér 1928"),
    Entry("energy", "2 ∫ (P−Q)² dx", dv.energy, dz.cdfs, "0", "∞", "yes", "its root", "Székely, Rizzo 2013"),
)  # fmt: skip

CATALOG = {entry.name: entry for entry in ENTRIES}


def lookup(name: str) -> Entry:
    """The entry of a name, which may end in a parameter: ``wasserstein_2``, ``jensen_shannon_0.1``, ``alpha_0.25``.

    Raises ValueError, with the known names and the nearest, for one that is not in the catalogue.
    """
    if name in CATALOG:
        return CATALOG[name]
    stem, _, number = name.rpartition("_")
    entry = next((entry for entry in ENTRIES if stem in (entry.name, entry.alias) and stem), None)
    if entry is None or not entry.parameter or not _is_number(number):
        aliases = [entry.alias for entry in ENTRIES if entry.alias]
        near = difflib.get_close_matches(stem if entry else name, [*CATALOG, *aliases], 1, 0.0)[0]
        with_parameter = ", ".join(
            f"{entry.alias or entry.name}_<{entry.parameter}>" for entry in ENTRIES if entry.parameter
        )
        raise ValueError(
            f"Expected a divergence out of {', '.join(CATALOG)}, or with its parameter {with_parameter}; "
            f"got {name!r}. Did you mean {near!r}?"
        )
    value = float(number)
    _check_parameter(entry, value)
    # The convex order 1 has a kink at x = y, others do not need nodes there.
    entry = entry._replace(name=name, default=value, kinked=entry.kinked and value == 1.0)
    if entry.function in (dv.alpha_divergence, dv.tsallis) and not 0.0 <= value <= 1.0:
        return entry._replace(objective=dv.log_affinity)  # the divergence is its exponential, and overflows
    return entry


def _is_number(text):
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


_DOMAINS = {
    "weight": (0.0, 1.0),
    "order": (1.0, float("inf")),
    "beta": (0.0, float("inf")),
    "gamma": (0.0, float("inf")),
}


def _check_parameter(entry, value):
    low, high = _DOMAINS.get(entry.parameter, (-float("inf"), float("inf")))
    if entry.name in ("renyi", "tsallis"):
        low = 0.0
    if not low <= value <= high:
        raise ValueError(f"Expected {entry.parameter} of {entry.name} in [{low:g}, {high:g}]; got {value:g}.")


def markdown() -> str:
    """The catalogue as the table in the README."""
    rows = [
        "| name | definition | range | symmetric | metric | measured on | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in ENTRIES:
        parameter = f"({entry.parameter}={entry.default:g})" if entry.parameter else ""
        cells = (f"`{entry.name}{parameter}`", entry.formula, f"[{entry.low}, {entry.high}]", entry.symmetric,
                 entry.metric, f"`{entry.discretize.__name__}`", entry.reference)  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"
