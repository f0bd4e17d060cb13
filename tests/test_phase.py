"""The phase diagram of mode seeking: two ways to its lines, and what is known of them otherwise."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from scipy.integrate import quad

import divjax as dj
from divjax.cli import main
from divjax.studies.phase import lines as phase_lines
from divjax.studies.phase import study as phase

FITS = json.loads((Path(__file__).parent / "reference" / "gaussian_fits.json").read_text())
ALPHA = phase.lookup("alpha")
ORDERS = (-1.0, -0.8, -0.2, 0.2, 0.6)


@pytest.mark.parametrize("alpha", [0.3, 0.7, 1.5])
def test_alpha_renyi_and_tsallis_are_monotone_functions_of_the_family(alpha):
    """Of the same integral, so that they have its optima."""
    p, q = dj.targets.two_modes(3.0), dj.models.normal({"loc": 1.0, "log_scale": 0.4})
    nodes = dj.quadrature(p, q)
    ours = ALPHA.loss(p, q, {"order": jnp.float32(alpha)})
    np.testing.assert_allclose(dj.renyi(nodes, alpha=alpha), alpha * ours, rtol=2e-5)
    of_alpha = jnp.expm1(alpha * (alpha - 1.0) * ours) / (alpha * (alpha - 1.0))
    np.testing.assert_allclose(dj.alpha_divergence(nodes, alpha=alpha), of_alpha, rtol=2e-5)


@pytest.mark.parametrize(
    ("alpha", "bound"),
    [(-1.0, (-np.inf, 0.5 * np.log(2.0))), (2.0, (-0.5 * np.log(2.0), np.inf)), (0.5, (-np.inf, np.inf))],
)
def test_bounds_are_where_the_integral_begins_to_diverge(alpha, bound):
    """At −1 ∫ q²/p of a wider q, at 2 ∫ p²/q of a narrower one."""
    low, high = ALPHA.bounds(jnp.float32(alpha))
    np.testing.assert_allclose((low, high), bound, rtol=1e-6)
    free = jnp.linspace(-3.0, 3.0, 7)
    scale = phase.log_scale(free, (low, high))
    assert ((scale > low) & (scale < high)).all()
    np.testing.assert_allclose(phase.free_scale(scale, (low, high)), free, atol=1e-4)


@pytest.mark.slow
def test_the_two_ways_agree_to_a_thousandth_and_at_order_minus_one_with_pi():
    """∫ q²/p, q = N(d/2 + x, s²), at the largest scale s² = 2, is ∝ ∫ e^(x u − x²/2) / cosh(d u / 2) du, whose second
    derivative in x at 0 vanishes where the mean square of u under sech(d u / 2), (π/d)², is 1."""
    by_fits = phase_lines.by_fits(ALPHA, ORDERS)
    by_roots = phase_lines.by_roots(ALPHA, ORDERS, by_fits)
    for ours, other in zip(by_roots, by_fits.lines, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(other))
        np.testing.assert_allclose(ours, other, atol=1e-3)
    np.testing.assert_allclose([line[0] for line in by_roots], np.pi, atol=1e-6)
    # A continuous change, by a trapezoid rule and scipy alone.
    np.testing.assert_allclose([line[1] for line in by_roots], 3.411829, atol=2e-6)


def test_the_mean_square_under_sech():
    d = 2.3
    moments = [quad(lambda u, k=k: u**k / np.cosh(0.5 * d * u), -60, 60)[0] for k in (0, 2)]
    np.testing.assert_allclose(moments[1] / moments[0], (np.pi / d) ** 2, rtol=1e-8)


def test_default_orders_keep_away_from_the_kls():
    for num in (4, 31, 64, 128, 202, 599):
        orders = ALPHA.orders(num)
        assert orders.size == num
        assert (np.diff(orders) > 0.0).all()
        assert all(map(ALPHA.check, orders))


def test_what_rounding_stalls_at_an_optimum_is_one():
    table = {"status": [0, 4, 4, 2], "grad_norm": [1e-8, 3e-5, 0.1, 1e-8], "value": [0.1, 0.0, 0.1, 0.1]}
    fits = xarray.Dataset({name: ("seed", values) for name, values in table.items()})
    np.testing.assert_array_equal(phase.settled(fits), [True, True, False, False])


def by_reference(fits):
    """How many minima of each kind the table has: (covering, seeking)."""
    middle = 0.5 * fits["target"]["means"][1]
    return lambda name: [
        any((abs(each["mu"] - middle) > 0.03 * each["sigma"]) == aside for each in fits["minima"][name])
        for aside in (False, True)
    ]


@pytest.mark.slow
def test_kinds_are_those_of_the_reference_fits():
    """Minima found by another program, at every separation that it has."""
    even = {"weights": [0.5, 0.5], "scales": [1, 1]}
    plain = [each for each in FITS if even.items() <= each["target"].items() and each["target"]["means"][1] <= 10]
    separations = [each["target"]["means"][1] for each in plain]
    assert len(separations) >= 3
    named = {
        "alpha": {"alpha_0.25": 0.25, "alpha_0.5": 0.5, "alpha_0.75": 0.75},
        "jensen_shannon": {"jensen_shannon_0.1": 0.1, "jensen_shannon": 0.5, "jensen_shannon_0.9": 0.9},
    }
    for family, orders in named.items():
        kinds = phase.kinds(phase.run(family, list(orders.values()), separations, 16)).kind
        for i, name in enumerate(orders):
            for j, each in enumerate(plain):
                covers, seeks = by_reference(each)(name)
                got = kinds[i, j]
                assert (got in (phase.COVERS, phase.COVERS_OR_SEEKS, phase.SEEKS_OR_COVERS)) == covers, (name, j)
                assert (got in (phase.SEEKS, phase.COVERS_OR_SEEKS, phase.SEEKS_OR_COVERS)) == seeks, (name, j)


@pytest.mark.slow
def test_fits_change_kind_where_the_lines_are():
    family = phase.lookup("jensen_shannon")
    by_fits = phase_lines.by_fits(family, [0.1, 0.5, 0.9])
    lines = phase_lines.by_roots(family, [0.1, 0.5, 0.9], by_fits)
    for ours, other in zip(lines, by_fits.lines, strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-3)
    separations = [lines.seeking[2] - 0.05, lines.seeking[2] + 0.05, lines.switch[2] - 0.05, lines.switch[2] + 0.05]
    kinds = phase.kinds(phase.run("jensen_shannon", [0.9], separations, 24)).kind[0]
    np.testing.assert_array_equal(kinds, [phase.COVERS, *[phase.COVERS_OR_SEEKS] * 2, phase.SEEKS_OR_COVERS])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: phase.run("beta"), "family out of alpha, jensen_shannon; got 'beta'"),
        (lambda: phase.run("alpha", [1.0]), "orders of alpha in .* got 1"),
        (lambda: phase.run("alpha", [0.5], [-1.0]), "separations >= 0; got -1"),
        (lambda: phase.run("jensen_shannon", [1.5]), "orders of jensen_shannon in .* got 1.5"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    options = "--family jensen_shannon --orders 8 --separations 0:10:8 --seeds 4 --lines 3 --quiet"
    arguments = ["phase", *options.split(), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    out = capsys.readouterr().out
    assert "8.4894" in out  # where one mode becomes the better fit of Jensen-Shannon's
    assert "256 fits" in out
    assert {"jensen_shannon.zarr", "jensen_shannon.png"} == {path.name for path in tmp_path.iterdir()}
