"""Distributions, samples and logits to the arrays that divergences are measured on."""

from divjax.discretize.cumulative import cdfs as cdfs
from divjax.discretize.cumulative import coupling as coupling
from divjax.discretize.designs import antithetic as antithetic
from divjax.discretize.designs import independent as independent
from divjax.discretize.designs import lattice as lattice
from divjax.discretize.pmf import pmf as pmf
from divjax.discretize.quadrature import points as points
from divjax.discretize.quadrature import quadrature as quadrature
from divjax.discretize.sampling import monte_carlo as monte_carlo
