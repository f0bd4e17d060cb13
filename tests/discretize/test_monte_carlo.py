"""Draws: unbiased values and gradients for every base, gradient and design; what is invalid is refused."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorflow_probability.substrates import jax as tfp

import divjax as dj
from divjax import discretize as dz
from tests.marks import cases

tfd = tfp.distributions
KEYS = jax.random.split(jax.random.key(0), 400)
P = distrax.Normal(0.3, 1.2)
THETA = jnp.array([0.4, -0.5, 0.1])
TEN = (dj.kl, dj.reverse_kl, dj.jensen_shannon, dj.total_variation)


def mixture(theta):
    weights = distrax.Categorical(logits=jnp.stack([theta[0], -theta[0]]))
    locs = jnp.stack([theta[1], jnp.asarray(1.5, theta.dtype)])
    return distrax.MixtureSameFamily(weights, distrax.Normal(locs, jnp.exp(jnp.stack([theta[2], -theta[2]]))))


def z_scores(samples, truth):
    """Mean less truth in standard errors, over the keys."""
    samples = np.asarray(samples, np.float64)
    return (samples.mean(0) - np.asarray(truth, np.float64)) / (samples.std(0, ddof=1) / np.sqrt(len(samples)))


@pytest.fixture(scope="module")
def exact():
    def values(theta):
        nodes = dj.quadrature(P, mixture(theta), crossings=4)
        return jnp.stack([divergence(nodes) for divergence in TEN])

    return jax.jit(lambda theta: (values(theta), jax.jacrev(values)(theta)))(THETA)


BASES = {"p": "p", "q": "q", "mixture": "mixture", "own": distrax.Normal(0.5, 2.0)}
DESIGNS = {"independent": dz.independent, "antithetic": dz.antithetic, "lattice": dz.lattice}
CASES = [("independent", base, gradient) for base in BASES for gradient in ("pathwise", "score")] + [
    (design, base, "pathwise") for design in ("antithetic", "lattice") for base in ("q", "mixture")
]
FURTHER = [("antithetic", "mixture", "pathwise"), ("antithetic", "q", "pathwise"), ("independent", "p", "pathwise")]
FURTHER += [("independent", "p", "score"), ("independent", "q", "pathwise")]


@pytest.mark.parametrize(
    ("design", "base", "gradient"),
    cases(CASES, slow=set(CASES) - {("lattice", "mixture", "pathwise")}, exhaustive=FURTHER),
)
def test_values_and_gradients_are_unbiased_for_mixture_weights_too(design, base, gradient, exact):
    def values(theta, key):
        draws = dj.monte_carlo(
            key, P, mixture(theta), num_draws=512, base=BASES[base], gradient=gradient, design=DESIGNS[design]
        )
        return jnp.stack([divergence(draws) for divergence in TEN])

    found, slopes = jax.jit(jax.vmap(lambda key: (values(THETA, key), jax.jacrev(values)(THETA, key))))(KEYS)
    # 16 correlated comparisons: four standard errors.
    assert np.abs(z_scores(found, exact[0])).max() < 4.0
    assert np.abs(z_scores(slopes, exact[1])).max() < 4.0


@pytest.mark.slow
def test_the_weights_of_a_mixture_have_a_gradient_where_reparameterised_sampling_has_none():
    """Reverse KL in the logits of q: −0.0316 by quadrature, 0.001 by distrax's reparameterised samples."""
    q = lambda t: distrax.MixtureSameFamily(  # noqa: E731
        distrax.Categorical(logits=t), distrax.Normal(jnp.array([0.0, 3.0]), jnp.array([1.0, 0.5]))
    )
    p = distrax.Normal(1.0, 1.5)
    at = jnp.array([0.2, -0.1])
    truth = jax.grad(lambda t: dj.reverse_kl(dj.quadrature(p, q(t))))(at)
    draw = lambda t, key: dj.reverse_kl(dj.monte_carlo(key, p, q(t), num_draws=512, base="q"))  # noqa: E731
    slopes = jax.jit(jax.vmap(jax.grad(draw), (None, 0)))(at, KEYS)
    assert np.abs(z_scores(slopes, truth)).max() < 4.0
    assert np.abs(truth[0]) > 20.0 * np.std(slopes[:, 0]) / np.sqrt(len(KEYS))  # not 0 by noise


def test_components_get_their_share_of_the_draws():
    weights = jnp.array([0.13, 0.57, 0.3])
    far = distrax.MixtureSameFamily(
        distrax.Categorical(probs=weights), distrax.Normal(jnp.array([0.0, 50.0, 99.0]), 1.0)
    )
    draws = dj.monte_carlo(jax.random.key(1), far, distrax.Normal(0.0, 1.0), num_draws=1000, base="p")
    near = jnp.sum(draws.log_q > -40.0)
    assert abs(int(near) - 130) <= 1


FAMILIES = {  # p, q
    "laplace": (tfd.Laplace(0.0, 1.0), distrax.Logistic(0.3, 0.6)),
    "gamma": (distrax.Gamma(2.0, 1.0), tfd.Gamma(2.5, 1.1)),
    "beta": (distrax.Beta(2.0, 3.0), tfd.Beta(2.5, 2.0)),
    "log_normal": (tfd.LogNormal(0.0, 0.5), tfd.LogNormal(0.1, 0.6)),
    "mixture_of_two": (
        distrax.MixtureOfTwo(jnp.asarray(0.3), distrax.Normal(0.0, 1.0), distrax.Laplace(2.0, 1.0)),
        distrax.Normal(1.0, 2.0),
    ),
    "mixture_of_gammas": (
        distrax.MixtureSameFamily(
            distrax.Categorical(probs=jnp.array([0.4, 0.6])),
            distrax.Gamma(jnp.array([2.0, 5.0]), jnp.array([1.0, 1.5])),
        ),
        distrax.Gamma(2.0, 0.8),
    ),
}


@pytest.mark.parametrize("name", cases(FAMILIES, slow=FAMILIES, exhaustive=["beta", "gamma", "mixture_of_gammas"]))
def test_families(name):
    p, q = FAMILIES[name]
    truth = dj.jensen_shannon(dj.quadrature(p, q))
    found = jax.jit(jax.vmap(lambda key: dj.jensen_shannon(dj.monte_carlo(key, p, q, num_draws=256))))(KEYS)
    assert abs(z_scores(found, truth)) < 4.0


def test_discrete_distributions():
    p, q = distrax.Categorical(probs=jnp.array([0.2, 0.3, 0.5])), distrax.Categorical(probs=jnp.array([0.4, 0.4, 0.2]))
    draw = lambda key: dj.kl(dj.monte_carlo(key, p, q, num_draws=256, gradient="score"))  # noqa: E731
    assert abs(z_scores(jax.jit(jax.vmap(draw))(KEYS), p.kl_divergence(q))) < 4.0


@pytest.mark.slow
def test_many_dimensions_against_the_closed_form():
    p = distrax.MultivariateNormalDiag(jnp.zeros(6), jnp.ones(6))
    q = distrax.MultivariateNormalDiag(0.2 * jnp.ones(6), 1.1 * jnp.ones(6))
    for design in (dz.independent, dz.lattice):
        found = jax.jit(jax.vmap(lambda key, d=design: dj.kl(dj.monte_carlo(key, p, q, num_draws=512, design=d))))(KEYS)
        assert abs(z_scores(found, dj.exact.kl(p, q))) < 4.0


@pytest.mark.slow
def test_quasi_monte_carlo_converges_faster_than_the_root(x64):
    p, q, base = distrax.Normal(0.0, 1.0), distrax.Normal(0.5, 0.9), distrax.Normal(0.2, 1.5)
    truth = dj.jensen_shannon(dj.quadrature(p, q))

    def rms(num, design):
        draw = lambda key: dj.jensen_shannon(dj.monte_carlo(key, p, q, num_draws=num, base=base, design=design))  # noqa: E731
        return float(jnp.sqrt(jnp.mean((jax.jit(jax.vmap(draw))(KEYS[:50]) - truth) ** 2)))

    assert rms(16 * 2**8, dz.lattice) < 0.02 * rms(16 * 2**8, dz.independent)
    assert rms(16 * 2**9, dz.lattice) < rms(16 * 2**5, dz.lattice) / 30.0


@pytest.mark.slow
def test_the_lattice_is_even_in_several_dimensions():
    """The mean of Π (1 + B₂(u_j)/2) over the folded lattice, against that of independent draws."""
    dim, num = 5, 2**15
    body = lambda t: jnp.prod(1.0 + 0.5 * (0.25 * t**2 - 1.0 / 12.0), axis=-1)  # noqa: E731
    even = jax.vmap(lambda key: body(dz.lattice(key, num, dim)).mean() - 1.0)(KEYS[:20])
    independent = jax.vmap(lambda key: body(dz.independent(key, num, dim)).mean() - 1.0)(KEYS[:20])
    assert np.abs(even).max() < 0.05 * np.abs(independent).max()


def test_draws_are_strictly_inside_and_symmetric():
    for design in DESIGNS.values():
        t = np.asarray(design(jax.random.key(3), 2**14, 3), np.float64)
        assert np.abs(t).max() < 1.0
        assert abs(t.mean()) < 0.02
    pair = np.asarray(dz.antithetic(jax.random.key(3), 64, 3))
    np.testing.assert_array_equal(pair[:, :, 0, 1:], -pair[:, :, 1, 1:])


UNIT, NORMAL, TWO = distrax.Uniform(0.0, 1.0), distrax.Normal(0.0, 1.0), distrax.Normal(jnp.zeros(2), jnp.ones(2))
COIN = distrax.Categorical(logits=jnp.zeros(2))
REFUSED = {
    "batched": ((NORMAL, TWO, 64), {}, "jax.vmap"),
    "event shapes": ((NORMAL, distrax.MultivariateNormalDiag(jnp.zeros(2)), 64), {}, "equal event shapes"),
    "stl": ((NORMAL, NORMAL, 64), {"gradient": "stl"}, "reverse_kl_stl"),
    "base": ((NORMAL, NORMAL, 64), {"base": "r"}, "'mixture'"),
    "reach": ((UNIT, NORMAL, 64), {"base": "p"}, "base='mixture'"),
    "jump": ((UNIT, NORMAL, 64), {}, "gradient='score'"),
    "discrete": ((COIN, COIN, 64), {}, "'score'"),
    "odd": ((NORMAL, NORMAL, 63), {}, "multiple of 2"),
    "not a power": ((NORMAL, NORMAL, 192), {"design": dz.lattice}, "power of two"),
    "own sampler": ((distrax.Dirichlet(jnp.ones(3)), distrax.Dirichlet(2 * jnp.ones(3)), 64), {"design": dz.lattice},
                    "independent"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_invalid_is_refused(name):
    args, options, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        dj.monte_carlo(jax.random.key(0), *args[:2], num_draws=args[2], **options)


def test_not_a_distribution():
    with pytest.raises(TypeError, match="a distribution of distrax"):
        dj.monte_carlo(jax.random.key(0), NORMAL, 3.0, num_draws=64)


def test_draws_that_stand_still_do_not_see_the_end_of_a_support_move():
    draw = lambda high: dj.total_variation(  # noqa: E731
        dj.monte_carlo(jax.random.key(0), NORMAL, distrax.Uniform(0.0, high), num_draws=64, gradient="score")
    )
    assert np.isfinite(draw(2.0))
    with pytest.raises(ValueError, match=r"dj\.quadrature"):
        jax.grad(draw)(2.0)
    with pytest.raises(ValueError, match=r"dj\.quadrature"):
        jax.jit(jax.grad(draw))(2.0)
    fixed = lambda loc: dj.total_variation(  # noqa: E731
        dj.monte_carlo(jax.random.key(0), UNIT, distrax.Normal(loc, 1.0), num_draws=64, gradient="score")
    )
    assert np.isfinite(jax.jit(jax.grad(fixed))(0.0))
