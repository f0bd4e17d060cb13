"""Closed forms on distributions; the conventions are those of ``divergences``."""

from divjax.distributions.exponential.family import Family as Family
from divjax.distributions.exponential.family import Member as Member
from divjax.distributions.exponential.family import from_curvature as from_curvature
from divjax.distributions.exponential.family import from_log_partition as from_log_partition
from divjax.exact import bounds as bounds
from divjax.exact.divergences import __doc__ as __doc__
from divjax.exact.divergences import alpha_divergence as alpha_divergence
from divjax.exact.divergences import bhattacharyya as bhattacharyya
from divjax.exact.divergences import cauchy_schwarz as cauchy_schwarz
from divjax.exact.divergences import jeffreys as jeffreys
from divjax.exact.divergences import kl as kl
from divjax.exact.divergences import l2 as l2
from divjax.exact.divergences import neyman_chi2 as neyman_chi2
from divjax.exact.divergences import pearson_chi2 as pearson_chi2
from divjax.exact.divergences import renyi as renyi
from divjax.exact.divergences import reverse_kl as reverse_kl
from divjax.exact.divergences import squared_hellinger as squared_hellinger
from divjax.exact.divergences import tsallis as tsallis
from divjax.exact.geometry import fisher as fisher
from divjax.exact.geometry import mixture_plan as mixture_plan
from divjax.exact.geometry import mixture_wasserstein2 as mixture_wasserstein2
from divjax.exact.geometry import mmd2 as mmd2
from divjax.exact.geometry import wasserstein2 as wasserstein2
from divjax.numerics import calls as _calls

__getattr__ = _calls.meant(__name__)
