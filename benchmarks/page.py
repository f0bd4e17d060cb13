"""docs/measured.md from the results of the benchmarks: ``python benchmarks/page.py`` writes it."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "measured.md"
START, END = "<!-- results -->\n", "<!-- /results -->\n"
TITLES = {
    "sweep": "Fits: a Gaussian to two modes, 33 separations × 64 starts",
    "games": "Games: 1,024 GANs in one program",
    "estimators": "Estimates from draws",
    "logits": "Logits: values and gradients of [128, 128256]",
    "samples-kernel": "Kernel discrepancies: values and gradients of two samples of 10,000 points in 16 dimensions",
    "samples-transport": "Transport between samples",
}
Figures = dict[str, dict[str, dict]]  # what -> machine -> target, measured and more


def figures(name: str) -> tuple[list[str], Figures]:
    """The machines a benchmark ran on, and its figures on each."""
    paths = sorted(path for path in RESULTS.glob(f"{name}-*.json") if not path.name.startswith(f"{name}-quick-"))
    found = [json.loads(path.read_text()) for path in paths]
    machines, rows = [], {}
    for each in found:
        about = each["machine"]
        machines.append(
            f"{about['cores']} cores of {about['device']}" if about["backend"] == "cpu" else about["device"]
        )
        for row in each["targets"]:
            rows.setdefault(row["what"], {})[machines[-1]] = row
    return machines, rows


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:.3g}"


def cell(row: dict | None) -> str:
    """A figure, bold where it misses its target."""
    if row is None:
        return ""
    return number(row["measured"]) if row["met"] else f"**{number(row['measured'])}**"


def table(name: str) -> str:
    machines, rows = figures(name)
    lines = [f"## {TITLES[name]}", "", f"| | target | {' | '.join(machines)} |", "|---" * (2 + len(machines)) + "|"]
    for what, by_machine in rows.items():
        targets = [f"{'≥' if row['at_least'] else '≤'}\u00a0{number(row['target'])}" for row in by_machine.values()]
        cells = [cell(by_machine.get(machine)) for machine in machines]
        lines.append(f"| {what} | {' or '.join(dict.fromkeys(targets))} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def tables() -> str:
    return "\n".join(table(name) for name in TITLES)


def page(text: str) -> str:
    """The page with these tables in place of those that it has."""
    head, rest = text.split(START)
    return head + START + "\n" + tables() + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
