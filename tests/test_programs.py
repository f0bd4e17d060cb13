"""Kept programs: the right answer to the second call as well, whatever has changed since the first."""

import functools

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import divjax as dj
from divjax import checks
from divjax.numerics.programs import kept

NODES = dj.pmf(jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75])))


def counted():
    traces = []

    @kept
    def function(x, *, power=1.0, times=1, f=jnp.sin):
        traces.append(times)
        return times * f(x) ** power

    return function, traces


def test_other_values_are_the_same_program_and_other_options_another():
    function, traces = counted()
    for x, power in ((0.1, 2.0), (0.2, 3.0), (jnp.float32(0.3), 2.0)):
        assert float(function(x, power=power)) == pytest.approx(np.sin(float(x)) ** power, rel=1e-5)
    looked = 2  # each number given by name is shown once
    assert len(traces) == looked + 2  # a float, which is weakly typed, and an array
    function(0.4, times=True)
    assert float(function(0.4, times=1)) == pytest.approx(np.sin(0.4), rel=1e-6)
    assert traces[looked + 2 :] == [True, 1]
    before = len(traces)
    assert float(function(0.4, times=2)) == pytest.approx(2 * np.sin(0.4), rel=1e-6)
    assert float(function(0.4, f=jnp.cos)) == pytest.approx(np.cos(0.4), rel=1e-6)
    assert len(traces) == before + 2


def test_within_jit_nothing_is_left_of_it_and_eagerly_it_is_differentiated_whole():
    function, _ = counted()
    assert "pjit" not in str(jax.make_jaxpr(function)(0.3))
    assert float(jax.grad(function)(0.3)) == pytest.approx(np.cos(0.3), rel=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(jnp.array([0.1, 0.2])), np.sin([0.1, 0.2]), rtol=1e-6)


def test_an_array_that_is_given_twice_is_one_and_not_so_the_next_time():
    @kept
    def product(a, b):
        return a * b

    a, b = jnp.float32(3.0), jnp.float32(5.0)
    assert [float(product(*pair)) for pair in ((a, a), (a, b), (b, b), (b, a))] == [9.0, 15.0, 25.0, 15.0]
    assert float(jax.grad(lambda a: product(a, a))(a)) == 6.0


class Mine:
    """A law that is no pytree, and may be changed."""

    def __init__(self, loc):
        self.loc = loc

    def log_prob(self, x):
        return -0.5 * (x - self.loc) ** 2 - 0.5 * np.log(2.0 * np.pi)

    def mean(self):
        return jnp.asarray(self.loc)

    def stddev(self):
        return jnp.ones(())


def test_an_object_that_was_changed_is_another_law():
    p, mine = distrax.Normal(0.0, 1.0), Mine(1.0)
    for loc in (1.0, 3.0, 1.0):
        mine.loc = loc
        assert float(dj.kl(p, mine)) == pytest.approx(0.5 * loc**2, rel=1e-5)


@pytest.mark.parametrize("alpha", [-1.0, np.float64(-1.0), jnp.float32(-1.0), np.array(-1.0)])
def test_a_number_outside_its_domain_is_refused_however_it_is_given(alpha):
    for call in (
        lambda: dj.renyi(NODES, alpha=alpha),
        lambda: dj.estimate(dj.renyi, NODES, alpha=alpha),
        lambda: dj.estimate(functools.partial(dj.renyi, alpha=alpha), NODES),
    ):
        for _ in range(2):  # a refusal is not forgotten
            with pytest.raises(ValueError, match=r"Expected alpha in \[0, inf\); got -1"):
                call()


def test_what_has_no_closed_form_is_refused_again_and_what_has_one_is_not():
    p, q = distrax.Normal(0.0, 1.0), distrax.Laplace(0.0, 1.0)
    for _ in range(2):
        with pytest.raises(NotImplementedError):
            dj.exact.renyi(p, q)
    assert np.isfinite(dj.exact.renyi(p, distrax.Normal(0.5, 1.0)))


def test_the_usual_value_is_no_program_of_its_own():
    """jensen_shannon has half as much to do where its weight is ½: also where that is said, and of distributions."""
    p, q = distrax.Normal(0.0, 1.0), distrax.Normal(2.0, 1.0)
    text = [str(jax.make_jaxpr(functools.partial(dj.jensen_shannon, **said))(NODES)) for said in ({}, {"weight": 0.5})]
    assert text[0] == text[1]
    between = [jax.jit(functools.partial(dj.jensen_shannon, **said)).lower(p, q) for said in ({}, {"weight": 0.5})]
    assert between[0].as_text() == between[1].as_text()
    # Where it is differentiated, it is a parameter: the derivative is KL(p‖m) − KL(q‖m).
    slope = jax.grad(lambda w: dj.jensen_shannon(NODES, weight=w))(0.5)
    a, b = np.exp(NODES.log_p), np.exp(NODES.log_q)
    right = np.sum(a * np.log(2 * a / (a + b)) - b * np.log(2 * b / (a + b)))
    assert float(slope) == pytest.approx(float(right), rel=1e-4)


def test_a_number_is_shown_only_until_it_has_been_looked_at():
    """What comes behind the checks is traced once, for the program, however many numbers are given."""
    traces = []

    @kept
    def function(x, *, order=1.0, weight=0.5):
        order, weight = checks.parameter(order, "order", 0.0), checks.parameter(weight, "weight", 0.0, 1.0)
        traces.append(order)
        return weight * x**order

    for order in (4.0, 2.0, 3.0):
        assert float(function(2.0, order=order, weight=0.25)) == 0.25 * 2.0**order
    assert len(traces) == 1
    for wrong in ({"order": -1.0}, {"order": 2.0, "weight": 1.5}):
        with pytest.raises(ValueError, match="Choose a value inside"):
            function(2.0, **wrong)
