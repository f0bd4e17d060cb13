"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

from divjax.iteration import Iteration as Iteration
from divjax.iteration import run as run
from divjax.measures import Cdfs as Cdfs
from divjax.measures import Coupling as Coupling
from divjax.measures import Nodes as Nodes
from divjax.measures import Panels as Panels
from divjax.measures import Points as Points
from divjax.measures import Scores as Scores
from divjax.status import explain as explain

__version__ = "0.1.0"
