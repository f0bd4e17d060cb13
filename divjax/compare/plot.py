"""Figures of two samples: columns one by one, in pairs, where they differ, and the rows that tell.

Real rows are blue, generated ones vermillion, in every figure; round and angular markers repeat it.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from divjax.compare.judge import Comparison, Evidence
from divjax.divergences import kernels, samples
from divjax.plots import look

REAL, GENERATED = look.BLUE, look.VERMILLION
WIDTH = 9.6
FEW, SHOWN = 1500, 10
DIFFERENCE = LinearSegmentedColormap.from_list("difference", [GENERATED, "#f6c3a5", "#ffffff", "#a6cde6", REAL])
LEAST_SIMILAR = 6  # columns whose marginals are drawn
DIRECT = 4  # up to so many columns are drawn as they are; more in their principal components


def comparison(found: Comparison, image: tuple[int, ...] | None = None) -> dict[str, tuple[Figure, str]]:
    """The figures of a report: title -> (figure, what it shows in words). ``image``: the shape of a row that is one."""
    names, axes_real, axes_generated = _axes(found)
    figures = {}
    if image:
        figures["Real and generated rows, at random"] = grids(found.evidence, image)
    figures["Where the two differ: the witness function"] = witness(names, axes_real, axes_generated)
    if len(names) > 1:
        figures["First components in pairs" if len(found.columns) > DIRECT else "Columns in pairs"] = pairs(
            names, axes_real, axes_generated
        )
    figures["Columns that differ most" if len(found.columns) > LEAST_SIMILAR else "Columns"] = marginals(found)
    if np.any(found.evidence.far > 0.0):
        figures["Least realistic rows, and the nearest real row of each"] = least_realistic(found, image)
    if "memorised" in found.verdict:
        figures["Copies, and the training row of each"] = copied(found, image)
    if "mode_dropping" in found.verdict and image and len(found.evidence.missed):
        figures["Real rows of parts that get less than half of their share"] = missed(found.evidence, image)
    return figures


def _axes(found):
    """Names, and the samples in up to four columns, or the first four principal components of the real rows."""
    e = found.evidence
    if e.real.shape[1] <= DIRECT:
        return list(found.columns), e.real * e.scale + e.center, e.generated * e.scale + e.center
    center = e.real.mean(axis=0)
    _, size, directions = np.linalg.svd(e.real[:FEW] - center, full_matrices=False)
    share = size**2 / max(np.sum(size**2), np.finfo(float).tiny)
    names = [f"component {i + 1} ({100 * share[i]:.0f} %)" for i in range(min(DIRECT, len(share)))]
    # The sign is arbitrary: the largest entry is positive.
    directions = directions[: len(names)]
    directions = directions * np.sign(directions[np.arange(len(names)), np.argmax(np.abs(directions), axis=1)])[:, None]
    return names, (e.real - center) @ directions.T, (e.generated - center) @ directions.T


def _figure(height: float, width: float = WIDTH) -> Figure:
    return Figure(figsize=(width, height), dpi=look.DPI, layout="constrained")


def _span(*values: np.ndarray) -> tuple[float, float]:
    """Where all but a thousandth of either is, and a margin."""
    ends = [np.quantile(v, (0.001, 0.999)) for v in values]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    margin = 0.05 * (high - low) or 0.5 * max(1.0, abs(high))
    return float(low - margin), float(high + margin)


def _who():
    return [
        (Line2D([], [], color=REAL, marker="o", ls="", ms=5), "real"),
        (Line2D([], [], color=GENERATED, marker="^", ls="", ms=5), "generated"),
    ]


def _histogram(ax, x, y):
    low, high = _span(x, y)
    num = int(np.clip(2.0 * min(len(x), len(y)) ** (1 / 3), 8, 40))
    edges = np.linspace(low, high, num + 1)
    for values, color, style in ((x, REAL, {"fill": True, "alpha": 0.3}), (y, GENERATED, {"lw": 1.5})):
        heights = np.histogram(values, edges)[0] / (len(values) * (edges[1] - edges[0]))
        ax.stairs(heights, edges, color=color, **style)
        if style.get("fill"):
            ax.stairs(heights, edges, color=color, lw=0.8)
    ax.set(xlim=(low, high), yticks=())
    ax.spines[["left"]].set_visible(False)


def marginals(found: Comparison) -> tuple[Figure, str]:
    """Histograms of the columns whose Wasserstein distance is largest, in the file's units, with that distance."""
    e = found.evidence
    num = min(len(e.real), len(e.generated), 2000)
    levels = (np.arange(num) + 0.5) / num
    gaps = np.abs(np.quantile(e.real, levels, axis=0) - np.quantile(e.generated, levels, axis=0)).mean(axis=0)
    chosen = np.argsort(-gaps, kind="stable")[:LEAST_SIMILAR]
    columns = min(3, -(-len(chosen) // (1 + (len(chosen) > 3))))
    rows = -(-len(chosen) // columns)
    figure = _figure(0.45 + 1.75 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for ax in panels.flat[len(chosen) :]:
        ax.set_axis_off()
    for ax, i in zip(panels.flat, chosen, strict=False):
        look.axes(ax)
        _histogram(ax, *(z[:, i].astype(float) * e.scale[i] + e.center[i] for z in (e.real, e.generated)))
        look.title(ax, f"{_short(found.columns[i])}   W₁ = {gaps[i]:.2g} σ", parse_math=False)
    line = Line2D([], [], color=GENERATED, lw=1.5)
    look.legend(figure, [(Patch(facecolor=REAL, alpha=0.4), "real"), (line, "generated")], columns=2)
    worst = found.columns[chosen[0]]
    return figure, (
        f"Histograms of {len(chosen)} columns, real filled and generated as a line; the largest difference is in "
        f"column {worst}: a Wasserstein distance of {gaps[chosen[0]]:.2g} standard deviations."
    )


def _short(name, most=22):
    return f"column {name}" if name.isdigit() else name if len(name) <= most else name[: most - 1] + "…"


def pairs(names: Sequence[str], x: np.ndarray, y: np.ndarray) -> tuple[Figure, str]:
    """Every pair of up to four axes as points, histograms on the diagonal."""
    size = len(names)
    figure = _figure(0.4 + 2.1 * size, WIDTH if size > 2 else 6.4)
    panels = figure.subplots(size, size, squeeze=False)
    for i, j in np.ndindex(size, size):
        ax = look.axes(panels[i, j])
        if i == j:
            _histogram(ax, x[:, i], y[:, i])
        elif i < j:
            ax.set_axis_off()
            continue
        else:
            for z, color, marker in ((x, REAL, "o"), (y, GENERATED, "^")):
                ax.scatter(
                    z[:FEW, j],
                    z[:FEW, i],
                    s=7 if len(x) > 500 else 14,
                    c=color,
                    marker=marker,
                    alpha=0.4,
                    linewidths=0,
                    rasterized=True,
                )
            ax.set(xlim=_span(x[:, j], y[:, j]), ylim=_span(x[:, i], y[:, i]))
        look.label(ax, x=_short(names[j], 26) if i == size - 1 else "", y=_short(names[i], 26) if j == 0 and i else "")
    look.legend(figure, _who(), columns=2)
    return figure, f"Scatter plots of every pair of {', '.join(names)}, real and generated rows over each other."


def witness(names: Sequence[str], x: np.ndarray, y: np.ndarray) -> tuple[Figure, str]:
    """The MMD's witness over the first two axes, or the first: above 0 where there are more real rows."""
    alt = "The witness function of the maximum mean discrepancy"
    x, y = x[:FEW, :2], y[:FEW, :2]
    spread = np.where(x.std(axis=0) > 0.0, x.std(axis=0), 1.0)
    a, b = (jnp.asarray(z / spread, jnp.float32) for z in (x, y))
    kernel = kernels.rbf(0.35 * kernels.median_distance(a, b))
    spans = [_span(x[:, i], y[:, i]) for i in range(x.shape[1])]
    if x.shape[1] == 1:
        figure = _figure(2.9)
        grid = np.linspace(*spans[0], 400)
        values = np.asarray(samples.witness(a, b, jnp.asarray(grid[:, None] / spread, jnp.float32), kernel=kernel))
        ax = look.axes(figure.subplots())
        ax.axhline(0.0, color=look.FAINT, lw=1)
        for color, chosen in ((REAL, values > 0.0), (GENERATED, values < 0.0)):
            ax.fill_between(grid, values, 0.0, where=chosen, color=color, alpha=0.55, lw=0)
        look.label(ax, x=_short(names[0]), y="witness")
        sides = ((REAL, "more real rows"), (GENERATED, "more generated rows"))
        look.legend(figure, [(Patch(facecolor=color, alpha=0.55), text) for color, text in sides], columns=2)
        return figure, f"{alt} along {names[0]}: blue where there are more real rows, orange where more generated ones."
    figure = _figure(4.6)
    ax = look.axes(figure.subplots())
    mesh = np.meshgrid(*(np.linspace(*span, 90) for span in spans))
    at = jnp.asarray(np.stack([m.ravel() for m in mesh], axis=1) / spread, jnp.float32)
    values = np.asarray(samples.witness(a, b, at, kernel=kernel)).reshape(mesh[0].shape)
    top = max(float(np.abs(values).max()), 3.0 * _noise(a, b, at, kernel), 1e-9)
    drawn = ax.contourf(*mesh, values, levels=np.linspace(-top, top, 26), cmap=DIFFERENCE)
    for z, color, marker in ((x, REAL, "o"), (y, GENERATED, "^")):
        ax.scatter(z[:300, 0], z[:300, 1], s=16, c=color, marker=marker, linewidths=0.5, edgecolors="white")
    ax.set(xlim=spans[0], ylim=spans[1])
    look.label(ax, x=_short(names[0], 26), y=_short(names[1], 26))
    bar = figure.colorbar(drawn, ax=ax, shrink=0.85, pad=0.02, ticks=[-top, 0.0, top])
    bar.ax.set_yticklabels(["more\ngenerated", "equal", "more\nreal"], fontsize=look.SMALL + 0.5)
    bar.outline.set_visible(False)
    look.legend(figure, _who(), columns=2)
    return (
        figure,
        f"{alt} over {names[0]} and {names[1]}: blue where there are more real rows, orange more generated ones.",
    )


def _noise(a, b, at, kernel):
    """How large the witness is between samples of one distribution: these two, mixed. No more than that is pale."""
    pool, rng = jnp.concatenate([a, b]), np.random.default_rng(0)
    mixed = (pool[rng.permutation(len(pool))] for _ in range(3))
    sizes = [jnp.abs(samples.witness(z[: len(a)], z[len(a) :], at[::4], kernel=kernel)).max() for z in mixed]
    return float(np.median(sizes))


def least_realistic(found: Comparison, image: tuple[int, ...] | None) -> tuple[Figure, str]:
    """The generated rows farthest from the data, above the nearest real row of each."""
    e = found.evidence
    worst = np.argsort(-e.far, kind="stable")[:SHOWN]
    pair = (e.generated[worst], e.real[e.nearest[worst]])
    captions = [f"{e.far[i]:.2f}" for i in worst]
    alt = (
        f"The {len(worst)} generated rows farthest from the data, and the nearest real row of each. The farthest "
        f"is at {e.far[worst[0]]:.2f} times the distance within which 99 % of real rows have another."
    )
    return _beside(found, pair, captions, image, ("generated", "nearest real"), "distance (unrealistic above 1)"), alt


def copied(found: Comparison, image: tuple[int, ...] | None) -> tuple[Figure, str]:
    """Generated rows that are copies, above the training row of each, at random."""
    e = found.evidence
    chosen = np.flatnonzero(e.copied)[:SHOWN]
    pair = (e.generated[chosen], e.train[e.source[chosen]])
    captions = [f"{value:.2g}" for value in np.linalg.norm(pair[0] - pair[1], axis=1)]
    alt = f"{len(chosen)} of the {int(e.copied.sum())} generated rows that are copies, and the training row of each."
    return _beside(found, pair, captions, image, ("generated", "training row"), "distance"), alt


def _beside(found, pair, captions, image, names, what):
    """Two rows of images, or the columns of the rows as lines, with a caption each."""
    e = found.evidence
    if image:
        return _image_rows([_pixels(e, rows, image) for rows in pair], names, captions, what)
    if e.real.shape[1] == 1:
        return _on_the_line(found, pair, names)
    num = min(len(captions), 6)
    columns = min(3, num)
    figure = _figure(0.5 + 1.7 * -(-num // columns))
    panels = figure.subplots(-(-num // columns), columns, squeeze=False, sharey=True)
    for ax in panels.flat[num:]:
        ax.set_axis_off()
    size = e.real.shape[1]
    at, dots = np.arange(size), "o" if size <= 40 else ""
    for k, ax in zip(range(num), panels.flat, strict=False):
        look.axes(ax)
        for row, color, style in ((pair[1][k], REAL, "-"), (pair[0][k], GENERATED, "--")):
            ax.plot(at, row, color=color, ls=style, marker=dots, ms=3.5, lw=1.3)
        look.title(ax, f"{what} {captions[k]}", parse_math=False)
        step = -(-size // 8)
        long = max(map(len, found.columns)) > 3
        ax.set_xticks(
            at[::step],
            [_short(name, 12) if not name.isdigit() else name for name in found.columns[::step]],
            rotation=30 if long else 0,
            ha="right" if long else "center",
        )
    look.label(panels[0, 0], y="standard deviations")
    look.legend(
        figure,
        [(Line2D([], [], color=GENERATED, ls="--"), names[0]), (Line2D([], [], color=REAL), names[1])],
        columns=2,
    )
    return figure


def _on_the_line(found, pair, names):
    """Rows of one column: all the real ones as a rug, the chosen pairs above it, in the file's units."""
    e = found.evidence
    figure = _figure(1.9)
    ax = look.axes(figure.subplots())
    real, generated, other = (z[:, 0] * e.scale[0] + e.center[0] for z in (e.real[:FEW], *pair))
    ax.plot(real, np.zeros(len(real)), "|", color=REAL, alpha=0.35, ms=14)
    ax.plot(other, np.full(len(other), 0.5), "o", color=REAL, ms=6)
    ax.plot(generated, np.ones(len(generated)), "^", color=GENERATED, ms=6)
    for pair_of in zip(generated, other, strict=True):
        ax.plot(pair_of, (1.0, 0.5), color=look.FAINT, lw=1, zorder=0)
    ax.set_yticks([0.0, 0.5, 1.0], ["real", names[1], names[0]])
    ax.set_ylim(-0.4, 1.3)
    look.label(ax, x=_short(found.columns[0]))
    return figure


def _pixels(e, rows, image):
    """Images [k, height, width(, 3)] in the file's units, and the range of the real ones."""
    return (rows * e.scale + e.center).reshape(-1, *image)


def _range(e):
    low, high = (np.quantile(e.real[:FEW] * e.scale + e.center, q) for q in (0.0, 1.0))
    return float(low), float(high if high > low else low + 1.0)


def _image_rows(rows, names, captions, what):
    num = len(captions)
    figure = _figure(2.5 if num > 5 else 3.2)
    panels = figure.subplots(2, max(num, 5), squeeze=False)
    low, high = float(rows[1].min()), float(rows[1].max())
    for k, images in enumerate(rows):
        for ax in panels[k]:
            ax.set_axis_off()
        for ax, picture in zip(panels[k], images, strict=False):
            _show(ax, picture, low, high, GENERATED if k == 0 else REAL)
        style = {"ha": "right", "va": "center", "rotation": 90, "fontsize": look.BODY, "color": look.INK}
        look.note(panels[k, 0], names[k], (0, 0.5), (-8, 0), xycoords="axes fraction", **style)
    for ax, caption in zip(panels[0], captions, strict=False):
        ax.set_title(caption, fontsize=look.BODY, color=look.INK)
    figure.supxlabel(f"Above each pair: {what}.", fontsize=look.BODY, color=look.MUTED)
    return figure


def _show(ax, picture, low, high, color=None):
    shown = np.clip((picture - low) / ((high - low) or 1.0), 0.0, 1.0)
    ax.imshow(shown, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    if color:
        ax.set_axis_on()
        ax.set(xticks=(), yticks=())
        ax.spines[:].set(color=color, linewidth=1.6)


def _mosaic(pictures: np.ndarray, columns: int, low: float, high: float) -> np.ndarray:
    """Images in one, a pixel of white between them."""
    rows = -(-len(pictures) // columns)
    height, width, *channels = pictures.shape[1:]
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, *channels), low)
    for k, picture in enumerate(pictures):
        top, left = (k // columns) * (height + 1) + 1, (k % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = picture
    return sheet


def grids(e: Evidence, image: tuple[int, ...]) -> tuple[Figure, str]:
    """Real and generated images side by side, at random, in the same grey scale."""
    low, high = _range(e)
    figure = _figure(4.7)
    for ax, rows, name, color in zip(
        figure.subplots(1, 2), (e.real, e.generated), ("real", "generated"), (REAL, GENERATED), strict=True
    ):
        _show(ax, _mosaic(_pixels(e, rows[:64], image), 8, low, high), low, high, color)
        ax.set_title(name, fontsize=look.TITLE, color=color, weight="bold")
    return figure, f"{min(64, len(e.real))} real and {min(64, len(e.generated))} generated images, at random."


def missed(e: Evidence, image: tuple[int, ...]) -> tuple[Figure, str]:
    """Real images out of the parts of the data that generated rows are missing in."""
    low, high = _range(e)
    num = min(len(e.missed), 40)
    figure = _figure(0.4 + 0.48 * -(-num // 20) * 2)
    ax = figure.subplots()
    _show(ax, _mosaic(_pixels(e, e.missed[:num], image), 20, low, high), low, high, REAL)
    return figure, f"{num} real images of the parts of the data with less than half of their share of generated rows."
