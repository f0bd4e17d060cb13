"""Distributions: one record per family, and how any library's object becomes one."""

from divjax.distributions.family import Density as Density
from divjax.distributions.family import Family as Family
from divjax.distributions.resolve import register as register
from divjax.distributions.resolve import resolve as resolve
