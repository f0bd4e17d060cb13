"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

from divjax import catalog as catalog
from divjax import diagnostics as diagnostics
from divjax import discretize as discretize
from divjax import distributions as distributions
from divjax import divergences as divergences
from divjax import exact as exact
from divjax import logits as logits
from divjax import training as training
from divjax import twosample as twosample
from divjax.discretize import cdfs as cdfs
from divjax.discretize import coupling as coupling
from divjax.discretize import monte_carlo as monte_carlo
from divjax.discretize import pmf as pmf
from divjax.discretize import quadrature as quadrature
from divjax.divergences import check_convex as check_convex
from divjax.divergences import critic as critic
from divjax.divergences import denoising_score_matching as denoising_score_matching
from divjax.divergences import energy_distance as energy_distance
from divjax.divergences import energy_distance_unbiased as energy_distance_unbiased
from divjax.divergences import explicit_score_matching as explicit_score_matching
from divjax.divergences import implicit_score_matching as implicit_score_matching
from divjax.divergences import jensen as jensen
from divjax.divergences import kernels as kernels
from divjax.divergences import max_sliced_wasserstein as max_sliced_wasserstein
from divjax.divergences import max_sliced_wasserstein_solve as max_sliced_wasserstein_solve
from divjax.divergences import mmd2_block as mmd2_block
from divjax.divergences import mmd2_features as mmd2_features
from divjax.divergences import mmd2_linear as mmd2_linear
from divjax.divergences import mmd2_unbiased as mmd2_unbiased
from divjax.divergences import neighbour_kl as neighbour_kl
from divjax.divergences import neighbour_renyi as neighbour_renyi
from divjax.divergences import penalties as penalties
from divjax.divergences import reverse as reverse
from divjax.divergences import sinkhorn_divergence as sinkhorn_divergence
from divjax.divergences import sinkhorn_divergence_solve as sinkhorn_divergence_solve
from divjax.divergences import skew as skew
from divjax.divergences import sliced_cost as sliced_cost
from divjax.divergences import sliced_score_matching as sliced_score_matching
from divjax.divergences import sliced_wasserstein as sliced_wasserstein
from divjax.divergences import stein as stein
from divjax.divergences import stein_unbiased as stein_unbiased
from divjax.divergences import symmetrize as symmetrize
from divjax.divergences import witness as witness
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
from divjax.door import log_affinity as log_affinity
from divjax.door import mmd2 as mmd2
from divjax.door import neyman_chi2 as neyman_chi2
from divjax.door import pearson_chi2 as pearson_chi2
from divjax.door import renyi as renyi
from divjax.door import reverse_kl as reverse_kl
from divjax.door import squared_hellinger as squared_hellinger
from divjax.door import table as table
from divjax.door import total_variation as total_variation
from divjax.door import transport_cost as transport_cost
from divjax.door import triangular as triangular
from divjax.door import tsallis as tsallis
from divjax.door import wasserstein as wasserstein
from divjax.estimate import Estimate as Estimate
from divjax.estimate import estimate_gradient as estimate_gradient
from divjax.estimate import pareto_k as pareto_k
from divjax.exact import bounds as bounds
from divjax.measures import Cdfs as Cdfs
from divjax.measures import Coupling as Coupling
from divjax.measures import Nodes as Nodes
from divjax.measures import Points as Points
from divjax.measures import Rule as Rule
from divjax.status import AccuracyWarning as AccuracyWarning
from divjax.status import explain as explain
from divjax.sweeps import product as product
from divjax.sweeps import sweep as sweep
from divjax.sweeps import zipped as zipped
from divjax.training import FitResult as FitResult
from divjax.training import Start as Start
from divjax.training import adversarial_losses as adversarial_losses
from divjax.training import fit as fit
from divjax.training import game as game
from divjax.training import likelihood as likelihood
from divjax.training import newton as newton
from divjax.training.iteration import Iteration as Iteration
from divjax.training.iteration import run as run
from divjax.variational import dreg as dreg
from divjax.variational import iwae as iwae
from divjax.variational import reverse_kl_stl as reverse_kl_stl

__version__ = "0.1.0"

# Rooms that a user enters; the others are reached by what they export.
_ROOMS = (
    *("bounds", "catalog", "critic", "diagnostics", "discretize", "distributions", "divergences", "exact", "kernels"),
    *("likelihood", "logits", "penalties", "sweeps", "training", "twosample"),
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
