"""A benchmark's results as Markdown tables, and a page's tables made anew from its files."""

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.benchmark.results import (
    figures,
    ours_beside,
    product_rates,
    ratios,
    read_results,
)

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
RATIO_HEAD = (
    *("network", "contender", "precision"),
    *("batch × rounds", "load before", "to ours (rounds)", "core time to ours (rounds)"),
)
_BLOCK = re.compile(r"(<!-- benchmark (\S+(?: \S+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def render_page(path: Path) -> int:
    """Makes the tables of a Markdown page from the results that it names.

    What stands between a line `<!-- benchmark FILE.json -->` and the next `<!-- end -->` is
    replaced by the tables of that file, whose path is relative to the page. Of several files there
    is one table, of their ratios.
    """

    def made(match):
        results = [read_results(path.parent / name) for name in match[2].split()]
        try:
            text = markdown(results[0]) if len(results) == 1 else ratio_table(results)
            return match[1] + text + match[3]
        except KeyError as error:
            raise ValueError(
                f"A benchmark's results must be complete. Received: {match[2]} without {error}"
            ) from error

    text, count = _BLOCK.subn(made, path.read_text(encoding="utf-8"))
    if not count:
        raise ValueError(
            "A page must have a line `<!-- benchmark FILE.json -->` and after it `<!-- end -->`. "
            f"Received: {path}, which has none"
        )
    path.write_text(text, encoding="utf-8")
    return count


def ratio_table(files: Sequence[Mapping[str, Any]]) -> str:
    """Returns one table of several files: what each step took over ours in the same round."""
    rows = []
    for results in files:
        setting, load = results["setting"], results["machine"]["load_before"]
        for row, _ in _measured(results, "step"):
            if row["name"] != "ours":
                ours = ours_beside(row, results)
                found = (ratios(row, ours, what) for what in ("seconds", "cpu_seconds"))
                cells = (setting["model"], row["title"], row["precision"])
                size = f"{setting['batch']} × {setting['rounds']}"
                rows.append((*cells, size, f"{load}", *map(_median_and_range, found)))
    return _table(RATIO_HEAD, 3, rows)


def markdown(results: Mapping[str, Any]) -> str:
    """Returns the setting, the tables and the notes of some results, as Markdown."""
    machine, setting = results["machine"], results["setting"]
    rows = {row["kind"]: row for row in results["rows"]}
    what = []
    if "step" in rows:
        what.append(
            f"{setting['model']}, batch {setting['batch']} at "
            f"{setting['image_size']}×{setting['image_size']}, {setting['steps']} steps a turn"
        )
    if "input" in rows:
        times, images = rows["input"]["times"], rows["input"]["images"]
        what.append(f"input by {times} batches of {images} a turn")
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    devices = sorted({row["device"] for row in results["rows"]} - {"CPU"})
    rates = " and ".join(rate_texts(results))
    parts = [
        f"{'; '.join([*what, str(setting['rounds'])])} rounds. "
        f"{', '.join([machine['processor'], *devices])}; {machine['cores']} cores; "
        f"{machine['system']}; load before the start {machine['load_before']}. "
        f"Python {machine['python']}, {versions}.\n",
        f"The machine multiplies matrices at {rates}.\n" if rates else "",
        _table(STEP_HEAD, 2, step_rows(results)),
        _table(INPUT_HEAD, 1, input_rows(results)),
        "".join(f"- not measured: {each['title']}: {each['why']}\n" for each in results["absent"]),
    ]
    return "\n".join(part for part in parts if part)


def step_rows(results: Mapping[str, Any], label: str = "title") -> list[tuple[str, ...]]:
    """Returns the cells of the table of training steps, under `STEP_HEAD`."""
    rates = product_rates(results)
    return [
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
        for row, of in _measured(results, "step")
    ]


def input_rows(results: Mapping[str, Any], label: str = "title") -> list[tuple[str, ...]]:
    """Returns the cells of the table of input pipelines, under `INPUT_HEAD`."""
    return [
        (
            row[label],
            _number(of.rate),
            _milliseconds(of),
            _ratio(of.to_ours),
            _number(of.cpu_rate),
            _ratio(of.cpu_to_ours),
        )
        for row, of in _measured(results, "input")
    ]


def rate_texts(results: Mapping[str, Any]) -> list[str]:
    """Returns the machine's measured rates in words."""
    devices = {row["device"] for row in results["rows"] if row["kind"] == "product"}
    per_core = " a core" if "CPU" in devices else ""
    return [
        f"{rate / 1e12:.3g} TFLOP/s{per_core} in {precision}"
        for precision, rate in product_rates(results).items()
    ]


def _measured(results, kind):
    """Returns each row of a kind with its figures."""
    rows = [row for row in results["rows"] if row["kind"] == kind]
    return [(row, figures(row, ours_beside(row, results))) for row in rows]


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


def _median_and_range(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
