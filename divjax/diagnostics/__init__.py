"""Diagnostics: what a fit does to its samples."""

from divjax.diagnostics.errors import rate_stderr as rate_stderr
from divjax.diagnostics.errors import split_stderr as split_stderr
from divjax.diagnostics.levels import RateBelow as RateBelow
from divjax.diagnostics.levels import rate_below as rate_below
from divjax.diagnostics.modes import AVERAGES as AVERAGES
from divjax.diagnostics.modes import COVERS as COVERS
from divjax.diagnostics.modes import basin as basin
from divjax.diagnostics.modes import basin_name as basin_name
from divjax.diagnostics.modes import mode_mass as mode_mass
from divjax.diagnostics.realism import region_level as region_level
from divjax.diagnostics.realism import unrealistic_rate as unrealistic_rate
from divjax.diagnostics.samples import CopyDistances as CopyDistances
from divjax.diagnostics.samples import DensityCoverage as DensityCoverage
from divjax.diagnostics.samples import ModesCaptured as ModesCaptured
from divjax.diagnostics.samples import PrecisionRecall as PrecisionRecall
from divjax.diagnostics.samples import copy_distances as copy_distances
from divjax.diagnostics.samples import density_coverage as density_coverage
from divjax.diagnostics.samples import distance_to_data as distance_to_data
from divjax.diagnostics.samples import memorisation_rate as memorisation_rate
from divjax.diagnostics.samples import modes_captured as modes_captured
from divjax.diagnostics.samples import precision_recall as precision_recall
from divjax.diagnostics.samples import unrealistic_rate_of_samples as unrealistic_rate_of_samples
from divjax.diagnostics.stability import Stability as Stability
from divjax.diagnostics.stability import stability as stability
from divjax.numerics import calls as _calls
from divjax.numerics.pareto import pareto_k as pareto_k

__getattr__ = _calls.meant(__name__)
