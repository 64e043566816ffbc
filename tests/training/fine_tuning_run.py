"""A process of its own: fine-tunes a trained network on a folder with other classes."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits

import keras_resnets
from tests.training.tiny_network import TINY, use_tiny_network
from training.recipe.recipe import Augmentation, Data, Evaluation, Model, Optimizer, Recipe
from training.run.session import Session

SIDE = 16
DIGITS = {"five": 5, "six": 6, "seven": 7}


def main(root):
    use_tiny_network()
    weights = root / "trained.weights.h5"
    trained = keras_resnets.build_model(TINY, classes=1000, input_shape=(SIDE, SIDE, 3))
    trained.save_weights(weights)
    write_digits(root / "pictures")
    backbones = []
    save = Session.save

    def save_and_note(self):
        backbones.append([value.numpy() for value in backbone(self.learner.model)])
        save(self)

    Session.save = save_and_note
    console = Console(record=True, file=sys.stderr, width=200)
    recipe = Recipe(
        model=Model(weights=str(weights)),
        data=Data(source=f"folder:{root / 'pictures'}", image_size=SIDE),
        augmentation=Augmentation(padding=1, flip=False),
        optimizer=Optimizer(learning_rate=0.05),
        evaluation=Evaluation(every="60 steps", batch=60),
        batch=32,
        head_only="10 steps",
        length="60 steps",
        checkpoint_every="10 steps",
    )
    status = Session(recipe, root / "run", console=console).run()
    result = json.loads((root / "run" / "result.json").read_text())
    lines = (root / "run" / "metrics.jsonl").read_text().splitlines()
    served = keras.models.load_model(root / "run" / "model.keras")
    given = [value.numpy() for value in backbone(trained)]
    return {
        "status": status,
        "printed": console.export_text(),
        "given_is_kept_by_head_only": same(given, backbones[0]),
        "given_is_kept_to_the_end": same(given, backbones[-1]),
        "metrics": [json.loads(line) for line in lines],
        "classes": result["classes"],
        "accuracy": result["test_accuracy"],
        "outputs": served.output_shape[-1],
    }


def backbone(model):
    """Returns the variables of all layers but the classifier, with the moving statistics."""
    return [v for layer in model.layers if layer.name != "predictions" for v in layer.weights]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def write_digits(root):
    """Writes three of the digits as PNG files: 120 of each to train on, 40 to test."""
    digits = load_digits()
    for name, digit in DIGITS.items():
        for number, image in enumerate(digits.images[digits.target == digit][:160]):
            folder = root / ("train" if number < 120 else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.uint8(image * 255 / 16)).resize((SIDE, SIDE))
            picture.convert("RGB").save(folder / f"{number:03}.png")


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
