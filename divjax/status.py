"""Status is data: an int32 of bits that survives jit, vmap and a store. Zero is good news."""

import operator

import numpy as np


class AccuracyWarning(UserWarning):
    """A divergence between two distributions is not known to the accuracy that one expects of it."""


OK = 0
NOT_CONVERGED = 1
NON_FINITE = 2
STALLED = 4
MASS_MISSED = 8
LOW_ESS = 16
HEAVY_TAIL = 32
UNRESOLVED = 64
INFINITE = 128

MEANING = {
    NOT_CONVERGED: "not converged: max_steps reached before the test of convergence was met, or no optimum",
    NON_FINITE: "non-finite: the value or the gradient is NaN or infinite; a fit keeps its last finite state, if any",
    STALLED: "stalled: no step improves the value any more, but the gradient norm is still above tol",
    MASS_MISSED: "mass missed: the weights of the nodes do not give p or q the mass 1",
    LOW_ESS: "low effective sample size: few nodes carry the estimate",
    UNRESOLVED: "not resolved: the nested rule, or rounding, is off by more than a tenth, or kinks are not nodes; the "
    "integral may diverge, or needs refine or crossings",
    HEAVY_TAIL: "heavy tail: Pareto k̂ of the weights or the terms is above 0.7, or a moment is hardly finite; value "
    "and error may be far off",
    INFINITE: "infinite: the integral diverges, by how fast both densities fall at an end of a support",
}


def explain(status: int) -> str | list:
    """What a status says, in words: "ok" for 0; of an array of them, a list with the words of each.

    Raises ValueError for a number that is no sum of the bits of ``divjax.status``, TypeError for what is no number.

    Examples:
        >>> dj.explain(0)
        'ok'
        >>> dj.explain(jnp.zeros(2, int))
        ['ok', 'ok']
    """
    if getattr(status, "ndim", 0) or isinstance(status, list):
        return [explain(each) for each in np.asarray(status).tolist()]
    try:
        status = operator.index(status)
    except TypeError:
        raise TypeError(
            f"Expected a status, a whole number such as that of dj.estimate(dj.kl, p, q).status; got "
            f"{type(status).__name__}. Write dj.explain(found.status)."
        ) from None
    if unknown := status if status < 0 else status & ~sum(MEANING):
        raise ValueError(f"Expected a sum of the bits {sorted(MEANING)}; got {status} (unknown part {unknown}).")
    return "; ".join(text for bit, text in MEANING.items() if status & bit) or "ok"
