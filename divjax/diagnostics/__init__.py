"""Diagnostics: what a fit does to its samples."""

from divjax.diagnostics.modes import AVERAGES as AVERAGES
from divjax.diagnostics.modes import COVERS as COVERS
from divjax.diagnostics.modes import basin as basin
from divjax.diagnostics.modes import basin_name as basin_name
from divjax.diagnostics.modes import mode_mass as mode_mass
from divjax.diagnostics.realism import region_level as region_level
from divjax.diagnostics.realism import unrealistic_rate as unrealistic_rate
