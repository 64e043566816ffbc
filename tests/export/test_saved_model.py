"""The SavedModel, called as a server calls it, against Pillow, NumPy and the Keras model."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnets
from keras_resnets import Preprocessing, export_model
from tests.backends import BACKEND
from tests.export.networks import NAMES, PREPROCESSING, classifier
from tests.layer_checks import numpy

pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow")


def file_of(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos():
    """Smooth pictures of several sizes, so that JPEG keeps them nearly as they are."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, size=(5, 4, 3), dtype="uint8") for _ in range(4)]
    sizes = [(40, 30), (25, 61), (20, 20), (64, 48)]
    return [
        np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
        for image, size in zip(coarse, sizes, strict=True)
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, and the signatures of what was exported of it."""
    import tensorflow as tf

    model = classifier()
    path = tmp_path_factory.mktemp("models") / "insects"
    report = export_model(model, path, class_names=NAMES, top=2)
    return model, tf.saved_model.load(report.path), report


def test_image_files_in_a_batch_get_the_names_that_pillow_and_the_model_give(exported, photos):
    import tensorflow as tf

    model, loaded, _ = exported
    kinds = ["JPEG", "PNG", "PNG", "JPEG"]
    files = [file_of(pixels, kind) for pixels, kind in zip(photos, kinds, strict=True)]
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(files))
    # `classify` decodes with Pillow, and runs the model as it was.
    decoded = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]
    expected = keras_resnets.classify(model, decoded, top=2, class_names=NAMES)
    for row, predictions in enumerate(expected):
        names = [name.decode() for name in answer["top_names"][row].numpy()]
        assert names == [prediction.name for prediction in predictions]
        scores = [prediction.score for prediction in predictions]
        np.testing.assert_allclose(answer["top_scores"][row], scores, atol=1e-5)
        classes = [int(prediction.class_id) for prediction in predictions]
        np.testing.assert_array_equal(answer["top_classes"][row], classes)
        np.testing.assert_allclose(np.sum(answer["scores"][row]), 1.0, rtol=1e-6)


def test_groups_are_served_without_onednn(tmp_path, rng):
    """TensorFlow fuses a convolution with what follows, and then, without oneDNN, has no groups."""
    spec = keras_resnets.ResNetSpec(
        block="bottleneck", repeats=(1, 1), widths=(8, 8), groups=2, stem="cifar"
    )
    model = keras_resnets.build_model(spec, input_shape=(16, 16, 3))
    model.export(tmp_path / "model", verbose=False)
    images = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    script = (
        "import sys, numpy, tensorflow; model = tensorflow.saved_model.load(sys.argv[1]); "
        "print(model.serve(numpy.load(sys.argv[2])).numpy().tolist())"
    )
    served = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "model", tmp_path / "images.npy"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(json.loads(served.stdout), model(images), rtol=1e-4, atol=1e-6)


def test_files_of_other_kinds_are_refused(exported, photos):
    import tensorflow as tf

    for kind in ("GIF", "WEBP", "BMP"):
        files = [file_of(photos[0], "PNG"), file_of(photos[0], kind)]
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be a JPEG or PNG file"):
            exported[1].signatures["serving_default"](image_bytes=tf.constant(files))


def test_strips_and_empty_batches_are_refused(exported):
    import tensorflow as tf

    image = exported[1].signatures["image"]
    files = exported[1].signatures["serving_default"]
    strip = np.zeros((1, 3000, 3), "uint8")
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 100 times as long"):
        image(images=tf.constant(strip[None]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 100 times as long"):
        files(image_bytes=tf.constant([file_of(strip, "PNG")]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`images` must hold one image"):
        image(images=tf.zeros((0, 30, 30, 3), tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match="`image_bytes` must hold one"):
        files(image_bytes=tf.zeros((0,), tf.string))


@pytest.mark.parametrize("batch", [1, 5])
def test_images_of_any_size(exported, batch, rng):
    import tensorflow as tf

    model, loaded, _ = exported
    for size in [(20, 33), (51, 24)]:
        images = rng.integers(0, 256, size=(batch, *size, 3), dtype="uint8")
        answer = loaded.signatures["image"](images=tf.constant(images))
        prepared = PREPROCESSING.as_layer()(images)
        np.testing.assert_allclose(answer["scores"], numpy(model(prepared)), atol=1e-5)
        assert answer["top_names"].shape == (batch, 2)


def test_tensors_and_features(exported, rng):
    import tensorflow as tf

    model, loaded, _ = exported
    inputs = rng.standard_normal((3, 16, 16, 3)).astype("float32")
    outputs = loaded.signatures["tensor"](inputs=tf.constant(inputs))
    np.testing.assert_allclose(outputs["outputs"], numpy(model(inputs)), atol=1e-5)
    features = loaded.signatures["features"](inputs=tf.constant(inputs))
    expected = keras_resnets.feature_extractor(model)(inputs)
    assert set(features) == set(expected) == {"stage1", "stage2"}
    for stage, value in expected.items():
        np.testing.assert_allclose(features[stage], numpy(value), rtol=1e-4, atol=1e-4)


def test_what_lies_in_the_folder(exported):
    model, loaded, report = exported
    assert report.path.name == "1"
    assert (report.path / "labels.txt").read_text("utf-8").split("\n") == [*NAMES, ""]
    text = (report.path / "preprocessing.json").read_text("utf-8")
    assert '"crop": 16' in text
    card = (report.path / "README.md").read_text("utf-8")
    for part in [*loaded.signatures, "tiny", str(model.input_shape), "`images`: RGB, `uint8"]:
        assert part in card
    [file] = report.files
    assert file.path == report.path
    on_disk = [path for path in report.path.rglob("*") if path.is_file()]
    beside = ("labels.txt", "preprocessing.json", "README.md")
    assert file.size == sum(path.stat().st_size for path in on_disk if path.name not in beside)
    # Folded: no statistics are left among the variables.
    assert len(loaded.signatures["tensor"].variables) == len(model.weights) - 6 * 3
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in on_disk)


def test_logits_of_a_network_within_others_become_scores(tmp_path, rng):
    import tensorflow as tf

    model = classifier(classifier_activation=None)
    for _ in range(2):
        model = keras.Sequential([keras.Input((16, 16, 3)), model])
    report = export_model(model, tmp_path / "m", class_names=NAMES, signatures=("image", "tensor"))
    loaded = tf.saved_model.load(report.path)
    images = rng.integers(0, 256, size=(2, 30, 30, 3), dtype="uint8")
    logits = numpy(model(PREPROCESSING.as_layer()(images))).astype("float64")
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    answer = loaded.signatures["image"](images=tf.constant(images))
    np.testing.assert_allclose(answer["scores"], scores, atol=1e-5)
    inputs = PREPROCESSING.as_layer()(images)
    np.testing.assert_allclose(
        loaded.signatures["tensor"](inputs=inputs)["outputs"], logits, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_one_unit_is_a_sigmoid_of_both_classes(activation, tmp_path, rng):
    import tensorflow as tf

    body = classifier()
    head = keras.layers.Dense(1, activation=activation)
    model = keras.Model(body.input, head(body.get_layer("avg_pool").output))
    images = rng.integers(0, 256, size=(3, 30, 30, 3), dtype="uint8")
    outputs = numpy(model(PREPROCESSING.as_layer()(images))).astype("float64")
    positive = 1 / (1 + np.exp(-outputs)) if activation is None else outputs
    expected = np.concatenate([1 - positive, positive], axis=1)
    report = export_model(
        model, tmp_path / "m", class_names=["cat", "dog"], signatures=("image", "tensor")
    )
    loaded = tf.saved_model.load(report.path)
    answer = loaded.signatures["image"](images=tf.constant(images))
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
    assert answer["top_scores"].shape == (3, 2)
    best = [["cat", "dog"][index] for index in expected.argmax(axis=1)]
    assert [name.decode() for name in answer["top_names"][:, 0].numpy()] == best
    assert (report.path / "labels.txt").read_text("utf-8") == "cat\ndog\n"


def test_logits_become_sigmoids_by_choice(tmp_path, rng):
    import tensorflow as tf

    model = classifier(classifier_activation=None)
    images = rng.integers(0, 256, size=(2, 30, 30, 3), dtype="uint8")
    report = export_model(
        model, tmp_path / "m", class_names=NAMES, signatures=("image",), scores="sigmoid"
    )
    logits = numpy(model(PREPROCESSING.as_layer()(images))).astype("float64")
    answer = tf.saved_model.load(report.path).signatures["image"](images=tf.constant(images))
    np.testing.assert_allclose(answer["scores"], 1 / (1 + np.exp(-logits)), atol=1e-5)
    other = classifier(classifier_activation="tanh")
    with pytest.raises(ValueError, match=r"probabilities or logits: .*'tanh'"):
        export_model(other, tmp_path / "n", class_names=NAMES, signatures=("image",))


def test_a_model_that_scales_its_images_itself_is_scaled_once(tmp_path, rng):
    import tensorflow as tf

    base, pixels = classifier(), keras.Input((16, 16, 3))  # the base carries ImageNet's
    scaled = keras.layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)(pixels)
    model = keras.Model(pixels, base(scaled))
    report = export_model(model, tmp_path / "m", class_names=NAMES, signatures=("image", "tensor"))
    images = rng.integers(0, 256, size=(2, 16, 16, 3), dtype="uint8")
    around = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))  # resized to 20, cropped to 16
    loaded = tf.saved_model.load(report.path)
    answer = loaded.signatures["image"](images=tf.constant(around))
    expected = numpy(model(images.astype("float32"), training=False))
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
    written = Preprocessing.from_dict(json.loads((report.path / "preprocessing.json").read_text()))
    assert written == Preprocessing(resize=20, crop=16, value_range=(0, 255))


def test_grey_images_of_a_model_with_its_preprocessing_in_the_graph(tmp_path, photos):
    import tensorflow as tf

    pixels = keras.Input((None, None, 1), dtype="uint8")
    prepared = Preprocessing(resize=(16, 16), mean=0.5, std=0.25).as_layer()(pixels)
    model = classifier(shape=None, preprocessing=None, input_tensor=prepared)
    signatures = ("serving_default", "image")
    report = export_model(model, tmp_path / "m", signatures=signatures, class_names=NAMES, top=1)
    card = (report.path / "README.md").read_text("utf-8")
    assert "`images`: grey, `uint8 (batch," in card
    assert "RGB" not in card
    loaded = tf.saved_model.load(report.path)
    grey = [np.asarray(Image.fromarray(image).convert("L"))[..., None] for image in photos]
    for image in grey:
        file = tf.constant([file_of(image, "PNG")])
        answer = loaded.signatures["serving_default"](image_bytes=file)
        np.testing.assert_allclose(answer["scores"], numpy(model(image[None])), atol=1e-5)
