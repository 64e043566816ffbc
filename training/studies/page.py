"""The page of a study: made from what its JSON files hold, and from nothing else."""

import dataclasses
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

from training.run.compare import markdown_table
from training.run.folder import write_json
from training.studies.study import BUDGETS, Outcome, Report, Study, Trial

INDEX_HEAD = """\
One command repeats the experiment behind each answer. With `--quick`, it trains small networks on
scikit-learn's digits, which takes minutes on two cores; without it, networks on CIFAR-10, which
takes hours. Each run has a folder in `runs`, named for its network, seed and recipe. Studies share
their common runs, and the same command resumes a stopped study. `--seeds` sets the number of seeds.
Numbers, tables and plots come from the JSON files beside the pages; `--render` makes them again.

`python -m training study --list` lists the questions. The measurements are functions of
`keras_resnets.analysis` and work for any network of the zoo.
"""
FULL_BUDGET = """\
The full study, without `--quick`, trains on the photographs of CIFAR-10, and deeper networks where
depth is the question. It has not been run yet."""
HEADINGS = {"full": "On CIFAR-10", "quick": "On digits (`--quick`)"}
DATA = {
    "digits": "scikit-learn's handwritten digits (8×8 pixels, one channel; 1,437 images to "
    "train on, 360 to test with)",
    "cifar10": "CIFAR-10",
}


def save_outcome(outcome: Outcome, folder: Path) -> Path:
    """Writes an outcome as JSON, in a folder of the study's name; returns the file."""
    path = folder / outcome.study / f"{outcome.budget}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dataclasses.asdict(outcome))
    return path


def load_outcomes(study: Study, folder: Path) -> list[Outcome]:
    """Reads what `save_outcome` wrote for a study: the full budget first."""
    paths = [folder / study.name / f"{budget}.json" for budget in BUDGETS]
    return [_load(path) for path in paths if path.exists()]


def _load(path):
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        trials = [Trial(**trial) for trial in values["trials"]]
        return Outcome(**{**values, "trials": trials})
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            "An outcome must be a file that a study has written; run the study again. "
            f"Received: {str(path)!r} ({error!r})"
        ) from error


def write_page(study: Study, folder: Path) -> Path:
    """Draws a study's figures and writes its page, from its outcomes."""
    outcomes = load_outcomes(study, folder)
    reports = [_report(study, outcome) for outcome in outcomes]
    parts, sections = [f"# {study.title}"], []
    for outcome, report in zip(outcomes, reports, strict=True):
        parts.append(f"**{HEADINGS[outcome.budget]}.** {report.answer}")
        sections += _section(study, outcome, report, folder)
    parts += ["## Background", study.background.strip(), *sections]
    if all(outcome.budget == "quick" for outcome in outcomes):
        parts.append(FULL_BUDGET)
    return _write(folder / f"{study.name}.md", parts)


def _write(path, parts):
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _report(study: Study, outcome: Outcome) -> Report:
    try:
        return study.report(outcome)
    except KeyError as error:
        raise ValueError(
            f"An outcome must hold all that its study reads; run {study.name!r} again. "
            f"Received: {study.name}/{outcome.budget}.json without {error}"
        ) from error


def write_index(studies: Sequence[Study], folder: Path) -> Path:
    """Writes `index.md`: a question, its answer, a plot and a command for every study."""
    parts = ["# Studies", INDEX_HEAD]
    present = [(study, found[0]) for study in studies if (found := load_outcomes(study, folder))]
    for study, outcome in present:
        report = _report(study, outcome)
        parts += [
            f"## {study.title}",
            f"{report.answer} ([{study.name}]({study.name}.md))",
            *(_figure(study, outcome, name, report) for name in list(report.figures)[:1]),
            f"`{_command(study, outcome)}`",
        ]
    pages = "\n".join(study.name for study, _ in present)
    return _write(folder / "index.md", [*parts, f"```{{toctree}}\n:hidden:\n\n{pages}\n```"])


def _section(study, outcome, report, folder):
    parts = [f"## {HEADINGS[outcome.budget]}", *filter(None, [report.details])]
    for name, (figure, _) in report.figures.items():
        figure.savefig(folder / _picture(study, outcome, name))
        parts.append(_figure(study, outcome, name, report))
    for caption, (header, rows) in report.tables.items():
        parts.append("\n".join([caption, "", *markdown_table(header, rows)]))
    parts += [f"**Limits.** {report.limits}", _what_was_run(outcome)]
    if outcome.budget == "full" and outcome.trials:
        parts.append(_what_is_missing(study, outcome))
    parts.append(f"```sh\n{_command(study, outcome)}\n```")
    return parts


def _picture(study, outcome, name):
    return f"{study.name}/{outcome.budget}-{name}.png"


def _figure(study, outcome, name, report):
    caption = report.figures[name][1]
    return f"![{caption}]({_picture(study, outcome, name)})\n\n*{caption}*"


def _command(study, outcome):
    quick = " --quick" if outcome.budget == "quick" else ""
    present = len(outcome.seeds)
    seeds = f" --seeds {present}" if present != study.seeds else ""
    return f"python -m training study {study.name} --output docs/studies{quick}{seeds}"


def _what_was_run(outcome):
    """Says what was run, on what, for how long."""
    if not outcome.trials:
        return "**What was run.** Nothing was trained; the numbers are computed."
    seconds = sum(trial.result["seconds"] for trial in outcome.trials)
    time = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    recipe, *others = map(tomllib.loads, outcome.recipes.values())
    rates = {each["optimizer"]["learning_rate"] for each in (recipe, *others)}
    rate = " or ".join(f"{rate:g}" for rate in sorted(rates, reverse=True))
    optimizer, schedule = recipe["optimizer"], recipe["schedule"]
    warmup = schedule["warmup"] if schedule["warmup"] != "1 epochs" else "1 epoch"
    counts = sorted({len(outcome.of(label)) for label in outcome.labels})
    source, versions = recipe["data"]["source"], outcome.environment["versions"]
    return (
        f"**What was run.** {len(outcome.labels)} networks with {' or '.join(map(str, counts))} "
        f"seed{'s' if counts[-1] > 1 else ''} each on {DATA.get(source, source)}: "
        f"{recipe['length']} with batches of {recipe['batch']}, {optimizer['name'].upper()} with "
        f"momentum {optimizer['momentum']:g}, a peak learning rate of {rate} ({schedule['name']} "
        f"schedule, {warmup} of warm-up) and weight decay {optimizer['weight_decay']:g}. All "
        f"training steps took {time}, including runs that other studies share, on "
        f"{outcome.environment['cores']} CPU cores with TensorFlow {versions['tensorflow']} and "
        f"Keras {versions['keras']}. The complete recipes are in "
        f"[{outcome.budget}.json]({outcome.study}/{outcome.budget}.json)."
    )


def _what_is_missing(study, outcome):
    """Says what a larger budget would add."""
    length = tomllib.loads(next(iter(outcome.recipes.values())))["length"]
    present, seeds = len(outcome.seeds), ""
    if present < study.seeds:
        seeds = f"{study.seeds} seeds instead of {present}, to know how much results vary; "
    return (
        f"**What a full budget would add.** {seeds}the paper's 64,000 steps of 128 images instead "
        f"of {length}, which take ResNet-20 to a test error of 8.75 % and ResNet-56 to 6.97 %; and "
        "a depth of 110."
    )
