"""How densities fall against mpmath's log-densities, and what diverges against how their products fall."""

import functools
import itertools
import math
import warnings

import distrax
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import status
from divjax.distributions import Family, half_line, real_line
from divjax.distributions import density as of
from divjax.distributions.decay import Place, Places, decays, places
from divjax.distributions.family import LINE, Density, smooth
from divjax.distributions.mixtures import mixture
from divjax.distributions.truncated import truncated
from tests.distributions.line_references import ROWS, student_log
from tests.oracle import ON_NODES, PAIR_NAMES, PAIRS, build, parameters

tfd = tfp.distributions


def laplace_log(x, loc, scale):
    return -abs(x - loc) / scale - mp.log(2 * scale)


def logistic_log(x, loc, scale):
    z = abs(x - loc) / scale
    return -z - 2 * mp.log1p(mp.exp(-z)) - mp.log(scale)


def gumbel_log(x, loc, scale):
    z = (x - loc) / scale
    return -z - mp.exp(-z) - mp.log(scale)


# family -> parameters of order 1, and log p(x) by mpmath
SHAPED = (1.4, 0.8)
LAWS = {
    "NORMAL": (0.3, 0.7),
    "CAUCHY": (0.3, 0.7),
    "EXPONENTIAL_LAW": (1.3,),
    "GAMMA": (0.4, 1.2),
    "CHI": (2.5,),
    "INVERSE_GAMMA": (2.5, 0.7),
    "HALF_NORMAL": (1.3,),
    "INVERSE_GAUSSIAN": (1.5, 2.0),
    "LOG_NORMAL": (0.3, 0.9),
    "WEIBULL": SHAPED,
    "GOMPERTZ": (0.3, 1.1),
    "PARETO": SHAPED,
    "LOMAX": SHAPED,
    "HALF_CAUCHY": (0.0, 2.0),
    "HALF_STUDENT_T": (3.0, 0.0, 0.5),
    "LEVY": (0.0, 0.9),
    "LOG_LOGISTIC": (0.3, 0.6),
    "DAGUM": (0.3, 2.0, 1.5),
    "FRECHET": SHAPED,
    "UNIFORM": (-1.0, 2.5),
    "LOG_UNIFORM": (0.5, 2.5),
    "TRIANGULAR": (-1.0, 2.5, 0.3),
    "BETA": (0.4, 3.5),
    "KUMARASWAMY": (0.5, 2.5),
    "RELAXED_BERNOULLI": (0.7, 0.3),
    "LOGIT_NORMAL": (0.3, 0.8),
    "ASYMMETRIC_LAPLACE": (0.3, 2.0, 0.5),
    "SOFT_LAPLACE": (0.3, 1.1),
    "GENERALIZED_NORMAL": (0.3, 2.0, 1.7),
    "EXP_GAMMA": (0.6, 1.2),
    "JOHNSON_SU": (0.5, 1.2, 0.3, 2.0),
}
OTHERS = {
    "LAPLACE": (real_line.LAPLACE, (0.3, 1.2), laplace_log),
    "LOGISTIC": (real_line.LOGISTIC, (0.3, 0.9), logistic_log),
    "GUMBEL": (real_line.GUMBEL, (0.3, 0.8), gumbel_log),
    "STUDENT_T": (real_line.STUDENT_T, (2.5, 0.3, 0.8), student_log),
}
FALLS = {name: (ROWS[name].family, params, ROWS[name].log_pdf) for name, params in LAWS.items()} | OTHERS


@functools.cache
def law(name):
    family, params, _ = FALLS[name]
    with jax.enable_x64(True):  # noqa: FBT003
        return Density(family, family.parameters(*(jnp.asarray(value) for value in params)))


@functools.cache
def fall(name, side, y):
    """log p by mpmath, at a distance y towards infinity or 1/y from the end of the support."""
    _, params, log_pdf = FALLS[name]
    end = float(of.support(law(name))[side])
    inwards = mp.mpf(1 - 2 * side)
    with mp.workdps(60):
        x = -inwards * mp.mpf(y) if np.isinf(end) else mp.mpf(end) + inwards / mp.mpf(y)
        return log_pdf(x, *map(mp.mpf, params))


def test_every_family_with_a_decay_is_looked_at():
    known = {name for name, row in ROWS.items() if row.family.decay is not None}
    assert known - set(FALLS) == {"TRUNCATED_NORMAL", "TRUNCATED_CAUCHY"}


@pytest.mark.parametrize("name", FALLS)
def test_decays_are_those_of_the_densities(name, x64):
    for side, decay in enumerate(decays(law(name))):
        terms = {term: float(getattr(decay, term)) for term in ("power", "order", "width", "loc", "log_square")}
        rest = []
        for y in (2e5, 8e5) if terms["order"] < np.inf else (30.0, 40.0):
            z = (y - terms["loc"]) / terms["width"]
            lead = 0.0 if terms["order"] == 0.0 else mp.exp(z) if terms["order"] == np.inf else z ** terms["order"]
            rest.append(fall(name, side, y) + lead + terms["log_square"] * mp.log(y) ** 2 + terms["power"] * mp.log(y))
        if terms["order"] == np.inf:  # what is left is far below the exponential
            assert abs(rest[1]) < 1e-6 * lead
        else:
            assert float(rest[1] - rest[0]) == pytest.approx(0.0, abs=4e-3)


def steepness(p, q, side, a, b, of_log):
    """How p^a q^b, or p |log q|, times dx/d log y goes with y, far out: below 0 the integral converges."""
    end = float(of.support(law(p))[side])
    jacobian = 1 if np.isinf(end) else -1

    def logs(y):
        log_p, log_q = fall(p, side, y), fall(q, side, y)
        value = log_p + mp.log(abs(log_p - log_q)) if of_log else a * log_p + b * log_q
        return value + jacobian * mp.log(y)

    return (logs(2e5) - logs(1e5)) / mp.log(2)


def shared_ends():
    """Pairs of families that end at the same place, infinity or not, on one side."""
    at = {name: [float(end) for end in of.support(law(name))] for name in FALLS}
    return [(p, q, side) for p, q in itertools.permutations(FALLS, 2) for side in (0, 1) if at[p][side] == at[q][side]]


def test_what_diverges_is_what_falls_too_slowly(x64):
    """All pairs of families at all ends that they share, but the few that are too close to a boundary to see."""
    looked_at = 0
    for p, q, side in shared_ends():
        least = 1.0 if math.isinf(float(of.support(law(p))[side])) else -1.0
        here = Places((Place(decays(law(p))[side], decays(law(q))[side], least),))
        for a, b, of_log in ((2.0, -1.0, False), (-1.0, 2.0, False), (1.5, 0.0, False), (1.0, 0.0, True)):
            slope = steepness(p, q, side, a, b, of_log)
            if abs(slope) < 0.2:
                continue
            diverges = here.log() if of_log else here.power(a, b)
            assert bool(diverges) == (slope > 0.0), (p, q, side, a, b, of_log, float(slope))
            looked_at += 1
    assert looked_at > 2000


# --- Divergences -------------------------------------------------------------------------------------------


def normal(loc, scale):
    return distrax.Normal(jnp.asarray(loc, float), jnp.asarray(scale, float))


def normals(weights, loc, scale):
    return distrax.MixtureSameFamily(distrax.Categorical(probs=jnp.asarray(weights)), normal(loc, scale))


def students(weights, df):
    return distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.asarray(weights)), tfd.StudentT(jnp.asarray(df), 0.0, 1.0)
    )


INFINITE = {
    # q²/p goes like e^(.0204 x²)
    "a wider component": (dj.neyman_chi2, normal(0.0, 0.7), normals([0.5, 0.5], [-3.0, 4.0], [1.0, 1.0]), {}),
    "1/x": (dj.pearson_chi2, tfd.StudentT(2.0, 0.0, 1.0), tfd.StudentT(4.0, 5.0, 3.0), {}),
    "1/x, in logs": (dj.renyi, tfd.StudentT(2.0, 0.0, 1.0), tfd.StudentT(4.0, 5.0, 3.0), {"alpha": 2.0}),
    "1/x at 0": (dj.renyi, tfd.Gamma(0.5, 1.0), tfd.Gamma(1.0, 1.0), {"alpha": 2.0}),
    "no variance": (dj.kl, tfd.Cauchy(0.0, 1.0), normal(0.0, 1.0), {}),
    "no variance of q": (dj.reverse_kl, normal(0.0, 1.0), tfd.Cauchy(0.0, 1.0), {}),
    "one of both": (dj.jeffreys, normal(0.0, 1.0), tfd.Cauchy(0.0, 1.0), {}),
    "no mean": (dj.kl, tfd.Cauchy(0.0, 1.0), tfd.Laplace(0.0, 1.0), {}),
    "wider": (dj.pearson_chi2, normal(0.0, 2.0), normal(0.0, 1.0), {}),
    "as wide, and moved": (dj.pearson_chi2, normal(0.0, 2.0**0.5), normal(1.0, 1.0), {}),
    "order 3": (dj.alpha_divergence, normal(0.0, 1.0), normals([0.5, 0.5], [0.0, 1.0], [0.7, 0.8]), {"alpha": 3.0}),
    "no 1/x": (dj.kl, tfd.Exponential(1.0), tfd.InverseGamma(2.0, 1.0), {}),
    "exponential of an exponential": (dj.kl, tfd.Laplace(0.0, 2.0), tfd.Gumbel(0.0, 1.0), {}),
    "a root of x, squared": (dj.l2, tfd.Gamma(0.4, 1.0), tfd.Gamma(2.0, 1.0), {}),
    "one square": (dj.cauchy_schwarz, tfd.Gamma(0.4, 1.0), tfd.Gamma(2.0, 1.0), {}),
    "one square, of Weibull": (dj.cauchy_schwarz, tfd.Weibull(0.4, 1.0), tfd.Gamma(2.0, 1.0), {}),
    "at an end inside": (dj.pearson_chi2, tfd.Gamma(0.4, 1.0), normal(0.0, 3.0), {}),
    "between moved ends": (dj.l2, tfd.Beta(0.3, 2.0), tfd.Uniform(-1.0, 1.0), {}),
    "a light weight": (dj.kl, students([1.0 - 1e-6, 1e-6], [3.0, 1.1]), normal(0.0, 1.0), {}),
}
FINITE = {
    "far out the widest carries p": (
        dj.neyman_chi2,
        normals([0.3, 0.3, 0.4], [-5.0, 0.0, 6.0], [0.7, 0.4, 1.5]),
        normals([0.5, 0.5], [-4.0, 5.0], [1.0, 2.0]),
        {},
        28.2246005,
    ),
    "hardly": (dj.pearson_chi2, tfd.StudentT(2.0, 0.0, 1.0), tfd.StudentT(3.9, 0.0, 1.0), {}, 1.5925343),
    "no weight": (dj.kl, students([1.0, 0.0], [3.0, 1.1]), normal(0.0, 1.0), {}, 0.64546096),
    "a gamma variable's 1/x": (dj.kl, tfd.Gamma(2.0, 1.0), tfd.InverseGamma(2.0, 1.0), {}, 0.69113734),
    # E e^|x| of Laplace's law of scale ½, by mpmath
    "slower than its exponential": (dj.kl, tfd.Laplace(0.0, 0.5), tfd.Gumbel(0.0, 1.0), {}, 1.0 / 3.0),
}


# Of these in a program and on nodes too, which are the same code for all.
WHOLE = {"1/x", "1/x, in logs", "between moved ends", "a light weight", "far out the widest carries p", "no weight"}


def everywhere(name, divergence, p, q, params):
    """By the door, eagerly and in a program, and as estimates of both and of nodes."""
    values, estimates = [divergence(p, q, **params)], [dj.estimate(divergence, p, q, **params)]
    if name in WHOLE:
        both = jax.jit(lambda p, q: (divergence(p, q, **params), dj.estimate(divergence, p, q, **params)))(p, q)
        values.append(both[0])
        estimates += [both[1], dj.estimate(divergence, dj.quadrature(p, q), **params)]
    return values, estimates


@pytest.mark.parametrize("name", INFINITE)
@pytest.mark.filterwarnings("error::divjax.status.AccuracyWarning")
def test_a_divergent_integral_is_infinite(name):
    divergence, p, q, params = INFINITE[name]
    values, estimates = everywhere(name, divergence, p, q, params)
    assert {float(value) for value in values} == {np.inf}
    for found in estimates:
        assert (float(found.value), float(found.stderr), int(found.status)) == (np.inf, 0.0, status.INFINITE)


@pytest.mark.parametrize("name", FINITE)
def test_an_integral_that_hardly_converges_is_finite(name):
    divergence, p, q, params, truth = FINITE[name]
    for found in everywhere(name, divergence, p, q, params)[1]:
        assert np.isfinite(found.value)
        assert not int(found.status) & status.INFINITE
        assert int(found.status) or abs(float(found.value) - truth) <= 3.0 * float(found.stderr) + 1e-6 * truth


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=PAIR_NAMES)
def test_references_that_diverge_are_infinite(number):
    pair = PAIRS[number]
    p, q = (build(pair[side], [value.astype("f4") for value in parameters(pair[side])]) for side in "pq")
    for name, (divergence, params) in ON_NODES.items():
        door = getattr(dj, divergence.__name__)
        expected = pair["values"].get(name, 0.0)
        found = dj.estimate(door, p, q, **params) if expected is None else None
        assert found is None or (float(found.value), int(found.status)) == (np.inf, status.INFINITE), name


@pytest.mark.parametrize(("alpha", "shift"), [(1.5, 0.0), (2.0, 0.0), (2.0, 1.0), (3.0, 1.0), (0.5, 1.0)])
def test_renyi_of_normals_diverges_where_the_closed_form_says(alpha, shift, x64):
    """At and beyond α/s² + (1−α)/t² = 0; as halves of mixtures, for which there is no closed form."""
    for ratio in (0.9, 1.0, 1.1):
        t = np.sqrt(ratio * max(alpha - 1.0, 0.1) / alpha) * 2.0
        p, q = normals([0.5, 0.5], [0.0, 0.0], [2.0, 1.0]), normal(shift, t)
        infinite = alpha > 1.0 and alpha / 4.0 + (1.0 - alpha) / t**2 < 1e-12
        assert np.isinf(float(dj.renyi(p, q, alpha=alpha))) == infinite
        assert np.isinf(float(jax.jit(lambda alpha, p=p, q=q: dj.renyi(p, q, alpha=alpha))(alpha))) == infinite


def test_equal_widths_are_decided_by_what_is_linear(x64):
    """On x > 0 p²/q is e^(−2 loc x) times a constant."""
    p = half_line.HALF_NORMAL(1.0)
    found = [dj.pearson_chi2(p, truncated(real_line.NORMAL(loc, 0.5**0.5), low=0.0)) for loc in (-0.5, 0.0, 0.5)]
    np.testing.assert_array_equal(np.isinf(found), [True, True, False])


def test_many_are_decided_at_once():
    df = jnp.asarray([1.0, 2.0, 2.5, 3.0])
    found = jax.vmap(lambda df: dj.kl(tfd.StudentT(df, 0.0, 1.0), normal(0.0, 1.0)))(df)
    np.testing.assert_array_equal(np.isinf(found), [True, True, False, False])
    nodes = jax.vmap(lambda df: dj.quadrature(tfd.StudentT(df, 0.0, 1.0), normal(0.0, 1.0)))(df)
    np.testing.assert_array_equal(
        jax.vmap(lambda nodes: dj.estimate(dj.kl, nodes))(nodes).status == status.INFINITE, np.isinf(found)
    )


def test_gradients_of_the_infinite_are_no_nan_and_fits_keep_their_values():
    p, q = tfd.Cauchy(0.0, 1.0), normal(0.0, 1.0)
    assert float(jax.grad(lambda scale: dj.kl(tfd.Cauchy(0.0, scale), q))(1.0)) == 0.0
    nodes = dj.quadrature(p, q)
    assert np.isfinite(dj.kl(nodes))
    slopes = jax.grad(dj.kl)(nodes)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert np.isnan(jax.jit(dj.kl)(p, normal(0.0, -1.0)))


def test_orders_exchanged_and_summed():
    nodes = dj.quadrature(normal(0.0, 1.0), tfd.Cauchy(0.0, 1.0))
    for made, infinite in ((dj.reverse(dj.kl), True), (dj.symmetrize(dj.kl), True), (dj.reverse(dj.reverse_kl), False)):
        assert np.isinf(dj.estimate(made, nodes).value) == infinite
    assert np.isfinite(dj.estimate(dj.skew(dj.reverse_kl, weight=0.5), nodes).value)


def test_a_table_shows_what_diverges():
    rows = dj.table(tfd.Cauchy(0.0, 1.0), normal(0.0, 1.0))
    assert (rows["kl"].value, rows["kl"].stderr, rows["kl"].status) == (np.inf, 0.0, status.INFINITE)
    assert rows["reverse_kl"].status == status.OK
    distance = rows["wasserstein"]
    assert (distance.value, distance.stderr, distance.status) == (np.inf, 0.0, status.INFINITE)
    line = next(line for line in str(rows).splitlines() if line.startswith("kl "))
    assert line.split() == ["kl", "inf", "0", "quadrature", "infinite"]


@pytest.mark.slow
def test_a_table_shows_a_closed_form_that_diverges():
    exact = dj.table(normal(0.0, 1.0), normal(0.0, 1.5))["neyman_chi2"]
    assert (exact.value, exact.stderr, exact.route, exact.status) == (np.inf, 0.0, "exact", status.INFINITE)


def test_an_overflow_is_not_a_divergent_integral():
    far = dj.estimate(dj.pearson_chi2, dj.quadrature(normal(0.0, 1.0), normal(100.0, 1.0)))
    assert float(far.value) == np.inf
    assert int(far.status) & (status.NON_FINITE | status.INFINITE) == status.NON_FINITE


def affine(base, shift, scale):
    return tfd.TransformedDistribution(base, tfp.bijectors.Shift(shift)(tfp.bijectors.Scale(scale)))


def test_shifted_cut_and_mixed_laws_decay_as_they_should():
    gamma = affine(tfd.Gamma(0.4, 1.0), jnp.asarray(2.0), jnp.asarray(3.0))
    other = affine(tfd.Gamma(1.0, 1.0), jnp.asarray(2.0), jnp.asarray(3.0))
    assert np.isinf(dj.pearson_chi2(gamma, other))
    assert np.isfinite(dj.neyman_chi2(gamma, other))
    cut = truncated(real_line.CAUCHY(0.0, 1.0), low=0.5)
    assert np.isinf(dj.kl(cut, normal(0.0, 1.0)))
    assert np.isfinite(dj.kl(truncated(real_line.CAUCHY(0.0, 1.0), low=0.5, high=9.0), normal(0.0, 1.0)))
    mixed = mixture(
        [real_line.NORMAL(jnp.zeros(2), jnp.ones(2)), real_line.CAUCHY(jnp.zeros(1), jnp.ones(1))],
        probs=jnp.asarray([0.5, 0.25, 0.25]),
    )
    light = mixture(mixed.params.groups, probs=jnp.asarray([0.5, 0.5, 0.0]))
    assert np.isinf(dj.kl(mixed, normal(0.0, 1.0)))
    assert np.isfinite(dj.kl(light, normal(0.0, 2.0)))
    assert np.isinf(dj.pearson_chi2(light, normal(0.0, 0.5)))


def groups_of(rng):
    """Normal laws, and Laplace's or Student's by chance, with weights of which some are 0; and log p by mpmath."""
    kinds = ["NORMAL", *rng.choice(["NORMAL", "LAPLACE", "STUDENT_T"], rng.integers(0, 2))]
    groups, logs = [], []
    for kind in kinds:
        family, _, log_pdf = FALLS[kind]
        columns = {"df": rng.choice([2.0, 4.0], 2)} if kind == "STUDENT_T" else {}
        columns |= {"loc": rng.normal(size=2), "scale": rng.choice([0.5, 0.7, 1.0, 1.6], 2)}
        groups.append(Density(family, family.parameters(*map(jnp.asarray, columns.values()))))
        logs += [(log_pdf, row) for row in zip(*columns.values(), strict=True)]
    weights = rng.dirichlet(np.ones(len(logs))) * rng.choice([0.0, 1.0, 1.0], len(logs))
    weights[rng.integers(len(logs))] += 0.1

    def log_p(x):
        heavy = [(w, log_pdf, row) for w, (log_pdf, row) in zip(weights, logs, strict=True) if w > 0.0]
        return mp.log(sum(mp.mpf(w) * mp.exp(log_pdf(x, *map(mp.mpf, row))) for w, log_pdf, row in heavy))

    return mixture(groups, probs=jnp.asarray(weights)), log_p


@pytest.mark.parametrize("seed", range(40))
def test_the_slowest_component_that_has_a_weight_decides(seed, x64):
    rng = np.random.default_rng(seed)
    (p, log_p), (q, log_q) = groups_of(rng), groups_of(rng)
    for a in (2.0, -1.0, 1.3):
        with mp.workdps(40):
            slopes = []
            for sign in (-1, 1):
                near, far = ([log(mp.mpf(sign * x)) for log in (log_p, log_q)] for x in (1e6, 2e6))
                slopes.append(sum(c * (y - x) for c, x, y in zip((a, 1 - mp.mpf(a)), near, far, strict=True)))
        # x times the integrand, twice as far out; at a power of −1 they are, or far from it.
        assert bool(places(p, q).power(a, 1.0 - a)) == any(slope / mp.log(2) > -1 - 1e-3 for slope in slopes)


def test_what_is_not_known_is_as_it_was():
    family = Family(
        name="Own",
        parameters=real_line.Located,
        log_prob=real_line.CAUCHY.log_prob,
        support=lambda params: LINE,
        profile=lambda params: smooth(*params, (0.0, 1.0, 5.0, 50.0)),
    )
    p, q = family(0.0, 1.0), normal(0.0, 1.0)
    assert dj.quadrature(p, q).laws is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isfinite(dj.kl(p, q))
    # Student's t of infinitely many degrees of freedom is normal: nothing is said of it.
    normal_t = tfd.StudentT(jnp.inf, 0.0, 0.5)
    assert np.isfinite(dj.pearson_chi2(normal_t, q))


def pareto(shape):
    return tfd.Pareto(shape, 1.0)


@pytest.mark.parametrize(
    ("divergence", "p", "q", "infinite"),
    [
        (dj.wasserstein, tfd.Cauchy(0.0, 1.0), distrax.Normal(0.0, 1.0), True),
        (dj.wasserstein, tfd.Cauchy(0.0, 1.0), tfd.Cauchy(0.0, 2.0), True),  # ∫ |1 − 2| |x| p
        (dj.wasserstein, tfd.Cauchy(0.0, 1.0), tfd.Cauchy(1.0, 1.0), False),  # 1: a shift
        (functools.partial(dj.wasserstein, order=2), tfd.StudentT(2.0, 0.0, 1.0), distrax.Normal(0.0, 1.0), True),
        (functools.partial(dj.wasserstein, order=2), tfd.StudentT(2.1, 0.0, 1.0), distrax.Normal(0.0, 1.0), False),
        (dj.wasserstein, pareto(1.0), pareto(1.2), True),
        (dj.wasserstein, jnp.arange(3.0), tfd.Cauchy(0.0, 1.0), True),
        (dj.wasserstein, jnp.arange(3.0), distrax.Normal(0.0, 1.0), False),
        (dj.energy, pareto(0.5), distrax.Normal(0.0, 1.0), True),  # ∫ (1 − P)² = ∫ 1/x
        (dj.energy, pareto(0.5), pareto(0.5), False),
        (dj.cramer, tfd.Cauchy(0.0, 1.0), distrax.Normal(0.0, 1.0), False),
    ],
)
@pytest.mark.filterwarnings("ignore:.*moment is hardly finite")
def test_a_distance_on_the_line_is_infinite_where_tails_without_a_moment_differ(divergence, p, q, infinite):
    for sides in ((p, q), (q, p)):
        assert bool(divergence(*sides) == jnp.inf) == infinite
        assert bool(jax.jit(lambda sides=sides: divergence(*sides))() == jnp.inf) == infinite


def test_a_shift_of_a_law_without_a_mean_has_its_distance():
    cauchy = tfd.Cauchy(0.0, 1.0)
    slope = jax.grad(lambda loc: dj.wasserstein(cauchy, tfd.Cauchy(loc, 1.0)))(1.5)
    np.testing.assert_allclose([dj.wasserstein(cauchy, tfd.Cauchy(1.5, 1.0)), slope], [1.5, 1.0], rtol=1e-5)


def test_a_gradient_of_what_is_infinite_is_none():
    found = dj.estimate_gradient(
        dj.kl, lambda scale: dj.quadrature(tfd.Cauchy(0.0, scale), distrax.Normal(0.0, 1.0)), 1.0
    )
    assert np.isnan(found.value)
    assert int(found.status) == dj.status.INFINITE | dj.status.NON_FINITE
