"""A benchmark's results as Markdown tables, and a page's tables made anew from its files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.benchmark.results import figures, ours_beside, product_rates, read_results

STEP_HEAD = (
    "contender",
    "precision",
    "images/s",
    "ms a step (quartiles)",
    "to ours",
    "core ms",
    "core time to ours",
    "of float32",
    "of bfloat16",
    "peak GiB",
)
INPUT_HEAD = (
    "pipeline",
    "images/s",
    "ms a batch (quartiles)",
    "to ours",
    "images/s and core",
    "core time to ours",
)
_BLOCK = re.compile(r"(<!-- benchmark (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render_page(path: Path) -> int:
    """Makes the tables of a Markdown page from the results that it names.

    What stands between a line `<!-- benchmark FILE.json -->` and the next `<!-- end -->` is
    replaced by the tables of that file, whose path is relative to the page.
    """
    text = path.read_text(encoding="utf-8")

    def made(match):
        return match[1] + markdown(read_results(path.parent / match[2])) + match[3]

    text, count = _BLOCK.subn(made, text)
    if not count:
        raise ValueError(
            "A page must have a line `<!-- benchmark FILE.json -->` and after it `<!-- end -->`. "
            f"Received: {path}, which has none"
        )
    path.write_text(text, encoding="utf-8")
    return count


def markdown(results: Mapping[str, Any]) -> str:
    """Returns the setting, the tables and the notes of some results, as Markdown."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    devices = sorted({row["device"] for row in results["rows"]} - {"CPU"})
    parts = [
        f"{_what(results)}. {', '.join([machine['processor'], *devices])}; {machine['cores']} "
        f"cores; {machine['system']}; load before the start {machine['load_before']}. "
        f"Python {machine['python']}, {versions}.\n",
        _rates_line(results),
        _table(STEP_HEAD, 2, step_rows(results)),
        _table(INPUT_HEAD, 1, input_rows(results)),
        "".join(f"- not measured: {each['title']}: {each['why']}\n" for each in results["absent"]),
    ]
    return "\n".join(part for part in parts if part)


def step_rows(results: Mapping[str, Any], label: str = "title") -> list[tuple[str, ...]]:
    """Returns the cells of the table of training steps, under `STEP_HEAD`."""
    rates = product_rates(results)
    rows = []
    for row, of in _measured(results, "step"):
        rows.append(
            (
                row[label],
                row["precision"],
                _number(of.rate),
                _milliseconds(of),
                _ratio(of.to_ours),
                f"{1000 * of.cpu_seconds:.0f}",
                _ratio(of.cpu_to_ours),
                *(
                    f"{of.operations / rates[precision]:.0%}" if precision in rates else ""
                    for precision in ("float32", "bfloat16")
                ),
                f"{row['peak_bytes'] / 2**30:.2f}",
            )
        )
    return rows


def input_rows(results: Mapping[str, Any], label: str = "title") -> list[tuple[str, ...]]:
    """Returns the cells of the table of input pipelines, under `INPUT_HEAD`."""
    rows: list[tuple[str, ...]] = []
    for row, of in _measured(results, "input"):
        cells = (row[label], _number(of.rate), _milliseconds(of), _ratio(of.to_ours))
        rows.append((*cells, _number(of.cpu_rate), _ratio(of.cpu_to_ours)))
    return rows


def _measured(results, kind):
    """Returns each row of a kind with its figures."""
    rows = [row for row in results["rows"] if row["kind"] == kind]
    return [(row, figures(row, ours_beside(row, results))) for row in rows]


def rate_texts(results: Mapping[str, Any]) -> list[str]:
    """Returns the machine's measured rates in words."""
    devices = {row["device"] for row in results["rows"] if row["kind"] == "product"}
    per_core = " a core" if "CPU" in devices else ""
    return [
        f"{rate / 1e12:.3g} TFLOP/s{per_core} in {precision}"
        for precision, rate in product_rates(results).items()
    ]


def _what(results):
    setting = results["setting"]
    parts = []
    if any(row["kind"] == "step" for row in results["rows"]):
        size = f"{setting['image_size']}×{setting['image_size']}"
        steps = f"{setting['steps']} steps a turn"
        parts.append(f"{setting['model']}, batch {setting['batch']} at {size}, {steps}")
    for row in results["rows"]:
        if row["kind"] == "input":
            parts.append(f"input by {row['times']} batches of {row['images']} a turn")
            break
    parts.append(f"{setting['rounds']} rounds")
    return "; ".join(parts)


def _rates_line(results):
    if not product_rates(results):
        return ""
    return f"The machine multiplies matrices at {' and '.join(rate_texts(results))}.\n"


def _table(head: Sequence[str], text_columns: int, rows):
    if not rows:
        return ""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))


def _milliseconds(of):
    digits = 0 if of.seconds >= 0.01 else 2
    low, middle, high = (f"{1000 * value:.{digits}f}" for value in (of.low, of.seconds, of.high))
    return f"{middle} ({low}–{high})"


def _ratio(value):
    return "" if value is None else f"{value:.2f}"


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
