"""``divjax compare``: files in, a report and a text out. It refuses before it computes, and overwrites nothing."""

import hashlib
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from divjax.compare.kept import FILE, Kept
from divjax.compare.read import SampleFile, aligned, filled, finite_rows, image_shape, noted, read_samples
from divjax.inputs import folders
from divjax.inputs.options import Quiet

REPORT = "report.html"
MARK = '<meta name="divjax-comparison" content="{}">'


class Settings(NamedTuple):
    """What changes the results, apart from the samples."""

    alpha: float = 0.01
    image: str | None = None
    drop_nan: bool = False
    drop_empty: bool = False
    seed: int = 0
    fast: bool = False


def compare(
    real: Annotated[
        Path,
        typer.Argument(help="Real samples: .npy, .npz (FILE.npz:NAME), .csv, .tsv, .csv.gz or .parquet; a row each."),
    ],
    generated: Annotated[Path, typer.Argument(help="The generator's samples, likewise.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html; by default one in runs/ named after the input.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all results; 'verdict' is a list.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a finding where there is nothing to find.")] = 0.01,
    train: Annotated[
        Path | None, typer.Option(help="What the generator was trained on, where REAL was held out from it.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH[x3] where rows are images; guessed for squares.")
    ] = None,
    drop_nan: Annotated[bool, typer.Option("--drop-nan", help="Leave out rows with NaN or infinite entries.")] = False,
    drop_empty: Annotated[bool, typer.Option("--drop-empty", help="Leave out columns without a number.")] = False,
    seed: Annotated[int, typer.Option(help="Of the permutations and subsamples.")] = 0,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Of the discrepancies the energy distance and Wasserstein alone: two thirds of the time."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether a generator's samples are realistic: discrepancies, two-sample tests, a verdict and a report.

    The verdict is a list out of mode_dropping, unrealistic, memorised, indistinguishable. Nothing is overwritten. Most
    of the time is compiling, the first time: on two cores 3,000 and 2,000 rows of 3 columns take twenty times as long
    as importing JAX (half a minute where that takes 1.5 s), with --fast twelve times, 10,000 and 10,000 of 16 columns
    25 times. What was measured is kept in OUT/measurements.json: the same command, interrupted or with the report
    removed, goes on.
    """
    settings = Settings(alpha=alpha, image=image, drop_nan=drop_nan, drop_empty=drop_empty, seed=seed, fast=fast)
    print(run(real, generated, train, settings, out=out, json_file=json_file, progress=not quiet))


def run(
    real: Path,
    generated: Path,
    train: Path | None,
    settings: Settings,
    *,
    out: Path | None = None,
    json_file: Path | None = None,
    progress: bool = True,
) -> str:
    """Compare two files of samples; writes ``out``/report.html and the JSON file. -> the report as text.

    Raises ValueError, in one line, for any input that has no comparison, and for files that hold other results.
    """
    started = time.perf_counter()
    if not 0.0 < settings.alpha < 1.0 or settings.alpha < 0.001:
        raise ValueError(f"Expected --alpha from 0.001 to 1; got {settings.alpha:g}. It is a probability of error.")
    if not 0 <= settings.seed < 2**32:
        raise ValueError(f"Expected --seed from 0 to 2^32 − 1; got {settings.seed}.")
    files = _read(real, generated, train, settings)
    shape = _image(files, settings)
    digest = _digest(files, settings)
    out = out or Path("runs") / f"compare-{digest[:8]}"
    _check_free(out, digest, json_file)
    from divjax.compare import judge, page, plot

    found = judge.compare(
        settings.seed,
        files[0].x,
        files[1].x,
        train=files[2].x if train else None,
        columns=files[0].columns,
        alpha=settings.alpha,
        image=shape,
        progress=_bar(progress),
        kept=Kept(out / FILE, digest),
        fast=settings.fast,
    )
    found = found._replace(notes=(*(note for file in files if file for note in file.notes), *found.notes))
    said = {"real": str(real), "generated": str(generated)} | ({"train": str(train)} if train else {})
    said |= {**settings._asdict(), "image": "x".join(map(str, shape)) if shape else None}
    figures = plot.comparison(found, shape)
    html = page.as_html(found, real.name, generated.name, figures, said, digest)
    if not (out / REPORT).exists():  # one of the same input and settings says the same
        folders.write_new(out / REPORT, html, "--out")
    if json_file:
        folders.write_new(json_file, page.as_json(found, said), "--json")
    text = page.text(found, real.name, generated.name)
    return f"{text}\n\n{time.perf_counter() - started:.0f} s. Report: {out / REPORT}" + (
        f"; JSON: {json_file}." if json_file else "."
    )


def _read(real, generated, train, settings):
    """The three samples with the same columns, finite; None for no training rows."""
    read = []
    for path in (real, generated, train):
        sample = None if path is None else filled(read_samples(path), path.name, drop=settings.drop_empty)
        if read and sample:
            sample = aligned(read[0], real.name, sample, path.name)
        read.append(sample)
    read[0] = noted(read[0], real.name, read[1], generated.name)
    return tuple(
        sample and finite_rows(sample, path.name, drop=settings.drop_nan)
        for path, sample in zip((real, generated, train), read, strict=True)
    )


def _image(files: tuple[SampleFile, ...], settings) -> tuple[int, ...] | None:
    """The shape of a row that is an image: as said, as the file has it, or guessed."""
    from divjax.compare import scaling

    sample = files[0]
    if settings.image:
        return image_shape(settings.image, sample.x.shape[1])
    if len(sample.shape) > 1:
        return sample.shape if sample.shape[2:] in ((), (3,)) else None
    named = sample.columns != tuple(map(str, range(len(sample.columns))))
    guessed = scaling.guess_image(sample.x)
    return (
        guessed
        if guessed and not (named and len({name.rstrip("0123456789_x") for name in sample.columns}) > 1)
        else None
    )


def _digest(files, settings):
    """Of all that the results depend on."""
    content = hashlib.sha256(repr(settings).encode())
    for file in files:
        content.update(repr(None if file is None else (file.x.shape, file.columns, file.shape)).encode())
        if file is not None:
            content.update(np.ascontiguousarray(file.x).tobytes())
    return content.hexdigest()[:32]


def _check_free(out, digest, json_file):
    """Refuse what would overwrite other results, before anything is computed."""
    folders.check_no_file(out)
    report = out / REPORT
    if report.exists() and MARK.format(digest) not in report.read_text(encoding="utf-8", errors="replace")[:4000]:
        raise ValueError(
            f"Expected --out without other results; got {str(report)!r}, which is another report. Name another."
        )
    if json_file and json_file.is_dir():
        raise ValueError(f"Expected --json to be a file; got {str(json_file)!r}, which is a folder. Name a file in it.")
    if json_file and json_file.is_file():
        raise ValueError(f"Expected --json to be a new file; got {str(json_file)!r}, which exists. Name another.")
    for folder in (out, json_file.parent) if json_file else (out,):
        folders.make(folder, "a folder")


def _bar(progress):
    from tqdm import tqdm

    def steps(names):
        bar = tqdm(names, unit="step", disable=None if progress else True, leave=False)
        for name in bar:
            bar.set_description(name)
            yield name

    return steps
