"""Writes reference.json: integrals of every pair of ``cases`` by mpmath quadrature or summation, 25 digits.

Run: python -m tests.exact.make_reference
"""

import json
from pathlib import Path

import mpmath as mp

from tests.exact.cases import CASES, ORDERS

mp.mp.dps = 30


def integral(case, p, q, f):
    points = case.points(p)
    if case.discrete:
        return mp.fsum(f(case.log_density(p, x), case.log_density(q, x)) for x in range(points))
    both = sorted(set(points) | set(case.points(q)))
    return mp.quad(lambda x: f(case.log_density(p, x), case.log_density(q, x)), both, maxdegree=9)


def diverges(case, p, q, order):
    """Does x p^a q^(1−a) grow towards an end of the support?"""

    def log_mass(x, measure):
        return order * case.log_density(p, x) + (1 - order) * case.log_density(q, x) + mp.log(measure)

    points = case.points(p)
    if case.discrete:
        return points > 1000 and log_mass(points, points) > log_mass(points - 100, points)
    found = False
    for end, inner in ((points[0], 1), (points[-1], -1)):
        if abs(end) == mp.inf:
            sign = mp.sign(end)
            found |= log_mass(sign * mp.mpf("1e9"), mp.mpf("1e9")) > log_mass(sign * mp.mpf("1e8"), mp.mpf("1e8"))
        else:
            with mp.workdps(80):
                found |= log_mass(end + inner * mp.mpf("1e-60"), mp.mpf("1e-60")) > log_mass(
                    end + inner * mp.mpf("1e-50"), mp.mpf("1e-50")
                )
    return found


def power(case, p, q, order):
    """∫ (a p + (1−a) q − p^a q^(1−a)) / (a(1−a)): the alpha-divergence, free of cancellation at the end."""

    if diverges(case, p, q, order):
        return mp.inf

    def f(lp, lq):
        r = lp - lq
        return mp.exp(lq) * (order * mp.expm1(r) - mp.expm1(order * r))

    return integral(case, p, q, f) / (order * (1 - order))


def numbers(case, p, q):
    p, q = ([mp.mpf(x) for x in side] for side in (p, q))
    out = {"kl": integral(case, p, q, lambda a, b: mp.exp(a) * (a - b) + mp.exp(b) - mp.exp(a))}
    for order in ORDERS:
        out[f"alpha {order}"] = power(case, p, q, mp.mpf(order))
    if case.square:
        out["l2"] = integral(case, p, q, lambda a, b: (mp.exp(a) - mp.exp(b)) ** 2)
        pq, pp, qq = (
            integral(case, p, q, f)
            for f in (
                lambda a, b: mp.exp(a + b),
                lambda a, b: mp.exp(2 * a),
                lambda a, b: mp.exp(2 * b),
            )
        )
        out["cauchy_schwarz"] = mp.log(pp * qq) / 2 - mp.log(pq)
    return {k: mp.nstr(v, 20) for k, v in out.items()}


def main():
    path = Path(__file__).parent / "reference.json"
    table = json.loads(path.read_text()) if path.exists() else {}
    for name, case in CASES.items():
        if name not in table:
            table[name] = [numbers(case, p, q) for p, q in case.pairs]
            print(name, flush=True)
            path.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
