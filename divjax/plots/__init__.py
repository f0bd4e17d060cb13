"""Figures of data of your own. Arrays in, ``matplotlib.figure.Figure`` out: no pyplot, no global state.

The figures of a study are in its own room, such as ``divjax.studies.two_modes.plot``.
"""

from divjax.plots.line import sample_fits as sample_fits
from divjax.plots.look import save as save
