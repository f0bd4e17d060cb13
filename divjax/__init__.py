"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

from divjax import catalog as catalog
from divjax import diagnostics as diagnostics
from divjax import discretize as discretize
from divjax import distributions as distributions
from divjax import divergences as divergences
from divjax import exact as exact
from divjax import logits as logits
from divjax import sweeps as sweeps
from divjax import training as training
from divjax import twosample as twosample
from divjax import variational as variational
from divjax.discretize import cdfs as cdfs
from divjax.discretize import coupling as coupling
from divjax.discretize import monte_carlo as monte_carlo
from divjax.discretize import pmf as pmf
from divjax.discretize import quadrature as quadrature
from divjax.divergences import critic as critic
from divjax.divergences import jensen as jensen
from divjax.divergences import kernels as kernels
from divjax.divergences import max_sliced_wasserstein as max_sliced_wasserstein
from divjax.divergences import reverse as reverse
from divjax.divergences import samples as samples
from divjax.divergences import score_matching as score_matching
from divjax.divergences import sinkhorn_divergence as sinkhorn_divergence
from divjax.divergences import skew as skew
from divjax.divergences import sliced_wasserstein as sliced_wasserstein
from divjax.divergences import stein as stein
from divjax.divergences import symmetrize as symmetrize
from divjax.door import alpha_divergence as alpha_divergence
from divjax.door import beta_divergence as beta_divergence
from divjax.door import bhattacharyya as bhattacharyya
from divjax.door import cauchy_schwarz as cauchy_schwarz
from divjax.door import chernoff as chernoff
from divjax.door import cramer as cramer
from divjax.door import energy as energy
from divjax.door import estimate as estimate
from divjax.door import f_divergence as f_divergence
from divjax.door import fisher as fisher
from divjax.door import gamma_divergence as gamma_divergence
from divjax.door import jeffreys as jeffreys
from divjax.door import jensen_shannon as jensen_shannon
from divjax.door import kl as kl
from divjax.door import l2 as l2
from divjax.door import mmd2 as mmd2
from divjax.door import neyman_chi2 as neyman_chi2
from divjax.door import pearson_chi2 as pearson_chi2
from divjax.door import renyi as renyi
from divjax.door import reverse_kl as reverse_kl
from divjax.door import squared_hellinger as squared_hellinger
from divjax.door import table as table
from divjax.door import total_variation as total_variation
from divjax.door import triangular as triangular
from divjax.door import tsallis as tsallis
from divjax.door import wasserstein as wasserstein
from divjax.estimate import estimate_gradient as estimate_gradient
from divjax.exact import bounds as bounds
from divjax.measures import Cdfs as Cdfs
from divjax.measures import Coupling as Coupling
from divjax.measures import Nodes as Nodes
from divjax.measures import Points as Points
from divjax.status import AccuracyWarning as AccuracyWarning
from divjax.status import explain as explain
from divjax.sweeps import sweep as sweep
from divjax.training import fit as fit
from divjax.training import game as game
from divjax.training.iteration import run as run

__version__ = "0.1.0"

# Rooms that a user enters; the others are reached by what they export.
_ROOMS = (
    *(
        "bounds",
        "catalog",
        "critic",
        "diagnostics",
        "distributions",
        "exact",
        "kernels",
        "logits",
        "samples",
        "score_matching",
    ),
    *("sweeps", "training", "twosample", "variational"),
)
# They build objects of distrax and figures of matplotlib, which nobody else waits for.
_LATER = ("models", "plots", "targets")


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"module 'divjax' has no attribute {name!r}")
    from importlib import import_module

    return import_module(f"divjax.{name}")


def __dir__() -> list[str]:
    """What a user may call."""
    found = {name: value for name, value in globals().items() if not name.startswith("_")}
    callable_ = {name for name, value in found.items() if not isinstance(value, type(catalog)) or name in _ROOMS}
    return sorted(callable_ | set(_LATER))
