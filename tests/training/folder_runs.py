"""A process of its own: runs on a folder of images, some of which cannot be read."""

import json
import signal
import sys
from pathlib import Path

import keras
import numpy as np
from rich.console import Console

import keras_resnets
from tests.training.data.pictures import write_folder
from tests.training.tiny_network import TINY, use_tiny_network
from training.data.batches import BadImage
from training.recipe.recipe import Augmentation, Data, Evaluation, Model, Recipe
from training.run import session
from training.run.reports import StepProgress
from training.run.session import Session

SIDE = 16


def main(root):
    use_tiny_network()
    session.draw_curves = lambda entries, path: path.write_bytes(b"")  # takes a second each time
    folder = write_folder(root / "pictures", {"train": {"a": 7, "b": 6}, "test": {"a": 2, "b": 2}})
    printed = {"tuned": fine_tuned(folder, root)}
    cut, empty = folder / "train/a/003.jpg", folder / "train/b/002.jpg"
    whole_file = cut.read_bytes()
    cut.write_bytes(whole_file[: len(whole_file) // 3])
    empty.write_bytes(b"")
    printed["stopped_by"] = stopped(recipe(folder, on_bad_image="error"), root / "strict")
    skipping = recipe(folder, on_bad_image="skip")
    printed["whole"] = finished(skipping, root / "whole")
    update = StepProgress.update

    def interrupt(self, step, *others):
        update(self, step, *others)
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    StepProgress.update = interrupt
    printed["status"] = run(skipping, root / "resumed")
    StepProgress.update = update
    printed["resumed"] = finished(skipping, root / "resumed")
    (folder / "test/b/001.jpg").write_bytes(b"")
    printed["evaluation_stopped_by"] = stopped(skipping, root / "test")
    return printed


def recipe(folder, on_bad_image="error", **options):
    return Recipe(
        data=Data(source=f"folder:{folder}", image_size=SIDE, on_bad_image=on_bad_image),
        augmentation=Augmentation(crop="none"),
        evaluation=Evaluation(every="4 steps", batch=4),
        **{"batch": 4, "length": "8 steps", "checkpoint_every": "8 steps"} | options,
    )


def run(recipe, run_dir, console=None):
    """Runs as a new process would: Keras numbers the names of variables through a whole process."""
    keras.utils.clear_session()
    console = console or Console(file=sys.stderr, quiet=True)
    return Session(recipe, run_dir, console=console).run()


def stopped(recipe, run_dir):
    try:
        run(recipe, run_dir)
    except BadImage as error:
        return "/".join(str(error).partition(" Mend or remove it")[0].split("/")[-3:])


def finished(recipe, run_dir):
    console = Console(record=True, file=sys.stderr, width=200)
    status = run(recipe, run_dir, console)
    result = json.loads((run_dir / "result.json").read_text())
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return {
        "status": status,
        "weights": result["weights_sha256"],
        "skipped": result["skipped_images"],
        "classes": result["classes"],
        "metrics": [json.loads(line) | {"seconds": None} for line in lines],
        "printed": console.export_text(),
    }


def fine_tuned(folder, root):
    """Trains the classifier for two steps and then all, from weights of 1000 classes."""
    weights = root / "trained.weights.h5"
    trained = keras_resnets.build_model(TINY, classes=1000, input_shape=(SIDE, SIDE, 3))
    trained.save_weights(weights)
    backbones, save = [backbone(trained)], Session.save

    def save_and_note(self):
        backbones.append(backbone(self.learner.model))
        save(self)

    Session.save = save_and_note
    options = {"length": "4 steps", "head_only": "2 steps", "checkpoint_every": "2 steps"}
    outcome = finished(recipe(folder, model=Model(weights=str(weights)), **options), root / "tuned")
    Session.save = save
    served = keras.models.load_model(root / "tuned" / "model.keras")
    kept = [all(map(np.array_equal, backbones[0], each)) for each in backbones]
    return outcome | {"kept": kept, "outputs": served.output_shape[-1]}


def backbone(model):
    """Returns the variables of all layers but the classifier, with the moving statistics."""
    layers = [layer for layer in model.layers if layer.name != "predictions"]
    return [value.numpy() for layer in layers for value in layer.weights]


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
