"""Estimates from two samples x and y, where the plain one is biased or slow, or where more than its value is wanted.

The plain ones are ``dj.mmd2``, ``dj.energy``, ``dj.stein`` and ``dj.sliced_wasserstein``: the divergence between the
two empirical distributions, which is too large for that between what the samples were drawn from. ``*_unbiased`` are
right on average, ``mmd2_linear``, ``mmd2_block`` and ``mmd2_features`` need less time, ``neighbour_*`` estimate
divergences of densities without knowing the densities, and ``sinkhorn`` and ``max_sliced`` return how they found their
value.
"""

from divjax.divergences.kernel.energies import energy_unbiased as energy_unbiased
from divjax.divergences.kernel.ksd import stein_unbiased as stein_unbiased
from divjax.divergences.kernel.mmd import mmd2_block as mmd2_block
from divjax.divergences.kernel.mmd import mmd2_features as mmd2_features
from divjax.divergences.kernel.mmd import mmd2_linear as mmd2_linear
from divjax.divergences.kernel.mmd import mmd2_unbiased as mmd2_unbiased
from divjax.divergences.kernel.mmd import witness as witness
from divjax.divergences.neighbours import neighbour_kl as neighbour_kl
from divjax.divergences.neighbours import neighbour_renyi as neighbour_renyi
from divjax.divergences.transport.sinkhorn import Sinkhorn as Sinkhorn
from divjax.divergences.transport.sinkhorn import sinkhorn as sinkhorn
from divjax.divergences.transport.sliced import MaxSliced as MaxSliced
from divjax.divergences.transport.sliced import max_sliced as max_sliced
from divjax.divergences.transport.sliced import sliced_cost as sliced_cost
from divjax.numerics import calls as _calls

__getattr__ = _calls.meant(__name__)
