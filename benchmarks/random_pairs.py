"""Is an error bar ever too small? Random pairs of laws, against an independent adaptive integration.

    python benchmarks/random_pairs.py [--pairs 10000] [--seed 0] [--only NAME] [--double] [--out FILE]

Pairs are drawn from families on the line, the half-line and the unit interval, mixtures of up to 100 components,
scales from 1e-6 to 1e3, orders from −5 to 50. A value is *covered* if it is within 3 of its standard errors, or its
status says that it is not to be trusted. A flag is *false* where the value is right to 1e-3 after all. The truth is
composite Gauss-Legendre in extended precision (80 bits), its panels bisected until they do not change the sum; whether
an integral diverges is read off the integrand far out. Nothing of divjax is used for it.
"""

import argparse
import functools
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import divergences as dv  # by quadrature, where there is a closed form too

REAL = np.longdouble
tfd = tfp.distributions
LOG_2PI = np.log(2.0 * np.arctan2(REAL(0.0), REAL(-1.0)))


# --- Laws --------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A family: its support, how to draw its parameters, its log-density here, and divjax's user's object."""

    support: tuple[float, float]
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]  # each [k]
    log_density: Callable[..., np.ndarray]
    build: Callable[..., Any]


def located(rng, k):
    """Scales over nine decades between laws, within three in one; components near and far."""
    base = 10.0 ** rng.uniform(-6.0, 3.0)
    scale = base * 10.0 ** rng.uniform(-1.5, 1.5, k) if k > 1 else np.full(1, base)
    return rng.normal(size=k) * base * 10.0 ** rng.uniform(-1.0, 1.5), scale


def of_student(rng, k):
    loc, scale = located(rng, k)
    return rng.uniform(2.0, 12.0, k), loc, scale


def shaped(rng, k):
    return 10.0 ** rng.uniform(-0.3, 1.3, k), 10.0 ** rng.uniform(-1.0, 1.0, k)


def gammaln(x):
    return REAL(1.0) * np.array([float_gammaln(each) for each in np.ravel(x)]).reshape(np.shape(x))


@functools.lru_cache(maxsize=100_000)
def float_gammaln(x):
    import mpmath

    return REAL(mpmath.nstr(mpmath.loggamma(mpmath.mpf(float(x))), 25))


KINDS = {
    "normal": Kind(
        (-np.inf, np.inf),
        located,
        lambda x, m, s: -0.5 * ((x - m) / s) ** 2 - np.log(s) - 0.5 * LOG_2PI,
        distrax.Normal,
    ),
    "laplace": Kind((-np.inf, np.inf), located, lambda x, m, s: -abs(x - m) / s - np.log(2 * s), distrax.Laplace),
    "logistic": Kind(
        (-np.inf, np.inf),
        located,
        lambda x, m, s: -abs(x - m) / s - 2 * np.log1p(np.exp(-abs(x - m) / s)) - np.log(s),
        distrax.Logistic,
    ),
    "student": Kind(
        (-np.inf, np.inf),
        of_student,
        lambda x, n, m, s: (
            gammaln((n + 1) / 2)
            - gammaln(n / 2)
            - 0.5 * np.log(n)
            - 0.5 * (LOG_2PI - np.log(REAL(2.0)))
            - np.log(s)
            - (n + 1) / 2 * np.log1p(((x - m) / s) ** 2 / n)
        ),
        tfd.StudentT,
    ),
    "gamma": Kind(
        (0.0, np.inf),
        shaped,
        lambda x, a, b: a * np.log(b) - gammaln(a) + (a - 1) * np.log(x) - b * x,
        distrax.Gamma,
    ),
    "lognormal": Kind(
        (0.0, np.inf),
        lambda rng, k: (rng.normal(size=k), 10.0 ** rng.uniform(-1.0, 0.3, k)),
        lambda x, m, s: -0.5 * ((np.log(x) - m) / s) ** 2 - np.log(s) - 0.5 * LOG_2PI - np.log(x),
        tfd.LogNormal,
    ),
    "beta": Kind(
        (0.0, 1.0),
        shaped,
        lambda x, a, b, y: gammaln(a + b) - gammaln(a) - gammaln(b) + (a - 1) * np.log(x) + (b - 1) * np.log(y),
        distrax.Beta,
    ),
}


class Law(NamedTuple):
    kind: str
    log_w: np.ndarray
    params: tuple[np.ndarray, ...]  # rounded to single precision: the same law in both


def draw_law(rng: np.random.Generator, kind: str, k: int) -> Law:
    params = tuple(np.asarray(each, np.float32) for each in KINDS[kind].draw(rng, k))
    logits = np.asarray(rng.normal(size=k) * rng.choice([0.3, 2.0]), np.float32)
    return Law(kind, logits, params)


def log_density(law: Law, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y: the distance from the upper end, where there is one."""
    params = [REAL(1.0) * each[:, None] for each in law.params]
    extra = (y[None],) if law.kind == "beta" else ()
    logits = law.log_w.astype(REAL)
    log_w = logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max()
    parts = log_w[:, None] + KINDS[law.kind].log_density(x[None], *params, *extra)
    top = parts.max(axis=0)
    return top + np.log(np.sum(np.exp(parts - top), axis=0))


def built(kind: str, logits, params):
    """The user's object, of traced parameters [k]."""
    if logits.shape[-1] == 1:
        return KINDS[kind].build(*(each[..., 0] for each in params))
    return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), _tfd(kind)(*params))


def _tfd(kind):
    return {"normal": tfd.Normal, "laplace": tfd.Laplace, "logistic": tfd.Logistic}.get(kind, KINDS[kind].build)


# --- Divergences -------------------------------------------------------------------------------------------


def alpha_terms(p, q, a):
    return (a * np.exp(p) + (1 - a) * np.exp(q) - np.exp(a * p + (1 - a) * q)) / (a * (1 - a))


def power(p, q, a):
    return np.exp(a * p + (1 - a) * q)


class Divergence(NamedTuple):
    terms: Callable[..., list[np.ndarray]]  # integrands of log p, log q, order
    value: Callable[..., Any]  # of their integrals
    leaf: Callable[..., Any]  # divjax's, of p, q and the order
    order: tuple[float, float] | None = None


def js_terms(p, q, _):
    m = np.logaddexp(p, q) - np.log(REAL(2.0))
    return [0.5 * (np.exp(p) * (p - m) + np.exp(q) * (q - m))]


DIVERGENCES = {
    "kl": Divergence(lambda p, q, a: [np.exp(p) * (p - q) + np.exp(q) - np.exp(p)], lambda i, a: i, dv.kl),
    "reverse_kl": Divergence(
        lambda p, q, a: [np.exp(q) * (q - p) + np.exp(p) - np.exp(q)], lambda i, a: i, dv.reverse_kl
    ),
    "jensen_shannon": Divergence(js_terms, lambda i, a: i, dv.jensen_shannon),
    "squared_hellinger": Divergence(
        lambda p, q, a: [0.5 * (np.exp(p / 2) - np.exp(q / 2)) ** 2], lambda i, a: i, dv.squared_hellinger
    ),
    "total_variation": Divergence(
        lambda p, q, a: [0.5 * abs(np.exp(p) - np.exp(q))], lambda i, a: i, dv.total_variation
    ),
    "pearson_chi2": Divergence(lambda p, q, a: [2 * alpha_terms(p, q, 2)], lambda i, a: i, dv.pearson_chi2),
    "alpha_divergence": Divergence(
        lambda p, q, a: [alpha_terms(p, q, a)], lambda i, a: i, dv.alpha_divergence, (-5.0, 50.0)
    ),
    "renyi": Divergence(
        lambda p, q, a: [power(p, q, a), alpha_terms(p, q, a)],
        lambda i, j, a: np.where(abs(np.log(i)) < 0.1, np.log1p(-j * a * (1 - a)), np.log(i)) / (a - 1),
        dv.renyi,
        (0.05, 50.0),
    ),
    "l2": Divergence(lambda p, q, a: [(np.exp(p) - np.exp(q)) ** 2], lambda i, a: i, dv.l2),
    "gamma_divergence": Divergence(
        lambda p, q, a: [np.exp((1 + a) * p), np.exp(p + a * q), np.exp((1 + a) * q)],
        lambda i, j, k, a: np.log(i) / (a * (1 + a)) - np.log(j) / a + np.log(k) / (1 + a),
        dv.gamma_divergence,
        (0.2, 2.0),
    ),
}
OPTION = {"alpha_divergence": "alpha", "renyi": "alpha", "gamma_divergence": "gamma"}


# --- The truth ---------------------------------------------------------------------------------------------

_X, _W = np.polynomial.legendre.leggauss(16)


def _inside(law: Law, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, the distance from the upper end, and log dx/dt: t is x on the line, log x on the half-line, logit x."""
    low, high = KINDS[law.kind].support
    if low == -np.inf:
        return t, t, np.zeros_like(t)
    if high == np.inf:
        x = np.exp(t)
        return x, x, t
    x, y = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    return x, y, np.log(x) + np.log(y)


def breaks(p: Law, q: Law) -> np.ndarray:
    """Around every component, in powers of 2 of its scale."""
    low, high = KINDS[p.kind].support
    if low == 0.0:
        wide = 9000.0 if high == np.inf else 700.0
        near = np.linspace(-40.0, 40.0, 161)
        far = [-wide, -2000.0, -700.0, -200.0, -80.0, 60.0, 80.0, 200.0, 700.0]
        return np.concatenate([near, far]).clip(-wide, wide)
    found = []
    for law in (p, q):
        loc, scale = (REAL(1.0) * each[:, None] for each in law.params[-2:])
        steps = REAL(2.0) ** np.arange(-3, 6 if loc.size > 9 else 45)
        found += [loc.ravel(), (loc + scale * steps).ravel(), (loc - scale * steps).ravel()]
    widest = max(np.max(abs(law.params[-2]) + law.params[-1]) for law in (p, q))
    far = widest * REAL(2.0) ** np.arange(0, 60)
    return np.concatenate([*found, far, -far])


def truth(p: Law, q: Law, name: str, order: float) -> float | None:
    """The divergence; None where the adaptive rule does not settle."""
    divergence, a = DIVERGENCES[name], REAL(order)

    def terms(t):
        x, y, log_dx = _inside(p, t)
        with np.errstate(all="ignore"):
            logs = [log_density(law, x.ravel(), y.ravel()).reshape(t.shape) for law in (p, q)]
            found = [each * np.exp(log_dx) for each in divergence.terms(*logs, a)]
        return np.stack([np.where(np.isnan(each), 0.0, each) for each in found])

    ends = np.unique(breaks(p, q).astype(REAL))
    if diverges(terms, ends):
        return np.inf
    low, high = ends[:-1], ends[1:]
    total = np.zeros(0)
    done = 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        whole, left, right = (_panel(terms, *each) for each in ((low, high), (low, middle), (middle, high)))
        both = left + right
        total = done + both.sum(axis=1)
        size = np.maximum(abs(total), 1e-4500)
        rough = np.any(abs(both - whole) > 1e-14 * size[:, None] / np.sqrt(len(low)), axis=0)
        rough &= high - low > 1e-17 * np.maximum(abs(low), abs(high))
        done = done + both[:, ~rough].sum(axis=1)
        if not rough.any():
            break
        if rough.sum() > 20_000:
            return None
        low, high = np.concatenate([low[rough], middle[rough]]), np.concatenate([middle[rough], high[rough]])
    else:
        return None
    with np.errstate(all="ignore"):
        return float(divergence.value(*total, a))


def _panel(terms, low, high):
    half = 0.5 * (high - low)
    t = (0.5 * (low + high))[:, None] + half[:, None] * _X.astype(REAL)
    return np.sum(terms(t) * _W.astype(REAL), axis=2) * half


def diverges(terms, ends) -> bool:
    """Whether integrand times distance rises towards an end: it falls like a power, or faster, where it converges."""
    for far in (end * REAL(2.0) ** np.array([20.0, 24.0, 28.0]) for end in (ends[-1], ends[0])):
        if abs(ends[0]) in (700.0, 9000.0):  # coordinates in which ends are reached exponentially
            at = np.array([0.7, 0.8, 0.9]) * (ends[-1] if far[0] > 0 else ends[0])
            found = abs(terms(at.astype(REAL)[None]))[:, 0]
        else:
            found = abs(terms(far[None]))[:, 0] * abs(far)
        if np.any(np.isinf(found[:, -1])) or np.any((found[:, 2] > found[:, 1]) & (found[:, 1] > found[:, 0])):
            return True
    return False


# --- Asking divjax -----------------------------------------------------------------------------------------


def asked(name: str, p: list[Law], q: list[Law], orders: np.ndarray, dtype: Any) -> Any:
    """Estimates of all pairs of one structure, in one program."""

    def stacked(laws):
        return jnp.asarray(np.stack([law.log_w for law in laws]), dtype), tuple(
            jnp.asarray(np.stack(each), dtype) for each in zip(*(law.params for law in laws), strict=True)
        )

    def one(of_p, of_q, order):
        option = {OPTION[name]: order} if name in OPTION else {}
        return dj.estimate(DIVERGENCES[name].leaf, built(p[0].kind, *of_p), built(q[0].kind, *of_q), **option)

    return jax.jit(jax.vmap(one))(stacked(p), stacked(q), jnp.asarray(orders, dtype))


STRUCTURES = [
    *[("normal", a, "normal", b) for a, b in ((1, 1), (2, 1), (1, 2), (3, 2), (10, 3), (3, 30))],
    *[("normal", a, "normal", b) for a, b in ((100, 1), (1, 100), (100, 100))],
    *[("laplace", 1, "laplace", 1), ("laplace", 3, "normal", 1), ("normal", 1, "laplace", 3)],
    *[("student", 1, "student", 1), ("student", 3, "student", 1), ("normal", 2, "student", 1)],
    *[("logistic", 1, "normal", 1), ("normal", 3, "logistic", 1), ("student", 1, "laplace", 1)],
    *[("gamma", 1, "gamma", 1), ("gamma", 3, "gamma", 1)],
    *[("lognormal", 1, "lognormal", 1), ("lognormal", 1, "gamma", 1)],
    *[("beta", 1, "beta", 1), ("beta", 2, "beta", 3)],
]


def report(rows: list[dict]) -> dict:
    finite = [row for row in rows if np.isfinite(row["truth"])]
    flagged = [row for row in rows if row["flagged"]]
    covered = [row for row in rows if row["covered"] or row["flagged"]]
    stderrs = [row["stderr"] / abs(row["truth"]) for row in finite if row["truth"] and not row["flagged"]]
    return {
        "pairs": len(rows),
        "covered or flagged": len(covered) / max(len(rows), 1),
        "flagged": len(flagged) / max(len(rows), 1),
        "false flags": sum(row["right"] for row in flagged) / max(len(rows), 1),
        "median relative stderr": float(np.median(stderrs)) if stderrs else None,
    }


def judged(found, truth: float, order: float) -> dict:
    value, stderr, bits = float(found[0]), float(found[1]), int(found[2])
    infinite = bool(bits & dj.status.INFINITE)
    covered = value == truth if not np.isfinite(truth) or not np.isfinite(value) else abs(value - truth) <= 3 * stderr
    right = value == truth or abs(value - truth) <= 1e-3 * abs(truth)
    flagged = bits != 0 and not infinite
    return {"value": value, "stderr": stderr, "status": bits, "truth": truth, "order": order,
            "covered": bool(covered), "flagged": flagged, "right": bool(right)}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one divergence")
    parser.add_argument("--double", action="store_true", help="in double precision")
    parser.add_argument("--out")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", options.double)
    warnings.simplefilter("ignore")
    names = [options.only] if options.only else list(DIVERGENCES)
    each = max(options.pairs // (len(names) * len(STRUCTURES)), 1)
    rows = []
    for name in names:
        mine = []
        for number, (kind_p, of_p, kind_q, of_q) in enumerate(STRUCTURES):
            rng = np.random.default_rng([options.seed, number, sorted(DIVERGENCES).index(name)])
            pairs = [(draw_law(rng, kind_p, of_p), draw_law(rng, kind_q, of_q)) for _ in range(each)]
            low, high = DIVERGENCES[name].order or (0.0, 0.0)
            orders = np.asarray(rng.uniform(low, high, each), np.float32)
            truths = [truth(*pair, name, order) for pair, order in zip(pairs, orders, strict=True)]
            p, q = ([pair[side] for pair in pairs] for side in (0, 1))
            found = asked(name, p, q, orders, np.float64 if options.double else np.float32)
            estimates = zip(*(np.asarray(field) for field in (found.value, found.stderr, found.status)), strict=True)
            for estimate, right, order, pair in zip(estimates, truths, orders, pairs, strict=True):
                if right is None:
                    continue
                row = judged(estimate, right, float(order))
                row |= {"divergence": name, "structure": f"{kind_p}[{of_p}] | {kind_q}[{of_q}]"}
                if not (row["covered"] or row["flagged"]):
                    small = [law for law in pair if law.log_w.size < 4]
                    row["pair"] = [[law.log_w.tolist(), [each.tolist() for each in law.params]] for law in small]
                mine.append(row)
        rows += mine
        print(f"{name:20s}", json.dumps(report(mine)), flush=True)
    print(f"{'all':20s}", json.dumps(report(rows)))
    missed = [row for row in rows if not (row["covered"] or row["flagged"])]
    for row in missed[:40]:
        print(json.dumps(row))
    if options.out:
        with open(options.out, "w") as file:
            json.dump({"report": report(rows), "missed": missed}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
