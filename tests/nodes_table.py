"""Every divergence on nodes: name, function, parameters, symmetry, upper end of the range, degree in the weights."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp

import divjax as dj


class Row(NamedTuple):
    divergence: Callable
    params: Mapping = MappingProxyType({})
    symmetric: bool = False
    top: float = math.inf  # least upper bound for densities of mass one
    linear: bool = True  # twice the weights give twice the value
    own_mass: bool = True  # meaningful for p and q of any mass

    def value(self, log_p, log_q, log_w=0.0):
        """As a function of the three arrays, to differentiate in them."""
        return self.divergence(dj.pmf(log_p, log_q, log_w=log_w), **self.params)


def xlogx(t):
    return t * jnp.log(t)


def _entropy(w):
    return -w * math.log(w) - (1 - w) * math.log(1 - w)


NODES = {
    "kl": Row(dj.divergences.kl),
    "reverse_kl": Row(dj.divergences.reverse_kl),
    "jeffreys": Row(dj.divergences.jeffreys, symmetric=True),
    "jensen_shannon": Row(dj.divergences.jensen_shannon, symmetric=True, top=math.log(2)),
    "jensen_shannon_0.1": Row(dj.divergences.jensen_shannon, {"weight": 0.1}, top=_entropy(0.1)),
    "alpha_0.3": Row(dj.divergences.alpha_divergence, {"alpha": 0.3}, top=1 / 0.21),
    "alpha_0": Row(dj.divergences.alpha_divergence, {"alpha": 0.0}),
    "alpha_1": Row(dj.divergences.alpha_divergence, {"alpha": 1.0}),
    "alpha_-1.5": Row(dj.divergences.alpha_divergence, {"alpha": -1.5}),
    "alpha_2.5": Row(dj.divergences.alpha_divergence, {"alpha": 2.5}),
    "renyi_0.5": Row(dj.divergences.renyi, {"alpha": 0.5}, symmetric=True, linear=False),
    "renyi_1": Row(dj.divergences.renyi, {"alpha": 1.0}, linear=False),
    "renyi_2": Row(dj.divergences.renyi, {"alpha": 2.0}, linear=False),
    "tsallis_0.3": Row(dj.divergences.tsallis, {"alpha": 0.3}, top=1 / 0.7),
    "tsallis_2": Row(dj.divergences.tsallis, {"alpha": 2.0}),
    "squared_hellinger": Row(dj.divergences.squared_hellinger, symmetric=True, top=1.0),
    "bhattacharyya": Row(dj.divergences.bhattacharyya, symmetric=True, linear=False),
    "chernoff": Row(dj.divergences.chernoff, symmetric=True, linear=False),
    "pearson_chi2": Row(dj.divergences.pearson_chi2),
    "neyman_chi2": Row(dj.divergences.neyman_chi2),
    "triangular": Row(dj.divergences.triangular, symmetric=True, top=2.0),
    "total_variation": Row(dj.divergences.total_variation, symmetric=True, top=1.0),
    "f_divergence_kl": Row(dj.divergences.f_divergence, {"f": xlogx}),
    "beta_0": Row(dj.divergences.beta_divergence, {"beta": 0.0}),
    "beta_0.5": Row(dj.divergences.beta_divergence, {"beta": 0.5}),
    "gamma_0": Row(dj.divergences.gamma_divergence, {"gamma": 0.0}, linear=False),
    "gamma_0.5": Row(dj.divergences.gamma_divergence, {"gamma": 0.5}, linear=False),
    "l2": Row(dj.divergences.l2, symmetric=True),
    "cauchy_schwarz": Row(dj.divergences.cauchy_schwarz, symmetric=True, linear=False),
    "symmetrize_kl": Row(dj.divergences.symmetrize(dj.kl), symmetric=True),
    "reverse_pearson": Row(dj.divergences.reverse(dj.pearson_chi2)),
    "jensen_kl": Row(dj.divergences.jensen(dj.kl), symmetric=True, top=math.log(2)),
    "skew_kl": Row(dj.divergences.skew(dj.kl, weight=0.25), top=math.log(4)),
}
