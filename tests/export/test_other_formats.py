"""ONNX, LiteRT and OpenVINO files, each run in its own runtime as docs/serving.md says."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_resnets import Preprocessing, export_model
from tests.backends import BACKEND
from tests.export.networks import classifier
from tests.layer_checks import numpy
from tests.weights.test_keras_file import augmentation

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow"),
]
# What each format needs, and the files that it adds to the folder.
NEEDS = {
    "saved_model": (),
    "onnx": ("tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "litert_int8": ("ai_edge_litert",),
    "openvino": ("openvino",),
}
FILES = {
    "saved_model": {"saved_model.pb", "fingerprint.pb"},
    "onnx": {"model.onnx"},
    "litert": {"model.tflite"},
    "litert_int8": {"model_int8.tflite"},
    "openvino": {"model.xml", "model.bin"},
}


def inputs(batch, size=16):
    return np.random.default_rng(batch).standard_normal((batch, size, size, 3)).astype("float32")


def skip_unless_installed(format):
    for package in NEEDS[format]:
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, and the report of its export in all formats that are installed."""
    model = classifier()
    formats = [name for name, needs in NEEDS.items() if all(map(importlib.util.find_spec, needs))]
    folder = tmp_path_factory.mktemp("exported")
    return model, export_model(
        model, folder, tuple(formats), signatures=("tensor",), images=inputs(33)
    )


def file_of(exported, format):
    skip_unless_installed(format)
    model, report = exported
    return model, next(file for file in report.files if file.format == format)


def any_size(format, folder):
    model = classifier(shape=(None, None, 3))
    [file] = export_model(model, folder / "m", (format,), signatures=("tensor",)).files
    return model, file


def test_all_formats_lie_in_one_folder(exported):
    _, report = exported
    assert all(file.path.exists() and file.size > 1000 for file in report.files)
    expected = {"README.md", "preprocessing.json"}.union(*(FILES[f.format] for f in report.files))
    assert {path.name for path in report.path.iterdir() if path.is_file()} == expected


@pytest.mark.parametrize("size", [16, 24])
def test_onnx_takes_any_batch(size, exported, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model, file = file_of(exported, "onnx") if size == 16 else any_size("onnx", tmp_path)
    session = runtime.InferenceSession(file.path)
    assert isinstance(session.get_inputs()[0].shape[0], str)  # an open size
    for batch in (1, 5, 33):
        x = inputs(batch, size)
        [outputs] = session.run(["outputs"], {"inputs": x})
        np.testing.assert_allclose(outputs, numpy(model(x)), atol=1e-5)


@pytest.mark.parametrize("size", [16, 24])
def test_openvino_takes_any_batch(size, exported, tmp_path):
    openvino = pytest.importorskip("openvino")
    model, file = file_of(exported, "openvino") if size == 16 else any_size("openvino", tmp_path)
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file.path, "CPU", exactly)
    for batch in (1, 5, 33):
        x = inputs(batch, size)
        np.testing.assert_allclose(compiled(x)["outputs"], numpy(model(x)), atol=1e-5)


def test_litert_by_its_signature(exported):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, file = file_of(exported, "litert")
    run = litert.Interpreter(model_path=str(file.path)).get_signature_runner("serving_default")
    x = inputs(1)
    np.testing.assert_allclose(run(inputs=x)["outputs"], numpy(model(x)), atol=1e-5)
    assert file.agreement is None


def test_litert_of_8_bits_is_smaller_and_mostly_agrees(exported):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, file = file_of(exported, "litert_int8")
    interpreter = litert.Interpreter(model_path=str(file.path))
    kinds = [detail["dtype"] for detail in interpreter.get_tensor_details()]
    assert kinds.count(np.int8) > len(kinds) / 2
    run = interpreter.get_signature_runner("serving_default")
    x = inputs(33)
    ours = np.concatenate([run(inputs=image[None])["outputs"] for image in x])
    expected = numpy(model(x))
    assert file.agreement == np.mean(ours.argmax(axis=1) == expected.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(file.difference, np.abs(ours - expected).max(), rtol=1e-5)
    assert 1e-4 < file.difference < 0.2


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert", "openvino"])
def test_the_layers_before_a_network_are_exported_with_it(format, tmp_path):
    """Resizing in the graph, augmentation, and constants that are no variables."""
    import tensorflow as tf

    skip_unless_installed(format)
    rng = np.random.default_rng(0)

    class Shift(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.shift = tf.constant([1.0, 2.0, 3.0])

        def call(self, x):
            return x + self.shift

    adapted = keras.layers.Normalization()
    adapted.adapt(rng.normal(3.0, 2.0, (20, 16, 16, 3)))
    whole_image = rng.normal(size=(16, 16, 3))
    images = x = keras.Input((None, None, 3))
    for layer in (
        Preprocessing(resize=20, crop=16, interpolation="nearest").as_layer(name="prepare"),
        keras.Sequential(augmentation(), name="data_augmentation"),
        keras.layers.Rescaling([0.5, 1.0, 2.0], offset=[0.1, 0.2, 0.3]),
        keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        adapted,
        keras.layers.Normalization(axis=(1, 2, 3), mean=whole_image, variance=1 + whole_image**2),
        Shift(),
    ):
        x = layer(x)
    network = classifier(preprocessing=None, classifier_activation=None)
    model = keras.Model(images, network(x))
    [file] = export_model(model, tmp_path / "m", (format,), signatures=("tensor",)).files
    assert file.difference < 1e-5
