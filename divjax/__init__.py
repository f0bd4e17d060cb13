"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

import importlib
from typing import TYPE_CHECKING

from divjax import diagnostics as diagnostics
from divjax import discretize as discretize
from divjax import divergences as divergences
from divjax import models as models
from divjax import targets as targets
from divjax import training as training
from divjax import twosample as twosample
from divjax.discretize import cdfs as cdfs
from divjax.discretize import coupling as coupling
from divjax.discretize import monte_carlo as monte_carlo
from divjax.discretize import pmf as pmf
from divjax.discretize import quadrature as quadrature
from divjax.divergences import alpha_divergence as alpha_divergence
from divjax.divergences import beta_divergence as beta_divergence
from divjax.divergences import bhattacharyya as bhattacharyya
from divjax.divergences import cauchy_schwarz as cauchy_schwarz
from divjax.divergences import check_convex as check_convex
from divjax.divergences import chernoff as chernoff
from divjax.divergences import cramer as cramer
from divjax.divergences import critic as critic
from divjax.divergences import denoising_score_matching as denoising_score_matching
from divjax.divergences import energy as energy
from divjax.divergences import energy_distance as energy_distance
from divjax.divergences import energy_distance_unbiased as energy_distance_unbiased
from divjax.divergences import explicit_score_matching as explicit_score_matching
from divjax.divergences import f_divergence as f_divergence
from divjax.divergences import fisher as fisher
from divjax.divergences import gamma_divergence as gamma_divergence
from divjax.divergences import implicit_score_matching as implicit_score_matching
from divjax.divergences import jeffreys as jeffreys
from divjax.divergences import jensen as jensen
from divjax.divergences import jensen_shannon as jensen_shannon
from divjax.divergences import kernels as kernels
from divjax.divergences import kl as kl
from divjax.divergences import l2 as l2
from divjax.divergences import log_affinity as log_affinity
from divjax.divergences import max_sliced_wasserstein as max_sliced_wasserstein
from divjax.divergences import max_sliced_wasserstein_solve as max_sliced_wasserstein_solve
from divjax.divergences import mmd2 as mmd2
from divjax.divergences import mmd2_block as mmd2_block
from divjax.divergences import mmd2_features as mmd2_features
from divjax.divergences import mmd2_linear as mmd2_linear
from divjax.divergences import mmd2_unbiased as mmd2_unbiased
from divjax.divergences import neighbour_kl as neighbour_kl
from divjax.divergences import neighbour_renyi as neighbour_renyi
from divjax.divergences import neyman_chi2 as neyman_chi2
from divjax.divergences import pearson_chi2 as pearson_chi2
from divjax.divergences import penalties as penalties
from divjax.divergences import renyi as renyi
from divjax.divergences import reverse as reverse
from divjax.divergences import reverse_kl as reverse_kl
from divjax.divergences import sinkhorn_divergence as sinkhorn_divergence
from divjax.divergences import sinkhorn_divergence_solve as sinkhorn_divergence_solve
from divjax.divergences import skew as skew
from divjax.divergences import sliced_cost as sliced_cost
from divjax.divergences import sliced_score_matching as sliced_score_matching
from divjax.divergences import sliced_wasserstein as sliced_wasserstein
from divjax.divergences import squared_hellinger as squared_hellinger
from divjax.divergences import stein as stein
from divjax.divergences import stein_unbiased as stein_unbiased
from divjax.divergences import symmetrize as symmetrize
from divjax.divergences import total_variation as total_variation
from divjax.divergences import transport_cost as transport_cost
from divjax.divergences import triangular as triangular
from divjax.divergences import tsallis as tsallis
from divjax.divergences import wasserstein as wasserstein
from divjax.divergences import witness as witness
from divjax.estimate import Estimate as Estimate
from divjax.estimate import estimate as estimate
from divjax.estimate import estimate_gradient as estimate_gradient
from divjax.estimate import pareto_k as pareto_k
from divjax.measures import Cdfs as Cdfs
from divjax.measures import Coupling as Coupling
from divjax.measures import Nodes as Nodes
from divjax.measures import Points as Points
from divjax.measures import Rule as Rule
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

if TYPE_CHECKING:
    from divjax import exact as exact
    from divjax import logits as logits
    from divjax.exact import bounds as bounds

_LATER = {"exact": "divjax.exact", "bounds": "divjax.exact.bounds", "logits": "divjax.logits"}


def __getattr__(name: str):
    """Closed forms and logits are imported when first used: not every program needs them."""
    if name not in _LATER:
        raise AttributeError(f"module 'divjax' has no attribute {name!r}")
    return importlib.import_module(_LATER[name])
