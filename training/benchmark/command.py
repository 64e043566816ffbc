"""The command `benchmark`."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_resnets.architecture.spec import STEMS, VARIANTS
from keras_resnets.arguments import check_choice
from training.benchmark.contenders import OURS, Contender, Setting, contenders_for
from training.benchmark.measure import describe_machine, measure
from training.benchmark.results import SCHEMA, write_results
from training.benchmark.tables import (
    INPUT_HEAD,
    STEP_HEAD,
    input_rows,
    rate_texts,
    render_page,
    step_rows,
)


def benchmark(
    model: str = "resnet20",
    batch: int = 128,
    image_size: int = 0,
    precisions: tuple[Literal["float32", "bfloat16"], ...] = ("float32",),
    contenders: tuple[str, ...] = (),
    steps: int = 3,
    rounds: int = 5,
    photos: Path | None = None,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
    render: Path | None = None,
) -> int:
    """Measures training steps and input pipelines in turns: ours, plain Keras's and PyTorch's.

    With KERAS_BACKEND=jax or torch, the zoo on that backend is measured, and no TensorFlow is
    needed.

    Args:
        model: A model of the zoo.
        batch: Images a step.
        image_size: Height and width of an image, in pixels; 0 for what the model is made for.
        precisions: What is computed in: float32, or bfloat16 with float32 weights, or both.
        contenders: Names of those to measure; by default all that can be measured here.
        steps: Training steps a turn.
        rounds: Turns of each contender.
        photos: Folder with JPEG files, for the input pipelines.
        json_file: Write all figures to this file.
        render: Measure nothing, but make the tables of this Markdown page from the files it names.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    if render is not None:
        count = render_page(render)
        console.print(Text(f"Wrote {count} results into {render}"), soft_wrap=True)
        return 0
    for name, value in (("batch", batch), ("steps", steps), ("rounds", rounds)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    backend = _backend()
    stem = STEMS[VARIANTS[check_choice("model", model, VARIANTS)].stem]
    if photos is not None and not photos.is_dir():
        raise ValueError(f"`photos` must be a folder. Received: photos={str(photos)!r}")
    setting = Setting(
        model,
        batch,
        image_size or stem.image_size,
        stem.classes,
        photos="" if photos is None else str(photos.resolve()),
    )
    chosen, absent = _chosen(contenders_for(backend), contenders, setting)
    machine = describe_machine()
    with console.status("") as status:
        rows = measure(chosen, setting, precisions, steps, rounds, status.update)
    versions: dict[str, str] = {}
    for row in rows:
        versions |= row.pop("versions")
    results = {
        "schema": SCHEMA,
        "setting": {
            "model": model,
            "batch": batch,
            "image_size": setting.image_size,
            "classes": setting.classes,
            "backend": backend,
            "steps": steps,
            "rounds": rounds,
        },
        "machine": machine,
        "versions": versions,
        "absent": absent,
        "rows": rows,
    }
    _print(results, console)
    if json_file is not None:
        write_results(results, json_file)
        console.print(Text(f"Wrote {json_file}"), soft_wrap=True)
    return 0


def _backend():
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in OURS or importlib.util.find_spec(backend) is None:
        raise ValueError(
            f"KERAS_BACKEND must name one of {', '.join(OURS)} that is installed. "
            f"Received: KERAS_BACKEND={backend!r}"
        )
    return backend


def _chosen(contenders: tuple[Contender, ...], names: tuple[str, ...], setting: Setting):
    """Returns those to measure, and why the others cannot be."""
    known = [contender.name for contender in contenders]
    for name in names:
        if name not in known:
            raise ValueError(
                f"`contenders` must be some of {', '.join(known)}. Received: contenders={name!r}"
            )
    chosen, absent = [], []
    for contender in contenders:
        why = contender.why_absent(setting.model, setting.photos)
        if names and contender.name not in names:
            continue
        if why:
            absent.append({"name": contender.name, "title": contender.title, "why": why})
        else:
            chosen.append(contender)
    if not chosen:
        reasons = "; ".join(f"{each['name']}: {each['why']}" for each in absent)
        raise ValueError(f"None of the contenders can be measured here: {reasons}")
    return chosen, absent


def _print(results, console):
    for text in rate_texts(results):
        console.print(Text(f"matrix products: {text}"))
    for head, rows in (
        (STEP_HEAD, step_rows(results, "name")),
        (INPUT_HEAD, input_rows(results, "name")),
    ):
        if rows:
            table = Table(*head, box=None)
            for cells in rows:
                table.add_row(*cells)
            console.print()
            console.print(table)
    for each in results["absent"]:
        console.print(Text(f"not measured: {each['title']}: {each['why']}"))
