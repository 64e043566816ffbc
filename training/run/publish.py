"""A finished run as a published model with a card."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.recipe.files import recipe_from_toml, recipe_to_toml
from training.recipe.recipe import Recipe
from training.run.folder import read_metrics, write_json, write_text

CARD = "card.md"
TOLERANCE = 1e-5
# What a complete run has, and what the card takes from it.
FILES = (
    *("result.json", "model.keras", "recipe.toml", "environment.json", "metrics.jsonl"),
    "curves.png",
)
FIGURES = (
    *("model", "parameters", "seed", "steps", "examples", "seconds", "images_per_second"),
    *("test_accuracy", "test_top5_accuracy", "test_loss", "calibration_error"),
    *("accuracy_by_class", "weights_sha256", "environment_changes"),
)
ENVIRONMENT = ("versions", "replicas", "devices", "cores", "processor")
CURVE_ROWS = 20
INDEX_HEAD = """# Saved models

What training has produced, and what it showed. This page is made from the folders by
`python -m training index`; each folder holds a SavedModel, the same model for Keras, the recipe,
the result and a card.

| model | data | test accuracy | steps | parameters |
| --- | --- | ---: | ---: | ---: |
"""


def publish(run_dir: Path, folder: Path, note: str) -> None:
    """Makes the folder of a finished run's model: SavedModel, Keras file, card, recipe, result.

    It is written beside its place and renamed, so that it is there whole or not at all. Of paths
    in the recipe, only the names of what they lead to are handed on.
    """
    missing = [name for name in FILES if not (run_dir / name).is_file()]
    if missing:
        raise ValueError(
            f"`run_dir` must hold a complete run, with its {', '.join(FILES)}. "
            f"Received: run_dir={str(run_dir)!r}, without {', '.join(missing)}"
        )
    if not note.strip():
        raise ValueError("`note` must say what a user has to know. Received: an empty note")
    if folder.exists() and not (folder / CARD).is_file():  # it will be removed
        raise ValueError(
            f"`folder` must not be there yet, or hold a published model with its {CARD}. "
            f"Received: folder={str(folder)!r}"
        )
    result = _read(run_dir / "result.json", FIGURES)
    environment = _read(run_dir / "environment.json", ENVIRONMENT)
    metrics = read_metrics(run_dir / "metrics.jsonl")
    import keras_resnets  # noqa: F401 (registers the layers)

    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for name in ("model.keras", "curves.png"):
            shutil.copyfile(run_dir / name, beside / name)
        begun = recipe_from_toml((run_dir / "recipe.toml").read_text(encoding="utf-8"))
        recipe = _without_paths(begun)
        write_text(beside / "recipe.toml", recipe_to_toml(recipe))
        model = keras.models.load_model(beside / "model.keras")
        model.export(beside / "saved_model", verbose=False)
        result["data"] = recipe.data.source
        result["saved_model_max_difference"] = _check_export(model, beside / "saved_model")
        write_json(beside / "result.json", result)
        card = model_card(folder.name, model, result, metrics, recipe, environment, note)
        write_text(beside / CARD, card)
        beside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def model_card(
    name: str,
    model: keras.Model,
    result: dict[str, Any],
    metrics: list[dict[str, Any]],
    recipe: Recipe,
    environment: dict[str, Any],
    note: str,
) -> str:
    """Returns the card of a model: what it is, how it came about, what it can and cannot do."""
    shape = "×".join(str(size) for size in model.input_shape[1:])
    classes = list(result["accuracy_by_class"])
    versions = environment["versions"]
    by_class = "\n".join(
        f"| {label} | {'no image' if accuracy is None else f'{accuracy:.1%}'} |"
        for label, accuracy in result["accuracy_by_class"].items()
    )
    every = max(1, -(-len(metrics) // CURVE_ROWS))
    curve = "\n".join(
        f"| {entry['epoch']:.1f} | {entry['train_loss']:.4f} | {entry['train_accuracy']:.2%} "
        f"| {entry['test_loss']:.4f} | {entry['test_accuracy']:.2%} |"
        for entry in metrics[::-every][::-1]
    )
    replicas = environment["replicas"]
    return f"""# {name}

{result["model"]} with {result["parameters"]:,} trainable parameters.
**{result["test_accuracy"]:.2%}** of the test images are right.

```python
import numpy as np
import tensorflow as tf

model = tf.saved_model.load("saved_models/{name}/saved_model")
pixels = np.zeros((1, {", ".join(str(size) for size in model.input_shape[1:])}), "float32")
probabilities = model.serve(pixels)  # of {", ".join(classes[:3])} and so on
```

It takes pixels of 0 to 255 as floats, of shape {shape}, and normalizes them itself. `model.keras`
is the same model for `keras.models.load_model`, after `import keras_resnets`.

## Limits

{note.strip()}

## Data

`{recipe.data.source}`, {len(classes)} classes: trained on the split `{recipe.data.train_split}`,
measured on the split `{recipe.data.test_split}`.

## Result

| | |
| --- | --- |
| test accuracy | {result["test_accuracy"]:.2%} |
| five likeliest | {result["test_top5_accuracy"]:.2%} |
| cross-entropy | {result["test_loss"]:.4f} nats |
| calibration error | {result["calibration_error"]:.2%} |
| steps, examples | {result["steps"]:,}, {result["examples"]:,} |
| time | {result["seconds"]:,.0f} s, {result["images_per_second"]:,.0f} images per second |
| seed | {result["seed"]} |
| SHA-256 of the weights | `{result["weights_sha256"]}` |
| SavedModel against model | {result["saved_model_max_difference"]:.1e} at most |

{_how_it_was_chosen(recipe)}

| class | accuracy |
| --- | ---: |
{by_class}

## Training

![Error, loss and learning rate over the epochs](curves.png)

| epoch | training loss | training accuracy | test loss | test accuracy |
| ---: | ---: | ---: | ---: | ---: |
{curve}

The training figures are averages over the steps since the row before or, where rows are left out,
since the evaluation before; the images are as the recipe augments them, and the loss is the
recipe's. The test loss is the cross-entropy.

TensorFlow {versions["tensorflow"]}, Keras {versions["keras"]}, Python {versions["python"]},
{replicas} replica{"s" if replicas > 1 else ""} on {", ".join(environment["devices"])} with
{environment["cores"]} cores ({environment["processor"]}).{_changes(result)}

## Recipe

```toml
{recipe_to_toml(recipe).strip()}
```
"""


def write_index(folder: Path) -> Path:
    """Writes the index of the models in a folder, from their results; returns its path."""
    rows = []
    for path in sorted(folder.glob("*/result.json")):
        if not (path.parent / "card.md").exists():
            continue
        result = _read(path, ("data", "test_accuracy", "steps", "parameters"))
        rows.append(
            f"| [{path.parent.name}]({path.parent.name}/card.md) | {result['data']} "
            f"| {result['test_accuracy']:.2%} | {result['steps']:,} | {result['parameters']:,} |\n"
        )
    index = folder / "README.md"
    index.write_text(INDEX_HEAD + "".join(rows), encoding="utf-8")
    return index


def _read(path, names):
    """Returns the JSON object of a file; raises `ValueError` if it has not all of the names."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        values = None
    missing = [name for name in names if not isinstance(values, dict) or name not in values]
    if missing:
        raise ValueError(
            f"{path.name} must be as a run has written it. "
            f"Received: {str(path)!r}, without {', '.join(missing)}"
        )
    return values


def _without_paths(recipe: Recipe) -> Recipe:
    """Returns a recipe in which the name of a folder or file stands for its path."""
    source = recipe.data.source
    if source.startswith("folder:"):
        source = f"folder:{Path(source.removeprefix('folder:')).name}"
    data = dataclasses.replace(recipe.data, source=source)
    model = dataclasses.replace(recipe.model, weights=Path(recipe.model.weights).name)
    return dataclasses.replace(recipe, data=data, model=model)


def _how_it_was_chosen(recipe):
    """Returns what the test images had to do with the model."""
    text = f"One run. The test images were looked at every {recipe.evaluation.every}. "
    if recipe.schedule.name == "plateau":
        text += "By that the learning rate was lowered, so that the accuracy is a little too good. "
    else:
        text += "Nothing was chosen by that. "
    what = "the moving average of the weights" if recipe.ema else "the weights"
    return text + f"The model has {what} at the end of the run."


def _changes(result):
    """Returns what was not the same all the time."""
    changes = result["environment_changes"]
    return " It was stopped, and gone on with otherwise: " + "; ".join(changes) if changes else ""


def _check_export(model, path):
    """Returns the largest difference between the SavedModel's answers and the model's."""
    loaded = tf.saved_model.load(str(path))
    generator = np.random.default_rng(0)
    worst = 0.0
    for batch in (1, 2, 7, 32):
        pixels = generator.uniform(0, 255, (batch, *model.input_shape[1:])).astype("float32")
        difference = np.abs(loaded.serve(pixels).numpy() - model.predict(pixels, verbose=0)).max()
        worst = max(worst, float(difference))
    if worst > TOLERANCE:
        raise RuntimeError(f"The SavedModel's answers differ from the model's by {worst:.1e}")
    return worst
