"""Loss and optimiser in, Iteration out."""

from divjax.training.fit import FitResult as FitResult
from divjax.training.fit import FitState as FitState
from divjax.training.fit import fit as fit
from divjax.training.newton import NewtonState as NewtonState
from divjax.training.newton import newton as newton
