"""ONNX, LiteRT and OpenVINO files, each run in its own runtime as docs/serving.md says."""

import keras
import numpy as np
import pytest

from keras_resnets import export_model
from tests.backends import BACKEND
from tests.export.networks import NAMES, classifier
from tests.layer_checks import numpy
from tests.weights.test_keras_file import augmentation

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow"),
]
BATCHES = [1, 5, 33]
NETWORKS = {"fixed": {}, "any size": {"shape": (None, None, 3)}}


def inputs(batch, size=16):
    return np.random.default_rng(batch).standard_normal((batch, size, size, 3)).astype("float32")


def exported(name, model, folder, **options):
    [file] = export_model(model, folder / "m", formats=(name,), class_names=NAMES, **options).files
    return file


@pytest.mark.parametrize("network", NETWORKS)
def test_onnx_takes_any_batch(network, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = classifier(**NETWORKS[network])
    session = runtime.InferenceSession(exported("onnx", model, tmp_path).path)
    assert isinstance(session.get_inputs()[0].shape[0], str)  # an open size
    for batch in BATCHES:
        x = inputs(batch, 16 if network == "fixed" else 24)
        [outputs] = session.run(["outputs"], {"inputs": x})
        np.testing.assert_allclose(outputs, numpy(model(x)), atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_openvino_takes_any_batch(network, tmp_path):
    openvino = pytest.importorskip("openvino")
    model = classifier(**NETWORKS[network])
    compiled = openvino.Core().compile_model(
        exported("openvino", model, tmp_path).path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for batch in BATCHES:
        x = inputs(batch, 16 if network == "fixed" else 24)
        np.testing.assert_allclose(compiled(x)["outputs"], numpy(model(x)), atol=1e-5)


@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
def test_what_a_layer_has_captured_is_a_constant(format, tmp_path):
    """Constants that are no variables: of `Normalization` and of a layer of one's own."""
    import tensorflow as tf

    pytest.importorskip({"onnx": "tf2onnx", "litert": "ai_edge_litert"}.get(format, format))
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
    images = x = keras.Input((16, 16, 3))
    for layer in (
        keras.layers.Rescaling([0.5, 1.0, 2.0], offset=[0.1, 0.2, 0.3]),
        keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        adapted,
        keras.layers.Normalization(axis=(1, 2, 3), mean=whole_image, variance=1 + whole_image**2),
        Shift(),
    ):
        x = layer(x)
    network = classifier(preprocessing=None, classifier_activation=None)
    model = keras.Model(images, network(x))
    [file] = export_model(model, tmp_path / "m", formats=(format,)).files
    assert file.difference < 1e-5


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert", "openvino"])
def test_augmentation_is_left_out(format, tmp_path):
    pytest.importorskip({"onnx": "tf2onnx", "litert": "ai_edge_litert"}.get(format, "keras"))
    if format == "openvino":
        pytest.importorskip("openvino")
    images = keras.Input((16, 16, 3))
    augmented = keras.Sequential(augmentation(), name="data_augmentation")(images)
    model = keras.Model(images, classifier(classifier_activation=None)(augmented))
    [file] = export_model(model, tmp_path / "m", (format,), signatures=("tensor",)).files
    assert file.difference < 1e-5


def test_litert_by_its_signature(tmp_path):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = classifier()
    file = exported("litert", model, tmp_path)
    interpreter = litert.Interpreter(model_path=str(file.path))
    run = interpreter.get_signature_runner("serving_default")
    x = inputs(1)
    np.testing.assert_allclose(run(inputs=x)["outputs"], numpy(model(x)), atol=1e-5)
    assert file.agreement is None


def test_litert_of_8_bits_is_smaller_and_mostly_agrees(tmp_path, rng):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = classifier()
    x = inputs(33)
    file = exported("litert_int8", model, tmp_path, images=x, signatures=("tensor",))
    interpreter = litert.Interpreter(model_path=str(file.path))
    kinds = [detail["dtype"] for detail in interpreter.get_tensor_details()]
    assert kinds.count(np.int8) > len(kinds) / 2
    run = interpreter.get_signature_runner("serving_default")
    ours = np.concatenate([run(inputs=image[None])["outputs"] for image in x])
    expected = numpy(model(x))
    assert file.agreement == np.mean(ours.argmax(axis=1) == expected.argmax(axis=1)) > 0.8
    np.testing.assert_allclose(file.difference, np.abs(ours - expected).max(), rtol=1e-5)
    assert 1e-4 < file.difference < 0.2


def test_all_formats_lie_in_one_folder(tmp_path):
    for package in ("tf2onnx", "onnxruntime", "openvino", "ai_edge_litert"):
        pytest.importorskip(package)
    formats = ("saved_model", "onnx", "litert", "litert_int8", "openvino")
    images = np.random.default_rng(0).integers(0, 256, (8, 20, 24, 3), dtype="uint8")
    report = export_model(
        classifier(), tmp_path / "m", formats=formats, class_names=NAMES, images=images
    )
    assert tuple(file.format for file in report.files) == formats
    assert all(file.path.exists() and file.size > 1000 for file in report.files)
    assert {path.name for path in report.path.iterdir() if path.is_file()} == {
        "README.md",
        "fingerprint.pb",
        "labels.txt",
        "model.bin",
        "model.onnx",
        "model.tflite",
        "model.xml",
        "model_int8.tflite",
        "preprocessing.json",
        "saved_model.pb",
    }
