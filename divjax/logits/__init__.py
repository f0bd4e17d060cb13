"""Divergences between the softmaxes of logits; the conventions are those of ``losses``."""

from divjax.logits.affinities import bhattacharyya as bhattacharyya
from divjax.logits.affinities import renyi as renyi
from divjax.logits.losses import __doc__ as __doc__
from divjax.logits.losses import alpha_divergence as alpha_divergence
from divjax.logits.losses import f_divergence as f_divergence
from divjax.logits.losses import jeffreys as jeffreys
from divjax.logits.losses import jensen_shannon as jensen_shannon
from divjax.logits.losses import kl as kl
from divjax.logits.losses import neyman_chi2 as neyman_chi2
from divjax.logits.losses import pearson_chi2 as pearson_chi2
from divjax.logits.losses import reverse_kl as reverse_kl
from divjax.logits.losses import squared_hellinger as squared_hellinger
from divjax.logits.losses import total_variation as total_variation
from divjax.logits.losses import triangular as triangular
from divjax.logits.losses import tsallis as tsallis
from divjax.numerics import calls as _calls

__getattr__ = _calls.meant(__name__)
