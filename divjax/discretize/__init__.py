"""Distributions, samples and logits to the arrays that divergences are measured on."""

from divjax.discretize.cumulative import cdfs as cdfs
from divjax.discretize.cumulative import coupling as coupling
from divjax.discretize.quadrature import quadrature as quadrature
