"""What a comparison of samples found, as text, as JSON and as one HTML page that needs nothing else."""

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from matplotlib.figure import Figure

from divjax.compare.judge import Comparison, Fidelity, paired, percent
from divjax.tables import table

NAMES = {
    "mode_dropping": "mode dropping",
    "unrealistic": "unrealistic samples",
    "memorised": "memorisation",
    "indistinguishable": "indistinguishable",
}
FIDELITY = {
    "precision": "generated rows within the real data",
    "recall": "real rows within the generated data",
    "density": "real neighbourhoods that a generated row is in, over those expected",
    "coverage": "real rows with a generated one in their neighbourhood",
}
CHECKS = {"unrealistic": "unrealistic", "missing": "missing modes", "uncovered": "uncovered", "memorised": "copies"}


def verdict_words(found: Comparison) -> str:
    """The verdict as a headline."""
    if not found.verdict:
        return "Told apart, in none of the known ways"
    words = " and ".join(NAMES[name] for name in found.verdict)
    return words[0].upper() + words[1:]


def text(found: Comparison, real: str, generated: str) -> str:
    """Everything that was found, as tables for a terminal."""
    sections = [f"{generated} ({found.rows[1]} rows) against {real} ({found.rows[0]} rows), {_columns(found)}"]
    for header, rows in _tables(found):
        sections.append(table(header, rows))
    sections.append("\n".join(found.notes))
    sections.append("\n".join([f"Verdict: {verdict_words(found)}.", *found.reasons]))
    return "\n\n".join(sections)


def _columns(found):
    return f"{len(found.columns):,} column{'s' if len(found.columns) > 1 else ''}"


def _tables(found):
    yield (
        ("discrepancy", "value", "std. error", "two real halves", "rows", ""),
        [
            (d.name, number(d.value), number(d.stderr), number(d.between_halves), paired(*d.rows), d.words)
            for d in found.discrepancies
        ],
    )
    yield (
        ("two-sample test", "statistic", "p-value", ""),
        [(t.name, number(t.statistic), p_value(t.p_value), t.words) for t in found.tests],
    )
    if found.checks:
        yield (
            ("check", "generated", "real", "p-value", ""),
            [
                (CHECKS[c.name], percent(c.rate), percent(c.real_rate), p_value(c.p_value), c.words)
                for c in found.checks
            ],
        )
        yield (
            ("fidelity", "generated", "std. error", "real", "std. error", ""),
            [(name, *map(number, values), FIDELITY[name]) for name, values in found.fidelity.items()],
        )


def number(value: float) -> str:
    """Three digits that count, and a dash for what is not known."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else str(value).replace("inf", "∞")
    if value == 0.0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}"


def with_error(value: float, stderr: float) -> str:
    """A share or the like with its standard error, both to as many places."""
    return f"{value:.3f} ± {stderr:.3f}" if math.isfinite(stderr) else number(value)


def p_value(value: float) -> str:
    return "< 1e-6" if value < 1e-6 else number(value)


def as_json(found: Comparison, settings: Mapping[str, Any]) -> str:
    """The same for machines: ``verdict`` is a list; what is not finite is null."""
    content = {
        "verdict": list(found.verdict),
        "reasons": list(found.reasons),
        "notes": list(found.notes),
        "settings": dict(settings),
        "rows": {"real": found.rows[0], "generated": found.rows[1]},
        "columns": list(found.columns),
        "threshold": found.threshold,
        "discrepancies": {d.name: _but_name(d) for d in found.discrepancies},
        "tests": {t.name: _but_name(t) for t in found.tests},
        "checks": {c.name: _but_name(c) for c in found.checks},
        "fidelity": {name: values._asdict() for name, values in found.fidelity.items()},
    }
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _but_name(entry):
    return {name: value for name, value in entry._asdict().items() if name not in ("name", "words")}


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_html(
    found: Comparison,
    real: str,
    generated: str,
    figures: Mapping[str, tuple[Figure, str]],
    settings: Mapping[str, Any],
    digest: str,
) -> str:
    """The page: pictures are in it, nothing is loaded. ``figures``: title -> (figure, what it shows in words)."""
    page = resources.files("divjax.compare").joinpath("page.html").read_text(encoding="utf-8")
    kind = "good" if found.verdict == ("indistinguishable",) else "bad"
    parts = {
        "digest": digest,
        "generated": html.escape(generated),
        "real": html.escape(real),
        "rows": f"{found.rows[1]:,} generated rows, {found.rows[0]:,} real rows, {_columns(found)}",
        "headline": html.escape(verdict_words(found)),
        "kind": kind,
        "reasons": "".join(f"<li>{html.escape(reason)}</li>" for reason in found.reasons),
        "meters": "".join(_meter(name, values) for name, values in found.fidelity.items()),
        "figures": "".join(_figure(title, *pair) for title, pair in figures.items()),
        "tables": "".join(_html_table(header, rows) for header, rows in _tables(found)),
        "notes": "".join(f"<li>{html.escape(note)}</li>" for note in found.notes),
        "settings": html.escape(_settings(settings)),
        "threshold": f"{found.threshold:.2g}",
    }
    for name, value in parts.items():
        page = page.replace("{{" + name + "}}", value)
    return page


def _settings(settings):
    """Those that say something: no flag that is off, no option that was not given."""
    said = {name: value for name, value in settings.items() if value is not None and value is not False}
    return ", ".join(name.replace("_", " ") + ("" if value is True else f" {value}") for name, value in said.items())


def _meter(name: str, found: Fidelity) -> str:
    """A bar for the generated rows, and a tick where real rows are."""
    length, tick = (100 * min(max(rate, 0.0), 1.0) for rate in (found.generated, found.real))
    value, real = (with_error(*pair) for pair in ((found.generated, found.stderr), (found.real, found.real_stderr)))
    return (
        f'<div class="meter"><div class="name">{name}<b>{value}</b></div>'
        f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{name} {value}, real rows '
        f'{real}"><rect class="track" width="100" height="8" rx="2"/><rect class="fill" height="8" rx="2" '
        f'width="{length:.1f}"/><rect class="tick" y="0" height="8" width="0.8" '
        f'x="{min(99.2, tick):.1f}"/></svg><p>{FIDELITY[name]}; real rows {real}</p></div>'
    )


def _figure(title, figure, alt):
    file = io.BytesIO()
    figure.savefig(file, dpi=150, format="png")
    image = base64.b64encode(file.getvalue()).decode("ascii")
    width, height = (round(96 * size) for size in figure.get_size_inches())
    return (
        f'<figure><figcaption>{html.escape(title)}</figcaption><img alt="{html.escape(alt, quote=True)}" '
        f'width="{width}" height="{height}" src="data:image/png;base64,{image}"></figure>'
    )


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    last = len(header) - 1
    head = "".join(
        f'<th scope="col"{_align(i, last)}>{html.escape(cell) or "what it is"}</th>' for i, cell in enumerate(header)
    )
    lines = (
        (
            f'<th scope="row">{html.escape(first)}</th>',
            *(f"<td{_align(i, last)}>{html.escape(cell)}</td>" for i, cell in enumerate(others, 1)),
        )
        for first, *others in rows
    )
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _align(i, last):
    return ' class="number"' if 0 < i < last else ' class="words"' if i == last else ""
