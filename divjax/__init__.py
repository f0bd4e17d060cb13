"""Differentiable divergences in JAX. Discretise once, measure with any of them."""

import difflib

import lazy_loader

# The names and where they live are in __init__.pyi; each is imported when it is first asked for.
_found, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"

_ELSEWHERE_CALLED = {
    **dict.fromkeys(("js", "jsd", "jensenshannon", "js_divergence"), "jensen_shannon"),
    **dict.fromkeys(("kld", "kl_div", "kl_divergence", "relative_entropy"), "kl"),
    **dict.fromkeys(("tv", "tvd"), "total_variation"),
    **dict.fromkeys(("chi2", "chisquare"), "pearson_chi2"),
    **dict.fromkeys(("emd", "w1", "w2", "wasserstein_distance"), "wasserstein"),
    **dict.fromkeys(("hellinger", "squared_hellinger_distance"), "squared_hellinger"),
    **dict.fromkeys(("mmd", "maximum_mean_discrepancy"), "mmd2"),
    "energy_distance": "energy",
    "ksd": "stein",
    "unrealistic_rate": "diagnostics.unrealistic_rate",
    "knn": "samples.neighbour_kl",
    "sinkhorn": "sinkhorn_divergence",
}


def __getattr__(name: str):
    try:
        return _found(name)
    except AttributeError:
        if name in __all__:  # it is there, and what is wrong with it is within
            raise
        lower = name.lower()
        near = [lower] if lower in __all__ else difflib.get_close_matches(name, __all__, 1)
        known = _ELSEWHERE_CALLED.get(lower) or next(iter(near), None)
        meant = f" Did you mean dj.{known}?" if known and not name.startswith("_") else ""
        raise AttributeError(f"module 'divjax' has no attribute {name!r}.{meant}", name=name) from None
