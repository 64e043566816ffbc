"""A trained network, from its PyTorch checkpoint to files that serve, on CIFAR-10's test images."""

import numpy as np
import pytest

from keras_resnets import convert_weights, export_model, model_preprocessing
from keras_resnets.export.formats import FORMATS
from tests.backends import BACKEND
from tests.subprocesses import ROOT

DATA = ROOT.parent / "shared" / "data"
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow"),
    pytest.mark.skipif(not DATA.exists(), reason="the checkpoint is not here"),
]


@pytest.fixture(scope="module")
def model():
    return convert_weights(DATA / "torch_cifar" / "resnet20-12fca82f.th")


@pytest.fixture(scope="module")
def cifar10():
    """The first 500 test images, their labels, and the scores that the PyTorch model gives them."""
    arrays = np.load(DATA / "cifar10_test_first500.npz")
    logits = np.load(DATA / "torch_cifar" / "resnet20_expected_logits.npz")["logits"]
    powers = np.exp(logits.astype("float64"))
    return arrays["images"], arrays["labels"], powers / powers.sum(axis=1, keepdims=True)


def test_png_files_get_the_scores_of_the_pytorch_model(model, cifar10, tmp_path):
    import tensorflow as tf

    images, labels, scores = cifar10
    report = export_model(
        model,
        tmp_path / "m",
        signatures=("serving_default",),
        class_names=NAMES,
        images=list(images[:40]),
    )
    serve = tf.saved_model.load(report.path).signatures["serving_default"]
    answer = serve(image_bytes=tf.stack([tf.io.encode_png(image) for image in images]))
    np.testing.assert_allclose(answer["scores"], scores, atol=1e-4)
    expected = [NAMES[label] for label in labels]
    named = [name.decode() for name in answer["top_names"].numpy()[:, 0]]
    assert np.mean(np.array(named) == expected) == 0.910


@pytest.mark.peers
def test_every_format_keeps_the_accuracy(model, cifar10, tmp_path):
    for package in ("tf2onnx", "onnxruntime", "ai_edge_litert", "openvino"):
        pytest.importorskip(package)
    images, labels, _ = cifar10
    formats = ("onnx", "litert", "litert_int8", "openvino")
    report = export_model(model, tmp_path / "m", formats, images=list(images[:50]))
    inputs = np.array(model_preprocessing(model).as_layer()(images))
    accuracy = {}
    for file in report.files:
        outputs = FORMATS[file.format].open(file.path)["tensor"](inputs)["outputs"]
        accuracy[file.format] = np.mean(outputs.argmax(axis=1) == labels)
    assert accuracy.pop("litert_int8") >= 0.900
    assert accuracy == {"onnx": 0.910, "litert": 0.910, "openvino": 0.910}
