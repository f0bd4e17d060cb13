"""Figures of sweeps and fits. Datasets and arrays in, ``matplotlib.figure.Figure`` out: no pyplot, no global state."""

from divjax.plots.compare import comparison as comparison
from divjax.plots.digits import generated_digits as generated_digits
from divjax.plots.games import fates as fates
from divjax.plots.games import found_against_exact as found_against_exact
from divjax.plots.games import samples_over_training as samples_over_training
from divjax.plots.huszar import across_rates as across_rates
from divjax.plots.huszar import across_weights as across_weights
from divjax.plots.likelihood import likelihood_on_data as likelihood_on_data
from divjax.plots.look import save as save
from divjax.plots.phase import phase_diagram as phase_diagram
from divjax.plots.post_models import unrealistic as unrealistic
from divjax.plots.remedy import recovered as recovered
from divjax.plots.samples import sample_fits as sample_fits
from divjax.plots.sweeps import against_separation as against_separation
from divjax.plots.sweeps import figure_1 as figure_1
from divjax.plots.sweeps import optima as optima
