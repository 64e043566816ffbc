"""A finished run as a published model with a card."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_resnets import PRESETS, export_model, model_class_names
from training.recipe.files import load_recipe, recipe_to_toml
from training.recipe.recipe import Recipe
from training.run.folder import RunFolder, read_metrics, write_json, write_text

CARD = "card.md"
# What the card takes from a run's files.
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
    """Makes the folder of a finished run's model: SavedModel, Keras file, card, recipe, result."""
    run = RunFolder(run_dir)
    files = (
        *(run.result_file, run.model_file, run.recipe_file, run.environment_file),
        *(run.metrics_file, run.curves_file),
    )
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            f"`run_dir` must hold a complete run, with its {', '.join(f.name for f in files)}. "
            f"Received: run_dir={str(run_dir)!r}, without {', '.join(missing)}"
        )
    if not note.strip():
        raise ValueError("`note` must say what a user has to know. Received: an empty note")
    if folder.exists() and not (folder / CARD).is_file():  # it will be removed
        raise ValueError(
            f"`folder` must be new, or hold a published model with its {CARD}. "
            f"Received: folder={str(folder)!r}"
        )
    result = _read(run.result_file, FIGURES)
    environment = _read(run.environment_file, ENVIRONMENT)
    metrics = read_metrics(run.metrics_file)
    recipe = _without_paths(load_recipe(run.recipe_file))
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed at the end, so that it is there whole or not at all.
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for file in (run.model_file, run.curves_file):
            shutil.copyfile(file, beside / file.name)
        write_text(beside / run.recipe_file.name, recipe_to_toml(recipe))
        model = keras.models.load_model(beside / run.model_file.name)
        names = model_class_names(model) or tuple(result["accuracy_by_class"])
        report = export_model(model, beside / "exports", class_names=names)
        report.path.rename(beside / "saved_model")
        report.path.parent.rmdir()
        result["data"] = recipe.data.source
        result["saved_model_max_difference"] = report.files[0].difference
        write_json(beside / run.result_file.name, result)
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
    """Returns the card of a model: what it is, how it was trained, what its limits are."""
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
    kept_step = result.get("kept_step", result.get("best_step", 0)) if recipe.keep == "best" else 0
    replicas, changes = environment["replicas"], "; ".join(result["environment_changes"])
    if changes:
        changes = f" It was stopped and resumed with changes: {changes}"
    return f"""# {name}

{result["model"]} with {result["parameters"]:,} trainable parameters.
**{result["test_accuracy"]:.2%}** of the test images are right.

```bash
keras-resnets predict photo.jpg --model saved_models/{name}
```

```python
import keras
import keras_resnets

model = keras.saving.load_model("saved_models/{name}/model.keras")
[best, *others] = keras_resnets.classify(model, "photo.jpg")[0]
```

The model carries its class names ({", ".join(classes[:3])}, …) and its preprocessing; it reads
images of {shape}. `saved_model` is the same network for TensorFlow alone, which takes JPEG and PNG
files:

```python
import pathlib
import tensorflow as tf

model = tf.saved_model.load("saved_models/{name}/saved_model")
photo = tf.constant([pathlib.Path("photo.jpg").read_bytes()])
answer = model.signatures["serving_default"](image_bytes=photo)
print(answer["top_names"][0, 0].numpy().decode(), float(answer["top_scores"][0, 0]))
```

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

{_how_it_was_chosen(recipe, kept_step)}

| class | accuracy |
| --- | ---: |
{by_class}

## Training

![Error, loss and learning rate over the epochs](curves.png)

| epoch | training loss | training accuracy | test loss | test accuracy |
| ---: | ---: | ---: | ---: | ---: |
{curve}

The training figures are averages over the steps since the evaluation before, on augmented images
and with the recipe's loss. The test loss is the cross-entropy.

TensorFlow {versions["tensorflow"]}, Keras {versions["keras"]}, Python {versions["python"]},
{replicas} replica{"s" if replicas > 1 else ""} on {", ".join(environment["devices"])} with
{environment["cores"]} cores ({environment["processor"]}).{changes}

## Recipe

```toml
{recipe_to_toml(recipe).strip()}
```
"""


def write_index(folder: Path) -> Path:
    """Writes the index of the models in a folder, from their results; returns its path."""
    rows = []
    for path in sorted(folder.glob("*/result.json")):
        if not (path.parent / CARD).exists():
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
    """Returns the JSON object of a file; raises `ValueError` if it lacks one of the names."""
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
    """Returns a recipe with the name of a folder or file in place of its path."""
    source, weights = recipe.data.source, recipe.model.weights
    if source.startswith("folder:"):
        source = f"folder:{Path(source.removeprefix('folder:')).name}"
    weights = weights if weights in PRESETS else Path(weights).name
    return dataclasses.replace(
        recipe,
        data=dataclasses.replace(recipe.data, source=source),
        model=dataclasses.replace(recipe.model, weights=weights),
    )


def _how_it_was_chosen(recipe, kept_step):
    """Returns how the test images influenced the model."""
    chosen = "Nothing was chosen by that"
    if recipe.schedule.name == "plateau":
        chosen = "That lowered the learning rate, so that the accuracy is slightly too high"
    elif recipe.keep == "best":
        chosen = "The best of these chose the weights, so that the accuracy is slightly too high"
    what = "the moving average of the weights" if recipe.ema else "the weights"
    when = f"after step {kept_step:,}" if kept_step else "at the end of the run"
    return (
        f"One run. The test images were measured every {recipe.evaluation.every}. {chosen}. "
        f"The model has {what} {when}."
    )
