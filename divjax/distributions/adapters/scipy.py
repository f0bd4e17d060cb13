"""scipy.stats: frozen distributions as records; any other by a call of scipy itself, whose parameters are constants."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from divjax import numerics as nu
from divjax.distributions import (
    circle,
    counts,
    finite,
    half_line,
    heavy_tails,
    interval,
    lifetimes,
    real_line,
    skewed,
    truncated,
    vectors,
)
from divjax.distributions.adapters import image
from divjax.distributions.family import Density, floats
from divjax.distributions.protocol import by_protocol
from divjax.distributions.transformed import Bijection
from divjax.numerics.programs import warn_of_rounding


def to_density(dist: Any, kind: type) -> Density | None:
    """``dist`` as a record with parameters; None for what is not frozen, or has no record and no axis either."""
    make = TABLE.get(kind.__name__)
    if make is None:
        return None
    try:
        with np.errstate(all="ignore"):  # a scale of 0 makes no law, which is said later on
            return make(dist)
    except jax.errors.TracerArrayConversionError:
        name = getattr(getattr(dist, "dist", None), "name", kind.__name__)
        raise TypeError(
            f"Expected constants as the parameters of scipy.stats.{name}; got traced ones. Under jax.jit, jax.grad and "
            "jax.vmap build it of a library of JAX, such as distrax.Normal."
        ) from None


def _continuous(dist):
    name, shapes, loc, scale = _parsed(dist)
    warn_of_rounding(np.stack(np.broadcast_arrays(loc - scale, loc + scale)))
    if name in LOCATED:
        return LOCATED[name](*shapes, loc, scale)
    if name in SCALED:
        return _moved(SCALED[name](*shapes, scale), loc, 1.0)
    if name in STANDARD:
        return _moved(STANDARD[name](*shapes), loc, scale)
    return served(dist)


def _discrete(dist):
    name, shapes, loc, _ = _parsed(dist)
    start = -1.0 if name == "geom" else 0.0  # scipy counts the success too
    return DISCRETE[name](*shapes) if name in DISCRETE and _is(loc, start) else served(dist, discrete=True)


def _parsed(dist):
    """The name of a law of scipy, its shapes, loc and scale; a law of one's own has none of the names."""
    shapes, loc, scale = _arguments(dist)
    is_own = not type(dist.dist).__module__.startswith("scipy.")
    return ("" if is_own else dist.dist.name), shapes, loc, scale


def _arguments(dist):
    shapes, loc, scale = dist.dist._parse_args(*dist.args, **dist.kwds)
    return [np.asarray(shape, float) for shape in shapes], np.asarray(loc, float), np.asarray(scale, float)


def _is(value, number):
    return bool(np.all(np.asarray(value) == number))


def _von_mises(kappa, loc, scale):
    if not _is(scale, 1.0):
        raise ValueError(
            f"Expected scale=1 of scipy.stats.vonmises, angles in radians; got {scale:g}. On a part of the line it is "
            "scipy.stats.vonmises_line."
        )
    return circle.VON_MISES(loc, kappa)


def _moved(base, loc, scale):
    """The density of loc + scale · x."""
    if _is(loc, 0.0) and _is(scale, 1.0):
        return base
    base = jax.tree.map(lambda leaf: jnp.where(jnp.all(jnp.asarray(scale > 0.0)), leaf, jnp.nan), base)
    return image(base, base, floats((loc, scale)), AFFINE, 0, lambda base: base)


def _normal(dist):
    covariance = dist.cov_object.covariance
    if dist.dim == 1:
        return real_line.NORMAL(dist.mean[0], np.sqrt(covariance[0, 0]))
    return vectors.from_covariance(dist.mean, covariance)


def _student_t(dist):
    if dist.dim == 1:
        return real_line.STUDENT_T(dist.df, dist.loc[0], np.sqrt(dist.shape[0, 0]))
    return vectors.MULTIVARIATE_STUDENT_T(dist.df, dist.loc, np.linalg.cholesky(dist.shape))


AFFINE = Bijection(
    forward=lambda map_, x: map_[0] + map_[1] * x,
    inverse_and_log_det=lambda map_, y: ((y - map_[0]) / map_[1], -jnp.log(map_[1])),
    is_affine=lambda map_: True,
)

# Of shapes, loc and scale.
LOCATED = {
    "norm": real_line.NORMAL,
    "laplace": real_line.LAPLACE,
    "logistic": real_line.LOGISTIC,
    "gumbel_r": real_line.GUMBEL,
    "cauchy": real_line.CAUCHY,
    "t": real_line.STUDENT_T,
    "hypsecant": skewed.SOFT_LAPLACE,
    "gennorm": lambda power, loc, scale: skewed.GENERALIZED_NORMAL(loc, scale, power),
    "johnsonsu": skewed.JOHNSON_SU,
    "uniform": lambda loc, scale: interval.UNIFORM(loc, loc + scale),
    "triang": lambda c, loc, scale: interval.TRIANGULAR(loc, loc + scale, loc + c * scale),
    "halfcauchy": heavy_tails.HALF_CAUCHY,
    "levy": heavy_tails.LEVY,
    "genpareto": lambda c, loc, scale: heavy_tails.GENERALIZED_PARETO(loc, scale, c),
    "vonmises": _von_mises,
    "vonmises_line": lambda kappa, loc, scale: _moved(circle.VON_MISES(0.0, kappa), loc, scale),
    "truncnorm": lambda a, b, loc, scale: truncated.TRUNCATED_NORMAL(loc, scale, loc + a * scale, loc + b * scale),
}
# Of shapes and scale; any loc moves them.
SCALED = {
    "expon": lambda scale: half_line.EXPONENTIAL_LAW(1.0 / scale),
    "gamma": lambda a, scale: half_line.GAMMA(a, 1.0 / scale),
    "chi2": lambda df, scale: half_line.GAMMA(0.5 * df, 0.5 / scale),
    "invgamma": half_line.INVERSE_GAMMA,
    "invgauss": lambda mu, scale: lifetimes.INVERSE_GAUSSIAN(mu * scale, scale),
    "lognorm": lambda s, scale: lifetimes.LOG_NORMAL(np.log(scale), s),
    "halfnorm": half_line.HALF_NORMAL,
    "weibull_min": lifetimes.WEIBULL,
    "gompertz": lambda c, scale: lifetimes.GOMPERTZ(c, 1.0 / scale),
    "pareto": heavy_tails.PARETO,
    "lomax": heavy_tails.LOMAX,
    "fisk": lambda c, scale: heavy_tails.LOG_LOGISTIC(np.log(scale), 1.0 / c),
    "invweibull": heavy_tails.FRECHET,
    **dict.fromkeys(("loguniform", "reciprocal"), lambda a, b, scale: interval.LOG_UNIFORM(a * scale, b * scale)),
}
# Of shapes; loc and scale move and stretch them.
STANDARD = {
    "beta": interval.BETA,
    "arcsine": lambda: interval.BETA(0.5, 0.5),
    "chi": half_line.CHI,
    "loggamma": lambda c: skewed.EXP_GAMMA(c, 1.0),
}
DISCRETE = {
    "poisson": lambda mu: counts.POISSON(rate=mu),
    "geom": lambda p: counts.GEOMETRIC(success=p),
    "nbinom": lambda n, p: counts.NEGATIVE_BINOMIAL(n, success=p),
    "binom": lambda n, p: finite.BINOMIAL(n, probs=p),
    "bernoulli": lambda p: finite.BERNOULLI(probs=p),
    "betabinom": lambda n, a, b: finite.BETA_BINOMIAL(n, a, b),
    "randint": lambda low, high: finite.DISCRETE_UNIFORM(low, high - 1),
}


TABLE = {
    "rv_continuous_frozen": _continuous,
    "rv_histogram": lambda dist: _continuous(dist.freeze()),  # has no parameters left
    "rv_discrete_frozen": _discrete,
    "multivariate_normal_frozen": _normal,
    "multivariate_t_frozen": _student_t,
    "dirichlet_frozen": lambda dist: vectors.DIRICHLET(dist.alpha),
    "multinomial_frozen": lambda dist: finite.MULTINOMIAL(dist.n, probs=dist.p),
}


# --- By scipy itself ---------------------------------------------------------------------------------------


def served(dist: Any, *, discrete: bool = False) -> Density:
    """By its own methods, called from the compiled program: numbers go in and come out, and no derivatives."""
    return by_protocol(
        dist,
        name=dist.dist.name,
        log_prob=_log_pmf if discrete else _log_pdf,
        event=_no_axes,
        batch=_batch,
        draw=_draw_counts if discrete else None,  # a density is drawn from by its quantiles
        moments=_moments,
        tails=_tails,
        support=_ends,
        discrete=discrete,
        grid=_values if discrete else None,
    )


def _no_axes(dist):
    return ()


def _batch(dist):
    shapes, loc, scale = _arguments(dist)
    return np.broadcast_shapes(*(np.shape(of) for of in (*shapes, loc, scale)))


def _call(method, x, batch):
    """The values of a method of a frozen distribution, computed in double precision."""
    message = (
        "Expected points that stand still for a distribution that is served by scipy itself; got some that are "
        "differentiated along. Use a distribution of distrax, TFP or numpyro, or dj.distributions.register."
    )
    x = floats(x * 1.0)  # whole numbers as floats of the usual precision
    shape, dtype = np.broadcast_shapes(x.shape, batch), x.dtype
    # Sent as words of 32 bits: the thread that calls back may not know of jax.enable_x64, and would round doubles.
    words = (dtype.itemsize // 4,)

    def on_host(bits):
        x = np.ascontiguousarray(bits).view(dtype)[..., 0]
        with np.errstate(all="ignore"):  # what overflows there is an infinity here
            value = np.asarray(method(np.asarray(x, np.float64)), dtype)
        return np.ascontiguousarray(value[..., None]).view(np.uint32)

    found = jax.pure_callback(
        on_host,
        jax.ShapeDtypeStruct(shape + words, np.uint32),
        jnp.reshape(jax.lax.bitcast_convert_type(jax.lax.stop_gradient(x), np.uint32), x.shape + words),
        vmap_method="expand_dims",
    )
    found = found if words == (2,) else found[..., 0]
    return jax.lax.bitcast_convert_type(found, dtype) + nu.undifferentiable(x, message)


def _log_pdf(dist, x):
    return _call(dist.logpdf, x, _batch(dist))


def _log_pmf(dist, x):
    return _call(dist.logpmf, x, _batch(dist))


def _tails(dist, x):
    return _call(dist.cdf, x, _batch(dist)), _call(dist.sf, x, _batch(dist))


def _draw_counts(dist, key, shape):
    level = jax.random.uniform(key, shape + _batch(dist))
    return _call(dist.ppf, jnp.maximum(level, jnp.finfo(level.dtype).tiny), _batch(dist))  # at 0 is no value of it


def _values(dist):
    """All but what rounding hides, None where they are too many: scipy's parameters are known while tracing too."""
    with np.errstate(all="ignore"):
        first = np.min(dist.ppf(counts.LEFT_OUT))
        if not np.all(dist.sf(first + counts.LONGEST) <= counts.LEFT_OUT):  # or isf may take minutes
            return None
        last = np.max(dist.isf(counts.LEFT_OUT))
    return np.arange(int(first), int(last) + 1)


def _moments(dist):
    """The median and a scale from the quartiles: a mean may be infinite."""
    low, center, high = (dist.ppf(level) for level in (0.25, 0.5, 0.75))
    return jnp.asarray(center), jnp.asarray((high - low) / 1.35)


def _ends(dist):
    """Floats, since no parameter is differentiated."""
    low, high = dist.support()
    return float(np.min(low)), float(np.max(high))
