"""A process of its own: runs on a folder with images that cannot be read, and prints what came."""

import json
import signal
import sys
from pathlib import Path

import keras
from rich.console import Console
from training.run.progress import StepProgress
from training.run.run import run

from tests.training.data.pictures import write_folder
from tests.training.tiny_network import use_tiny_network
from training.data.batches import BadImage
from training.recipe.recipe import Augmentation, Data, Evaluation, Recipe


def main(root):
    use_tiny_network()
    folder = write_folder(root / "pictures", {"train": {"a": 7, "b": 6}, "test": {"a": 2, "b": 2}})
    cut, empty = folder / "train/a/003.jpg", folder / "train/b/002.jpg"
    whole_file = cut.read_bytes()
    cut.write_bytes(whole_file[: len(whole_file) // 3])
    empty.write_bytes(b"")
    printed = {
        "stopped_by": stopped(folder, root / "strict", "error"),
        "whole": finished(folder, root / "whole"),
    }
    update = StepProgress.update

    def interrupt(self, step, *others):
        update(self, step, *others)
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    StepProgress.update = interrupt
    printed["status"] = run_anew(recipe(folder, "skip"), root / "resumed", quiet())
    StepProgress.update = update
    printed["resumed"] = finished(folder, root / "resumed")
    (folder / "test/b/001.jpg").write_bytes(b"")
    printed["evaluation_stopped_by"] = stopped(folder, root / "test", "skip")
    return printed


def recipe(folder, on_bad_image):
    return Recipe(
        data=Data(source=f"folder:{folder}", image_size=16, on_bad_image=on_bad_image),
        augmentation=Augmentation(crop="resized", area=(0.9, 1.0)),
        evaluation=Evaluation(every="4 steps", batch=4),
        batch=4,
        length="8 steps",
        checkpoint_every="8 steps",
    )


def run_anew(recipe, run_dir, console):
    """Runs as a new process would: Keras numbers the names of variables through a whole process."""
    keras.utils.clear_session()
    return run(recipe, run_dir, console=console)


def stopped(folder, run_dir, on_bad_image):
    try:
        run_anew(recipe(folder, on_bad_image), run_dir, quiet())
    except BadImage as error:
        return str(error).removeprefix(f"{folder}/")
    return None


def finished(folder, run_dir):
    console = Console(record=True, quiet=False, file=sys.stderr, width=200)
    status = run_anew(recipe(folder, "skip"), run_dir, console)
    result = json.loads((run_dir / "result.json").read_text())
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    for entry in metrics:
        del entry["seconds"]
    return {
        "status": status,
        "weights": result["weights_sha256"],
        "skipped": result["skipped_images"],
        "classes": result["classes"],
        "metrics": metrics,
        "printed": console.export_text(),
    }


def quiet():
    return Console(file=sys.stderr, quiet=True)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
