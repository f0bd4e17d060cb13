"""Sweeps: one iteration, or several, over a labelled grid of cases."""

from divjax.sweeps.cases import Cases as Cases
from divjax.sweeps.cases import product as product
from divjax.sweeps.cases import take as take
from divjax.sweeps.cases import zipped as zipped
from divjax.sweeps.engine import sweep as sweep
from divjax.sweeps.processes import join as join
from divjax.sweeps.summary import summary as summary
