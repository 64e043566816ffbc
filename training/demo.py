"""From nothing to a SavedModel in two minutes: a deep ResNet and its plain twin on digits."""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters
from keras_resnets.analysis.plots import legend, line_styles, panels
from training.data.source import ArraySource, digits

BATCH = 64
CLASSES = 10
SHADES = " ░▒▓█"
BARS = "▁▂▃▄▅▆▇█"


def run_demo(seed: int, epochs: int, output: Path) -> None:
    """Trains the two networks, compares them, exports the residual one and reads it back."""
    output.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    started = time.perf_counter()
    to_train, to_test = digits("train"), digits("test")
    images = to_test.images.astype("float32")
    console.print(
        f"Handwritten digits, 8×8 pixels: {to_train.size} to train on, {to_test.size} to test with."
        " Two networks of 32 layers and exactly the same cost: one with shortcuts, one without."
    )

    keras.utils.set_random_seed(seed)
    residual = deep_resnet()
    keras.utils.set_random_seed(seed)
    plain = keras_resnets.plain_twin(residual, name="plain32")
    models = [residual, plain]
    errors = train(models, to_train, epochs, seed, console)
    tests = [
        model.evaluate(images, to_test.labels, verbose=0, return_dict=True) for model in models
    ]
    console.print(_comparison(models, errors, tests))
    console.print(bar_chart(errors), soft_wrap=True)
    _draw(errors, output / "curves.png")

    saved_model = output / "saved_model"
    residual.export(saved_model, verbose=False)
    residual.save(output / "resnet32.keras")
    plain.save(output / "plain32.keras")
    loaded = tf.saved_model.load(str(saved_model))
    answers = loaded.serve(images).numpy()
    parity = float(np.abs(answers - residual.predict(images, verbose=0)).max())
    if not parity <= 1e-5:
        raise RuntimeError(f"The SavedModel's answers differ from the model's by {parity:.2e}.")
    console.print(
        f"\nThe SavedModel, loaded back, answers as the model does on all {len(answers)} test "
        f"images (largest difference {parity:.1e}). It sees the first four as:\n"
    )
    print(_picture(images[:4], to_test.labels[:4], answers[:4]))
    _print_files_and_next_steps(console, output)
    summary = {
        "model": residual.name,
        "test_accuracy": round(tests[0]["accuracy"], 4),
        "plain_test_accuracy": round(tests[1]["accuracy"], 4),
        "saved_model": str(saved_model),
        "parity_max_abs": parity,
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(summary))


def deep_resnet() -> keras.Model:
    """Returns a 32-layer ResNet for the digits as grey levels, 0 to 255."""
    pixels = keras.Input((8, 8, 1), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scaled")(pixels)
    model = keras_resnets.ResNet32(input_tensor=scaled, classes=CLASSES, name="resnet32")
    keras_resnets.set_class_names(model, [str(digit) for digit in range(CLASSES)])
    return model


def training_batches(source: ArraySource, seed: int) -> tf.data.Dataset:
    """Returns shuffled batches of images, each moved by up to one pixel in each direction."""

    def move(image_seed, example):
        image, label = example
        padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]])
        return tf.image.stateless_random_crop(padded, image.shape, seed=image_seed), label

    examples = tf.data.Dataset.from_tensor_slices((source.images, source.labels))
    examples = examples.shuffle(source.size, seed=seed)
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    return tf.data.Dataset.zip(seeds, examples).map(move).batch(BATCH).prefetch(2)


def train(models, source, epochs, seed, console):
    """Trains models in turns, an epoch each; returns the training errors of each, by name."""
    steps = -(-source.size // BATCH)
    data = {}
    for model in models:
        keras.utils.set_random_seed(seed)
        data[model.name] = training_batches(source, seed)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, epochs * steps, warmup_target=0.1, warmup_steps=steps
        )
        model.compile(
            optimizer=keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=False,  # XLA's convolutions are slower than oneDNN's on a CPU
        )
    bar = Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs  loss {task.fields[loss]:.4f}  error {task.fields[error]:6.2%}"),
        TimeRemainingColumn(),
        console=console,
    )
    tasks = {name: bar.add_task(name, total=epochs, loss=float("nan"), error=1.0) for name in data}
    errors: dict[str, list[float]] = {name: [] for name in data}
    with bar:
        for epoch, model in itertools.product(range(epochs), models):
            history = model.fit(
                data[model.name],
                initial_epoch=epoch,
                epochs=epoch + 1,
                verbose=0,
                shuffle=False,
            ).history
            error = 1 - history["accuracy"][-1]
            errors[model.name].append(error)
            bar.update(
                tasks[model.name], completed=epoch + 1, loss=history["loss"][-1], error=error
            )
    return errors


def _comparison(models, errors, tests):
    """Returns a table of the residual network beside the plain one."""
    table = Table("", title="Residual against plain", title_justify="left")
    for model in models:
        table.add_column(model.name, justify="right")
    table.add_row("parameters", *(f"{count_parameters(model).trainable:,}" for model in models))
    table.add_row("multiply-adds", *(f"{count_macs(model):,}" for model in models))
    table.add_row("training error", *(f"{errors[model.name][-1]:.2%}" for model in models))
    table.add_row("test accuracy", *(f"{test['accuracy']:.2%}" for test in tests))
    table.add_row("test loss", *(f"{test['loss']:.4f}" for test in tests))
    return table


def bar_chart(errors: Mapping[str, Sequence[float]], width: int = 48) -> str:
    """Returns a line of bars for each network's training error; they share a logarithmic scale."""
    wrong = [error for line in errors.values() for error in line if error > 0] or [1.0]
    high = np.log(max(wrong))
    low = min(np.log(min(wrong)), high - np.log(10))  # small differences stay small
    lines = ["Training error over the epochs, on one logarithmic scale"]
    for name, line in errors.items():
        count = min(len(line), width)
        shown = [line[place] for place in np.linspace(0, len(line) - 1, count).round().astype(int)]
        parts = [(np.log(error) - low) / (high - low) if error > 0 else 0.0 for error in shown]
        bars = "".join(
            BARS[round(part * (len(BARS) - 1))] * min(width // count, 4) for part in parts
        )
        lines.append(f"  {name:<8} {line[0]:7.2%} {bars} {line[-1]:.2%}")
    return "\n".join(lines)


def _draw(errors, path):
    figure, (axes,) = panels(1)
    for name, style in line_styles(errors).items():
        values = [100 * error for error in errors[name]]
        axes.plot(range(1, len(values) + 1), values, label=name, **style)
    axes.set_xlabel("epochs")
    axes.set_ylabel("training error (%)")
    axes.set_ylim(bottom=0)
    legend(axes)
    figure.savefig(path)


def _picture(images, labels, answers):
    """Returns a few digits, drawn two characters a pixel, each with its prediction."""
    drawings = []
    for image, label, scores in zip(images, labels, answers, strict=True):
        shades = (image[..., 0] / 255 * (len(SHADES) - 1)).round().astype(int)
        rows = ["".join(SHADES[shade] * 2 for shade in row) for row in shades]
        verdict = "right" if scores.argmax() == label else f"it is a {label}"
        rows.append(f"{scores.argmax()} ({scores.max():.1%}) {verdict}".center(16))
        drawings.append(rows)
    return "\n".join("  ".join(rows) for rows in zip(*drawings, strict=True))


def _print_files_and_next_steps(console, output):
    text = Text(
        f"""
Files
  {output / "saved_model"}     the SavedModel, for TensorFlow Serving or tf.saved_model.load
  {output / "resnet32.keras"}  the residual network: keras-resnets predict IMAGE --model …
  {output / "plain32.keras"}   its plain twin
  {output / "curves.png"}      the training errors over the epochs

Next
  python -m pytest                     the tests (after: python -m pip install -e ".[test]")
  python -m training demo --seed 1     the same with other weights
  docs/architecture.md                 how blocks and models are made
  keras_resnets.ResNet34()             the real thing, in Python
"""
    )
    console.print(text, soft_wrap=True)
