"""TensorFlow, where it is installed but not Keras's backend, is not imported.

Only what copies or saves layers imports it, for `keras.layers.Layer.get_config` does.
"""

import subprocess
import sys

import pytest

from tests.backends import BACKEND
from tests.subprocesses import ROOT

PROGRAM = """
import sys
import keras
import numpy as np
import keras_resnets

assert "tensorflow" not in sys.modules, "importing"
images = np.zeros((2, 32, 32, 3), "uint8")
uses = {
    "list": keras_resnets.list_models,
    "plain": lambda: keras_resnets.PlainNet20(),
    "spec": lambda: keras_resnets.model_spec(model),
    "headless": lambda: keras_resnets.ResNet50(include_top=False, input_shape=(32, 32, 3)),
    "features": lambda: keras_resnets.feature_extractor(model),
    "summary": lambda: keras_resnets.analysis.summarize(model),
    "explain": lambda: keras_resnets.analysis.explain(model),
    "cost": lambda: keras_resnets.analysis.layer_costs(model),
    "preprocessing": lambda: keras_resnets.preprocess_input(images, model),
    "classify": lambda: keras_resnets.classify(model, images, class_names=list("abcdefghij")),
    "train": lambda: model(np.zeros((2, 32, 32, 3), "float32"), training=True),
}
model = keras_resnets.ResNet20()
keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
for name, use in uses.items():
    use()
    assert "tensorflow" not in sys.modules, name
"""


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow is the backend")
def test_tensorflow_is_not_imported():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
