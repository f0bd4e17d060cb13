"""Figures: what they say is there and legible, on real fits and at the edges of what a sweep can hold."""

import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from scipy.stats import norm

from divjax import plots
from divjax.plots import look, words
from divjax.status import NOT_CONVERGED
from divjax.studies.two_modes import plot
from divjax.studies.two_modes import study as two_modes


@pytest.fixture(scope="module")
def fits():
    """Six seeds that end in the reference optima in turn, as a sweep would have them; nothing is compiled."""
    targets = json.loads((Path(__file__).parent / "reference" / "gaussian_fits.json").read_text())
    minima = {t["target"]["means"][1]: t["minima"] for t in targets if t["target"]["weights"] == [0.5, 0.5]}
    names, separations, seeds = ("kl", "reverse_kl"), (4.0, 8.0, 16.0), range(6)
    rows = [
        [[fit(d, **minima[d][name][i % len(minima[d][name])]) for i in seeds] for d in separations] for name in names
    ]
    dims = ("divergence", "separation", "seed")
    variables = {
        key: (
            dims if key != "mode_mass" else (*dims, "mode"),
            np.asarray([[[s[key] for s in r] for r in t] for t in rows]),
        )
        for key in rows[0][0][0]
    }
    return xr.Dataset(variables, {"divergence": list(names), "separation": np.float32(separations), "seed": seeds})


def fit(d, mu, sigma, value):
    """One fit's variables, its basin and rates from the normal cdf; the modes' regions are ±2.576."""
    q = norm(mu, sigma)
    real = sum(q.cdf(m + 2.576) - q.cdf(m - 2.576) for m in (0.0, d)) if d > 5.2 else q.cdf(d + 2.4) - q.cdf(-2.4)
    mass = (q.cdf(d / 2), q.sf(d / 2))
    basin = int(np.argmax(mass)) if min(mass) < 0.05 else -1 if d > 5.2 else -2
    ended = {"basin": np.int32(basin), "status": np.int32(0)}
    return {"loc": mu, "scale": sigma, "value": value, "unrealistic_rate": 1 - real, "mode_mass": mass, **ended}


def texts(figure):
    return [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]


def said(figure):
    return " ".join(text.get_text().replace("\n", " ") for text in texts(figure))


def assert_legible(figure):
    """Nothing sticks out of the figure; heading, panels and legend keep clear of each other; text can be read."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert min(text.get_fontsize() for text in texts(figure)) >= look.SMALL
    panels = [ax.get_tightbbox(renderer) for ax in figure.axes]  # with all that is drawn at them
    headings = [text.get_window_extent(renderer) for text in figure.texts if text.get_text().strip()]
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    for box in (*panels, *headings, *legends):
        assert min(box.x0, box.y0) > -1
        assert box.x1 < figure.bbox.x1 + 1
        assert box.y1 < figure.bbox.y1 + 1
    parts = [*panels, *legends]
    for first, second in (*itertools.combinations(parts, 2), *itertools.product(headings, parts)):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        along = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(across, along) < 4  # pixels


def test_figure_1_states_the_unrealistic_rate_of_maximum_likelihood(fits):
    figure = plot.figure_1(fits)
    assert_legible(figure)
    text = said(figure)
    rate = float(fits["unrealistic_rate"].sel(divergence="kl", separation=16.0).isel(seed=0))
    assert f"Maximum likelihood puts {100 * rate:.1f} % of its samples where there are no data" in text
    assert "½ N(0, 1) + ½ N(16, 1)" in text
    assert "N(8, 8.06²), kl = 1.39 nats" in text
    assert "where 99 % of the data are" in text
    assert len(figure.axes) == 1


def test_figure_1_at_another_separation_and_divergence(fits):
    figure = plot.figure_1(fits, divergence="reverse_kl", separation=4.2)
    assert_legible(figure)
    assert "½ N(4, 1)" in said(figure)


def test_figure_1_needs_a_fit_that_converged(fits):
    with pytest.raises(ValueError, match=r"Expected a converged fit of kl at separation 16; got none\."):
        plot.figure_1(unconverged(fits, fits["status"] == fits["status"]))


def test_optima_shows_each_distinct_optimum(fits):
    figure = plot.optima(fits)
    assert_legible(figure)
    kl, reverse_kl = figure.axes
    in_panel = "\n".join(text.get_text() for text in reverse_kl.texts)
    for part in ("reverse_kl", "value in nats", "μ", "σ", "seeds", "unrealistic", "0.00", "16.00", "1.00", "0.693"):
        assert part in in_panel
    assert "69 %" in "\n".join(text.get_text() for text in kl.texts)
    assert "Modes 16 apart: of 2 divergences 1 collapses onto one mode, 1 averages the modes" in said(figure)
    assert "6 random starts" in said(figure)
    num = len(two_modes.optima(fits.sel(separation=16.0, divergence="reverse_kl")))
    styles = {(line.get_color(), line.get_linestyle()) for line in reverse_kl.lines}
    assert len(reverse_kl.lines) == 2 * num  # each density, and its line in the table
    assert len(styles) == num


def test_against_separation_has_a_row_for_each_divergence(fits):
    figure = plot.against_separation(fits)
    assert_legible(figure)
    assert len(figure.axes) == 6
    text = said(figure)
    for part in ("kl", "never collapses", "reverse_kl", "collapses from 8", "σ of the optima", "unrealistic rate"):
        assert part in text
    assert "reverse_kl is the first to give up a mode, at separation 8; 1 of 2 never do" in text
    best = figure.axes[1].lines[1].get_ydata()
    np.testing.assert_allclose(best[-1], 68.9, atol=0.1)


@pytest.mark.parametrize("num", [1, 3, 12])
def test_any_number_of_divergences(fits, num):
    names = ["jensen_shannon_0.25", "squared_hellinger", "kl", *(f"renyi_{i}" for i in range(9))][:num]
    many = xr.concat([fits.isel(divergence=i % 2) for i in range(num)], "divergence").assign_coords(divergence=names)
    for figure, panels in ((plot.optima(many), num), (plot.against_separation(many), 3 * num)):
        assert_legible(figure)
        assert len(figure.axes) == panels


def test_one_separation_and_one_seed(fits):
    one = fits.isel(separation=[1], seed=[0])
    figure = plot.against_separation(one)
    assert_legible(figure)
    assert "o" in [line.get_marker() for line in figure.axes[1].lines]
    figure = plot.optima(one)
    assert_legible(figure)
    assert "1 random start " in said(figure)


def test_unequal_weights_and_scales(fits):
    for figure in (
        plot.optima(fits, weights=(0.25, 0.75), scales=(0.5, 2.0)),
        plot.figure_1(fits, weights=(0.25, 0.75), scales=(0.5, 2.0)),
    ):
        assert_legible(figure)
        assert "¼ N(0, 0.50²) + ¾ N(16, 2²)" in said(figure)
    figure = plot.against_separation(fits, weights=(0.25, 0.75), scales=(0.5, 2.0))
    spread = np.sqrt(0.25 * 0.25 + 0.75 * 4 + 0.25 * 0.75 * 16.0**2)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata()[-1], spread)


def unconverged(fits, where):
    return fits.assign(status=xr.where(where, np.int32(NOT_CONVERGED), fits["status"]))


def test_fits_that_did_not_converge_are_left_out_and_counted(fits):
    some = unconverged(fits, (fits["seed"] == 0) & (fits["divergence"] == "kl"))
    assert "3 of 36 fits did not converge and are left out." in said(plot.against_separation(some))
    assert "1 of 12 fits did not converge and is left out." in said(plot.optima(some))
    none = unconverged(fits, fits["divergence"] == "kl")
    for figure in (plot.against_separation(none), plot.optima(none)):
        assert_legible(figure)
    assert "no fit converged" in said(plot.optima(none))
    assert "did not converge" not in said(plot.optima(fits))


def test_more_optima_than_a_panel_shows(fits):
    spread = fits.assign(scale=fits["scale"] * (1 + 0.2 * fits["seed"]), value=fits["value"] + fits["seed"])
    figure = plot.optima(spread)
    assert_legible(figure)
    assert "and 2 more" in said(figure)


SAMPLE = np.concatenate([np.linspace(-2, 2, 60), np.linspace(5, 7, 40)])


def test_sample_fits():
    figure = plots.sample_fits(SAMPLE, {"kl": (2.4, 3.3), "reverse_kl": (0.0, 1.2)}, column="height_m $2")
    assert_legible(figure)
    (ax,) = figure.axes
    assert ax.get_xlabel() == "height_m $2"
    assert "The fitted σ goes from 1.20 (reverse_kl) to 3.30 (kl)" in said(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "100 values",
        "kl  N(2.40, 3.30²)",
        "reverse_kl  N(0, 1.20²)",
    ]
    heights, edges, _ = ax.patches[0].get_data()
    np.testing.assert_allclose(np.sum(heights * np.diff(edges)), 1.0)
    assert (edges[0], edges[-1]) == (SAMPLE.min(), SAMPLE.max())


@pytest.mark.parametrize(
    "x", [np.full(5, 3.0), np.array([1.0]), np.array([0.0, np.nan, 1.0, np.inf]), 1e8 * SAMPLE, 1e-8 * SAMPLE, []]
)
def test_samples_of_any_kind(x):
    figure = plots.sample_fits(x, {"kl": (0.5, 1.0)})
    assert_legible(figure)
    assert ("2 values not finite, left out." in said(figure)) == (len(x) == 4)


def test_twelve_gaussians_look_different():
    figure = plots.sample_fits(SAMPLE, {f"renyi_{i}": (i / 6, 1.0 + i / 6) for i in range(12)})
    assert_legible(figure)
    lines = figure.axes[0].lines[1:]
    rgb = np.asarray([to_rgb(line.get_color()) for line in lines])
    apart = np.linalg.norm(rgb[:, None] - rgb[None], axis=-1)[np.triu_indices(12, 1)]
    assert len(lines) == 12
    assert apart.min() > 0.15


def test_basins_have_colours_and_markers_of_their_own():
    looks = [look.basin_look(basin) for basin in (-2, -1, 0, 1, 2, 3)]
    assert len({color for color, _ in looks}) == len({marker for _, marker in looks}) == 6


@pytest.mark.slow
def test_figures_of_a_sweep():
    swept = two_modes.run_sweep([8.0, 16.0], 4, ("kl", "reverse_kl"))
    for figure in (plot.figure_1(swept), plot.optima(swept), plot.against_separation(swept)):
        assert_legible(figure)
        assert "68.9 %" in said(figure) or len(figure.axes) > 1


def test_save_makes_the_folder_and_overwrites(tmp_path):
    figure = plots.sample_fits(SAMPLE, {})
    for _ in range(2):
        plots.save(figure, tmp_path / "a" / "sample.png")
    head = (tmp_path / "a" / "sample.png").read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert int.from_bytes(head[16:20], "big") == 960
    plots.save(figure, str(tmp_path / "sample"))
    assert (tmp_path / "sample").read_bytes().startswith(b"\x89PNG")
    plots.save(figure, tmp_path / "sample.pdf")
    assert (tmp_path / "sample.pdf").read_bytes().startswith(b"%PDF")


def test_threads_may_draw(tmp_path):
    def draw(i):
        plots.save(plots.sample_fits(SAMPLE, {"kl": (2.4, 3.3)}), tmp_path / f"{i}.png")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(draw, range(4)))
    assert len({(tmp_path / f"{i}.png").read_bytes() for i in range(4)}) == 1


def test_divjax_imports_no_matplotlib_and_plots_no_pyplot():
    code = "import sys, divjax; assert 'matplotlib' not in sys.modules\n"
    code += "import divjax.plots; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("kl", "nats"), ("jensen_shannon_0.1", "nats"), ("squared_hellinger", ""), ("energy", "units of x"), ("my", "")],
)
def test_units(name, unit):
    assert words.unit(name) == unit


def test_numbers():
    assert [words.fixed(v) for v in (8.062, -1e-9, 0.0123, 12345.6)] == ["8.06", "0.00", "0.0123", "1.23e+04"]
    assert [words.place(*v) for v in ((0.00158, 1.0), (0.0168, 2.0), (0.0168, 0.05))] == ["0.00", "0.02", "0.0168"]
    assert [words.short(v) for v in (9.8, 0.6931, 1e-12, 2e-6, 104.2)] == ["9.80", "0.693", "0", "2e-06", "104"]
    assert words.percent(0.6889) == "68.9 %"
    assert words.percent(0.99) == "99 %"
