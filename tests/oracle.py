"""Reference values, the distributions they are of, and the check that divergences, and mutants, go through."""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import distrax
import jax
import numpy as np
from tensorflow_probability.substrates import jax as tfp

import divjax as dj

tfd = tfp.distributions

PAIRS = json.loads((Path(__file__).parent / "reference" / "densities_1d.json").read_text())
PAIR_NAMES = [f"{pair['p'][0]}-{pair['q'][0]}-{number}" for number, pair in enumerate(PAIRS)]
QUICK = (0, 1, 2, 5)  # Normal and Laplace: these compile quickly
QUICK_FLOAT32 = (*QUICK, 3, 4, 9, 10)
PADDED = 2112
NEARLY_EQUAL = 2  # Normal(0, 1) and Normal(0.001, 1.0005)

# name in the reference file -> (divergence, parameters), by currency
ON_NODES = {
    "kl": (dj.kl, {}),
    "reverse_kl": (dj.reverse_kl, {}),
    "jeffreys": (dj.jeffreys, {}),
    "jensen_shannon": (dj.jensen_shannon, {}),
    "jensen_shannon_0.1": (dj.jensen_shannon, {"weight": 0.1}),
    "jensen_shannon_0.99": (dj.jensen_shannon, {"weight": 0.99}),
    "alpha_0.25": (dj.alpha_divergence, {"alpha": 0.25}),
    "alpha_0.5": (dj.alpha_divergence, {"alpha": 0.5}),
    "alpha_0.75": (dj.alpha_divergence, {"alpha": 0.75}),
    "renyi_0.25": (dj.renyi, {"alpha": 0.25}),
    "renyi_0.5": (dj.renyi, {"alpha": 0.5}),
    "renyi_0.75": (dj.renyi, {"alpha": 0.75}),
    "squared_hellinger": (dj.squared_hellinger, {}),
    "bhattacharyya": (dj.divergences.bhattacharyya, {}),
    "triangular": (dj.triangular, {}),
    "total_variation": (dj.total_variation, {}),
    "l2": (dj.l2, {}),
    "pearson_chi2": (dj.pearson_chi2, {}),
    "neyman_chi2": (dj.neyman_chi2, {}),
}
ON_CDFS = {"cramer": (dj.cramer, {}), "energy": (dj.energy, {})}
ON_COUPLING = {"wasserstein_1": (dj.wasserstein, {"order": 1.0})}


def build(spec: list, params: list, *, tfp_only: bool = False) -> Any:
    """The distribution that a row of the reference file names, from its parameters as arrays."""
    if spec[0] == "Mixture":
        home = tfd if tfp_only else distrax
        weights, loc, scale = params
        return home.MixtureSameFamily(home.Categorical(probs=weights), home.Normal(loc, scale))
    home = distrax if hasattr(distrax, spec[0]) and not tfp_only else tfd
    return getattr(home, spec[0])(*params)


def parameters(spec: list) -> list[np.ndarray]:
    """As arrays, so that pairs of the same families share one compilation."""
    if spec[0] == "Mixture":
        return [np.array(spec[1]), *(np.array([part[i] for part in spec[2]], float) for i in (1, 2))]
    return [np.asarray(param, float) for param in spec[1:]]


@functools.cache
def _discretiser(kind: str, family_p: str, family_q: str, *, x64: bool, tfp_only: bool):
    def discretise(params_p, params_q):
        p, q = build([family_p], params_p, tfp_only=tfp_only), build([family_q], params_q, tfp_only=tfp_only)
        made = getattr(dj, kind)(p, q, crossings=0 if kind == "cdfs" else 4)
        # Of divergences of nodes alone, whichever the laws: pairs share one compilation.
        return replace(made, laws=None) if kind == "quadrature" else made

    return jax.jit(discretise)


@functools.cache
def currency(kind: str, number: int, *, x64: bool, tfp_only: bool = False) -> Any:
    """Nodes, cdfs or couplings of one pair, made once, padded to one length by masked entries."""
    pair = PAIRS[number]
    with jax.enable_x64(x64):
        run = _discretiser(kind, pair["p"][0], pair["q"][0], x64=x64, tfp_only=tfp_only)
        dtype = np.float64 if x64 else np.float32
        params = [[param.astype(dtype) for param in parameters(pair[side])] for side in "pq"]
        made = run(*params)
    log_w = made.log_w
    assert log_w.size <= PADDED, f"{kind} of {PAIR_NAMES[number]} has {log_w.size} nodes"
    short = PADDED - log_w.size
    padded = jax.tree.map(lambda values: np.pad(np.asarray(values), (0, short)), made)
    return replace(padded, log_w=np.pad(np.asarray(log_w), (0, short), constant_values=-np.inf))


def errors(name: str, divergence, params: dict, *, x64: bool, tfp_only=False, only=None) -> dict[int, float]:
    """|value − reference| / reference of every pair for which the reference has a number; raises on a wrong inf."""
    kind = "cdfs" if name in ON_CDFS else "coupling" if name in ON_COUPLING else "quadrature"
    found = {}
    run = jax.jit(lambda row: divergence(row, **params))
    for number, pair in enumerate(PAIRS):
        expected = pair["values"].get(name)
        if expected is None or (only is not None and number not in only):
            continue
        row = currency(kind, number, x64=x64, tfp_only=tfp_only)
        with jax.enable_x64(x64):
            value, expected = float(run(row)), float(expected)
        if math.isinf(expected):
            assert value == math.inf, f"{name} of {PAIR_NAMES[number]}: expected inf, got {value}"
            continue
        assert value >= 0.0, f"{name} of {PAIR_NAMES[number]}: {value} < 0"
        found[number] = abs(value - expected) / expected
    return found


def check(name: str, divergence, params: dict, *, x64=True, tfp_only=False, only=None) -> dict[int, float]:
    """Raises AssertionError unless the divergence has the reference's values, to what its dtype allows."""
    found = errors(name, divergence, params, x64=x64, tfp_only=tfp_only, only=only)
    for number, error in found.items():
        limit = tolerance(name, number, x64=x64)
        assert error <= limit, f"{name} of {PAIR_NAMES[number]}: relative error {error:.2e} > {limit:.0e}"
    return found


def tolerance(name: str, number: int, *, x64: bool) -> float:
    if x64:
        return 1e-5 if name == "total_variation" else 1e-9
    if number == NEARLY_EQUAL:
        # log p − log q is 1e-3 here, and each log-density is rounded to 1e-7: what is left is a few in 1e-4.
        return 5e-4
    return 1e-5
