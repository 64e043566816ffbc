"""ONNX, LiteRT and OpenVINO files, each run in its own runtime as docs/serving.md says."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_resnets import Preprocessing, ResNetSpec, build_model, export_model
from tests.backends import BACKEND
from tests.export.networks import classifier
from tests.layer_checks import numpy, randomize
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
    return np.random.default_rng(batch).uniform(0, 255, (batch, size, size, 3)).astype("float32")


def with_layers_before(network):
    """Resizing in the graph, augmentation, and constants that are no variables."""
    import tensorflow as tf

    class Shift(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.shift = tf.constant([1.0, 2.0, 3.0])

        def call(self, x):
            return x + self.shift

    rng = np.random.default_rng(0)
    adapted = keras.layers.Normalization()
    adapted.adapt(rng.normal(3.0, 2.0, (20, 16, 16, 3)))
    whole_image = rng.normal(size=(16, 16, 3))
    images = x = keras.Input((None, None, 3))
    for layer in (
        Preprocessing(resize=20, crop=16, interpolation="nearest").as_layer(name="prepare"),
        keras.Sequential(augmentation(), name="data_augmentation"),
        keras.layers.Rescaling([0.02, 0.03, 0.04], offset=[0.1, 0.2, 0.3]),
        keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        adapted,
        keras.layers.Normalization(axis=(1, 2, 3), mean=whole_image, variance=1 + whole_image**2),
        Shift(),
    ):
        x = layer(x)
    return keras.Model(images, network(x))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model of any size, and its export in all formats but 8 bits that are installed."""
    model = with_layers_before(classifier(preprocessing=None))
    floats = {name: needs for name, needs in NEEDS.items() if name != "litert_int8"}
    formats = [name for name, needs in floats.items() if all(map(importlib.util.find_spec, needs))]
    folder = tmp_path_factory.mktemp("exported")
    return model, export_model(
        model, folder, tuple(formats), signatures=("tensor",), images=inputs(33)
    )


def file_of(exported, format):
    for package in NEEDS[format]:
        pytest.importorskip(package)
    model, report = exported
    return model, next(file for file in report.files if file.format == format)


def test_all_formats_lie_in_one_folder(exported):
    _, report = exported
    assert all(file.path.exists() and file.size > 1000 for file in report.files)
    expected = {"README.md", "preprocessing.json"}.union(
        *(FILES[file.format] for file in report.files)
    )
    assert {path.name for path in report.path.iterdir() if path.is_file()} == expected
    assert all(file.difference < 1e-5 for file in report.files if file.format != "litert_int8")


@pytest.mark.parametrize("size", [16, 24])
def test_onnx_takes_any_batch(size, exported):
    runtime = pytest.importorskip("onnxruntime")
    model, file = file_of(exported, "onnx")
    session = runtime.InferenceSession(file.path)
    assert isinstance(session.get_inputs()[0].shape[0], str)  # an open size
    for batch in (1, 5, 33):
        x = inputs(batch, size)
        [outputs] = session.run(["outputs"], {"inputs": x})
        np.testing.assert_allclose(outputs, numpy(model(x, training=False)), atol=1e-5)


@pytest.mark.parametrize("size", [16, 24])
def test_openvino_takes_any_batch(size, exported):
    openvino = pytest.importorskip("openvino")
    model, file = file_of(exported, "openvino")
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file.path, "CPU", exactly)
    for batch in (1, 5, 33):
        x = inputs(batch, size)
        np.testing.assert_allclose(
            compiled(x)["outputs"], numpy(model(x, training=False)), atol=1e-5
        )


def test_litert_by_its_signature(exported):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, file = file_of(exported, "litert")
    run = litert.Interpreter(model_path=str(file.path)).get_signature_runner("serving_default")
    x = inputs(1)
    np.testing.assert_allclose(run(inputs=x)["outputs"], numpy(model(x, training=False)), atol=1e-5)
    assert file.agreement is None


def test_litert_of_8_bits_is_smaller_and_mostly_agrees(tmp_path):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, x = classifier(), np.random.default_rng(0).standard_normal((33, 16, 16, 3), "float32")
    report = export_model(model, tmp_path, ("litert_int8",), images=x)
    [file] = report.files
    names = {"README.md", "preprocessing.json", *FILES["litert_int8"]}
    assert {path.name for path in report.path.iterdir()} == names
    interpreter = litert.Interpreter(model_path=str(file.path))
    kinds = [detail["dtype"] for detail in interpreter.get_tensor_details()]
    assert kinds.count(np.int8) > len(kinds) / 2
    run = interpreter.get_signature_runner("serving_default")
    ours = np.concatenate([run(inputs=image[None])["outputs"] for image in x])
    expected = numpy(model(x, training=False))
    assert file.agreement == np.mean(ours.argmax(axis=1) == expected.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(file.difference, np.abs(ours - expected).max(), rtol=1e-5)
    assert 1e-4 < file.difference < 0.2


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 2, "width_per_group": 32, "anti_alias": "blur"},
        {"stem": "deep", "shortcut": "D", "se_ratio": 1 / 4, "anti_alias": "average"},
        {"pre_activation": True, "groups": 2, "dropout_rate": 0.1},
        {"pre_activation": "keras"},
    ],
    ids=str,
)
def test_the_options_of_later_networks_are_exported(options, tmp_path):
    """The export runs each file in its runtime, and compares its outputs with the model's."""
    spec = ResNetSpec(block="bottleneck", repeats=(1, 1), widths=(8, 16), **options)
    model = build_model(spec, input_shape=(16, 16, 3), classes=3)
    randomize(model)
    formats = [name for name, needs in NEEDS.items() if all(map(importlib.util.find_spec, needs))]
    report = export_model(
        model, tmp_path, tuple(formats), signatures=("tensor",), images=inputs(33) / 255
    )
    assert [file.format for file in report.files] == formats
    assert all(file.difference < 1e-5 for file in report.files if file.format != "litert_int8")
