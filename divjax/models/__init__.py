"""Models: parameter arrays to distributions, and random parameters to start from."""

from divjax.models.gaussian import normal as normal
from divjax.models.gaussian import random_normal as random_normal
