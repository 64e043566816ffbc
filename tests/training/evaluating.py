"""A process of its own, with two logical devices: evaluates a model in every way there is.

It also prints what plain Keras and NumPy make of the same pictures.
"""

import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

SIZE, SIDE, CLASSES = 16, 32, 6


def main(root):
    logical = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    from training.loop.strategy import make_strategy
    from training.options import EvaluationOptions
    from training.run.evaluate_model import evaluate_model

    def measured(path, strategy, dataset, **options):
        return evaluate_model(path, strategy, EvaluationOptions(dataset=dataset, **options))

    model = network()
    model.save(root / "model.keras")
    (root / "cut.keras").write_bytes((root / "model.keras").read_bytes()[:-100])
    model.export(root / "saved_model", verbose=False)
    whole, labels = write_pictures(root / "whole", SIZE)
    large, _ = write_pictures(root / "large", SIDE)
    keras_file = root / "model.keras"
    whole_name, large_name = f"folder:{root / 'whole'}", f"folder:{root / 'large'}"
    one, two = make_strategy("one-device"), make_strategy("mirrored")
    ten = {"ten_crop": True, "crop_ratio": 0.5}
    evaluations = {
        # 13 images: the last batch is short, and one of two replicas gets none of it.
        "one device": measured(keras_file, one, whole_name, batch=12),
        "folder, two devices": measured(root, two, whole_name, batch=12),
        "SavedModel, two devices": measured(root / "saved_model", two, whole_name, batch=4),
        "ten crops, two devices": measured(keras_file, two, large_name, **ten, batch=4),
        "centre": measured(keras_file, one, large_name, crop_ratio=0.5, batch=4),
    }
    centre = (SIDE - SIZE) // 2
    corners = [(0, 0), (0, SIZE), (SIZE, 0), (SIZE, SIZE), (centre, centre)]
    views = [large[:, top : top + SIZE, left : left + SIZE] for top, left in corners]
    views += [view[:, :, ::-1] for view in views]
    probabilities = [model.predict(view, verbose=0) for view in views]
    return {
        "labels": labels.tolist(),
        "errors": errors_of(measured, keras_file, whole_name, one, two),
        "evaluations": {name: described(each) for name, each in evaluations.items()},
        "sha256": sha256_of(model),
        "probabilities": {
            "whole": model.predict(whole, verbose=0).tolist(),
            "ten crops": np.mean(probabilities, axis=0).tolist(),
            "centre": probabilities[4].tolist(),
        },
    }


def network():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((SIZE, SIZE, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(8, 5, strides=4, kernel_initializer="he_normal"),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES, activation="softmax"),
    ]
    return keras.Sequential(layers)


def write_pictures(root, side):
    """Writes 13 PNG files of noise; returns their pixels and labels in the order of the folder."""
    generator = np.random.default_rng(side)
    labels = np.sort(np.arange(13) % CLASSES)
    pictures = generator.integers(0, 256, (13, side, side, 3), dtype=np.uint8)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = root / "test" / f"class{label}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return pictures.astype("float32"), labels


def errors_of(measured, file, dataset, one, two):
    """Returns the messages of wrong calls."""
    calls = {
        "odd batch": (file, two, dataset, {"batch": 5}),
        "no data": (file, one, "", {}),
        "no model": (file.parent / "nothing", one, dataset, {}),
        "other classes": (file, one, "digits", {}),
        "ten crops of the whole": (file, one, dataset, {"ten_crop": True}),
        "cut file": (file.with_name("cut.keras"), one, dataset, {}),
        "damaged file": (file.with_name("damaged.keras"), one, dataset, {}),
        "other names": (file, one, dataset, {}),
        "other names, SavedModel": (file.parent / "saved_model", one, dataset, {}),
    }
    damage(file, file.with_name("damaged.keras"))
    messages = {}
    for name, (path, strategy, source, options) in calls.items():
        if name.startswith("other names"):
            names = [f"class{5 - label}" for label in range(CLASSES)]
            (file.parent / "result.json").write_text(json.dumps({"classes": names}))
        try:
            measured(path, strategy, source, **options)
        except ValueError as error:
            messages[name] = str(error)
    return messages


def damage(whole, path):
    """Copies an archive, one byte of the weights changed."""
    contents = bytearray(whole.read_bytes())
    contents[len(contents) // 2] ^= 255
    path.write_bytes(contents)


def sha256_of(model):
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(array.tobytes())
    return digest.hexdigest()


def described(measurement):
    scores = measurement.scores
    return measurement.values() | {
        "name": measurement.name,
        "labels": scores.labels.tolist(),
        "predictions": scores.predictions.tolist(),
        "losses": scores.losses.tolist(),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
