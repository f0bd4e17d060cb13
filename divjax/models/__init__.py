"""Models: parameter arrays to distributions, and random parameters to start from."""

from divjax.models.flows import SplineFlow as SplineFlow
from divjax.models.flows import coupling_flow as coupling_flow
from divjax.models.flows import init_coupling_flow as init_coupling_flow
from divjax.models.flows import init_spline_flow as init_spline_flow
from divjax.models.flows import spline_flow as spline_flow
from divjax.models.gaussian import normal as normal
from divjax.models.gaussian import random_normal as random_normal
from divjax.models.mixtures import init_mixture as init_mixture
from divjax.models.mixtures import mixture as mixture
from divjax.models.multivariate import multivariate_normal as multivariate_normal
from divjax.models.multivariate import random_multivariate_normal as random_multivariate_normal
from divjax.models.multivariate import random_student_t as random_student_t
from divjax.models.multivariate import student_t as student_t
from divjax.models.networks import Layer as Layer
from divjax.models.networks import from_module as from_module
from divjax.models.networks import init_mlp as init_mlp
from divjax.models.networks import mlp as mlp
from divjax.models.networks import residual_mlp as residual_mlp
