"""Every guard against overflow, log 0 and cancellation lives here and nowhere else.

The functions are smooth extensions of textbook formulas: equal to them in exact arithmetic, accurate in floating
point, with derivatives of every order and never a NaN but where one comes in.
"""

from divjax.numerics.arrays import logsumexp as logsumexp
from divjax.numerics.arrays import matmul as matmul
from divjax.numerics.arrays import softmax as softmax
from divjax.numerics.arrays import sort_few as sort_few
from divjax.numerics.guards import bounded_exp as bounded_exp
from divjax.numerics.guards import far as far
from divjax.numerics.guards import finite as finite
from divjax.numerics.guards import held as held
from divjax.numerics.guards import log_max as log_max
from divjax.numerics.guards import log_power as log_power
from divjax.numerics.guards import over_order as over_order
from divjax.numerics.guards import power_of_two as power_of_two
from divjax.numerics.guards import safe_log as safe_log
from divjax.numerics.guards import safe_ratio as safe_ratio
from divjax.numerics.guards import safe_root as safe_root
from divjax.numerics.guards import safe_sqrt as safe_sqrt
from divjax.numerics.guards import undifferentiable as undifferentiable
from divjax.numerics.guards import within as within
from divjax.numerics.pairs import difference as difference
from divjax.numerics.pairs import log_mixture as log_mixture
from divjax.numerics.pairs import log_quotient as log_quotient
from divjax.numerics.pairs import log_ratio as log_ratio
from divjax.numerics.pairs import logs_over_mean as logs_over_mean
from divjax.numerics.pairs import quotient as quotient
from divjax.numerics.series import exp_excess as exp_excess
from divjax.numerics.series import exp_slope as exp_slope
from divjax.numerics.series import expm1_minus as expm1_minus
from divjax.numerics.series import gamma_half_step as gamma_half_step
from divjax.numerics.series import log1p_over as log1p_over
from divjax.numerics.series import log1p_slope as log1p_slope
from divjax.numerics.series import log_cosh_excess as log_cosh_excess
from divjax.numerics.series import one_minus_exp_over as one_minus_exp_over
from divjax.numerics.series import polynomial as polynomial
from divjax.numerics.series import power_excess as power_excess
from divjax.numerics.series import trigamma_excess as trigamma_excess
