"""Models: parameter arrays to distributions, and random parameters to start from."""

from divjax.models.gaussian import normal as normal
from divjax.models.gaussian import random_normal as random_normal
from divjax.models.networks import Layer as Layer
from divjax.models.networks import from_module as from_module
from divjax.models.networks import init_mlp as init_mlp
from divjax.models.networks import mlp as mlp
from divjax.models.networks import residual_mlp as residual_mlp
