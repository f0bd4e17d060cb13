"""Figure of the digits: what each model draws, and beside it how real and how diverse that is."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from divjax.plots import look
from divjax.studies.digits import study
from divjax.tables import count, standard_error

if TYPE_CHECKING:
    import xarray

SHOWN = 12  # images of each model
NAMES = {
    study.FRESH: ("real, fresh", "a perfect model"),
    "flow": ("flow", "maximum likelihood"),
    "vae": ("VAE", "likelihood's bound"),
    "vae_means": ("VAE, means", "as mostly shown"),
    "gan": ("GAN", "non-saturating"),
    "wgan_gp": ("WGAN-GP", "Wasserstein-1"),
}
# measure, heading, what it says, and the colour of its kind: is it real, is all there, is it sharp
MEASURES = (
    ("unrealistic", "unrealistic", "outside", look.VERMILLION),
    ("precision", "precision", "real-looking", look.VERMILLION),
    ("density", "density", "among real", look.VERMILLION),
    ("recall", "recall", "real reached", look.BLUE),
    ("coverage", "coverage", "real met", look.BLUE),
    ("sharpness", "sharpness", "real = 1", look.GREEN),
)


def generated_digits(table: "xarray.Dataset") -> Figure:
    """A row for each model: images of the first seed; each measure's mean over seeds, two standard errors to each side.

    The dashed line is where fresh real images are. table: of ``studies.digits.run``.
    """
    names = [str(name) for name in table["model"].values]
    figure = Figure(figsize=(11.4, 1.65 + 0.56 * len(names)), dpi=look.DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, wspace=0.02, hspace=0.02)
    ratios = (7.0, *[1.15] * len(MEASURES))
    grid = figure.add_gridspec(len(names), len(ratios), width_ratios=ratios)
    for index, name in enumerate(names):
        ax = figure.add_subplot(grid[index, 0])
        strip = _strip(table["images"].sel(model=name).values[0, :SHOWN])
        ax.imshow(strip, cmap="gray_r", aspect="equal", vmin=0.0, vmax=16.0, interpolation="nearest")
        ax.set_axis_off()
        title, remark = NAMES.get(name, (name, ""))
        look.row_label(ax, title, _likelihood(table.sel(model=name), remark))
    for column, (measure, title, remark, color) in enumerate(MEASURES, start=1):
        _measured(figure.add_subplot(grid[:, column]), table, names, measure, color)
        figure.axes[-1].set_title(f"{title}\n{remark}", fontsize=look.SMALL, color=color, pad=4)
    num = table.sizes["seed"]
    told = "Means ± 2 standard errors" if num > 1 else "No errors"
    look.heading(
        figure,
        "Digits by maximum likelihood and by games: who is blurred, who forgets, who is unrealistic",
        f"{count(num, 'split')}: {study.TRAIN} images to train on, {study.COMPARED} to compare with. "
        f"{told}; dashed: real ones",
    )
    return figure


def _strip(images):
    """Images side by side, a pixel of white between them."""
    cells = np.asarray(images).reshape(-1, study.SIDE, study.SIDE)
    return np.concatenate([np.pad(cell, ((0, 0), (0, 1))) for cell in cells], axis=1)


def _likelihood(rows, remark):
    last = rows["log_likelihood"].isel(round=-1).values
    return f"{last.mean():.0f} nats an image".replace("-", "−") if np.all(np.isfinite(last)) else remark


def _measured(ax, table, names, measure, color):
    values = table[measure].transpose("model", "seed").values
    mean = values.mean(1)
    stderr = standard_error(values) if values.shape[1] > 1 else np.zeros(len(names))
    rows = np.arange(len(names))
    if study.FRESH in names:
        ax.axvline(mean[names.index(study.FRESH)], color=look.MUTED, lw=0.9, ls=look.DASHES[1], zorder=0)
    ax.errorbar(mean, rows, xerr=2.0 * stderr, fmt="o", color=color, ms=4.5, lw=1.2, capsize=2)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks([])
    look.axes(ax)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x", color=look.FAINT, lw=0.4)
    ax.set_axisbelow(True)
    ax.margins(x=0.15)
    ax.xaxis.set_major_locator(MaxNLocator(2, prune="upper"))
