"""Loads a model in a process of its own: `python -m tests.models.load_saved FOLDER`."""

import json
import pathlib
import sys

import keras
import numpy as np

import keras_resnets


def main(folder):
    model = keras.saving.load_model(folder / "model.keras")
    outputs = keras.ops.convert_to_numpy(model(np.load(folder / "images.npy")))
    np.save(folder / "outputs.npy", outputs)
    print(json.dumps({"spec": keras_resnets.model_spec(model).to_json()}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
