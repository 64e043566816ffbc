"""A script for `keras.applications`, moved here as docs/from_keras_applications.md says.

The photographs are read, the network is fine-tuned in two stages, looked at with Grad-CAM, saved,
loaded by another process and exported, with the names of that page alone.
"""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_resnets
from tests.subprocesses import ROOT

PHOTOS = ROOT.parent / "shared" / "data" / "photos"
SIZE = 64
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="fits tf.data"),
    pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the shared photographs"),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The photographs of animals (WordNet's n01 and n02) and of things, as Keras reads a folder."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in sorted(PHOTOS.glob("*.JPEG")):
        into = folder / ("animal" if path.name.startswith(("n01", "n02")) else "thing")
        into.mkdir(exist_ok=True)
        shutil.copy(path, into / path.name)
    return keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=24, seed=0, verbose=False
    )


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """The file of a network that `keras.applications` built, and the network."""
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(SIZE, SIZE, 3), classes=7)
    path = tmp_path_factory.mktemp("theirs") / "resnet50.keras"
    model.save(path)
    return path, model


@pytest.fixture(scope="module")
def tuned(theirs, dataset):
    """A network of two classes with the old one's backbone, fine-tuned in two stages."""
    path, _ = theirs
    with pytest.warns(UserWarning, match="classes"):
        model = keras_resnets.ResNet50(
            weights=path, stride_on="1x1", input_shape=(SIZE, SIZE, 3), classes=2
        )
    keras_resnets.set_class_names(model, dataset.class_names)
    ready = dataset.map(lambda x, y: (keras_resnets.preprocess_input(x, model), y))
    first = model.get_layer("stem_conv").conv.kernel.numpy()
    last = model.get_layer("stage4_block1").conv1.conv.kernel.numpy()

    keras_resnets.freeze_backbone(model)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    model.fit(ready, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.get_layer("stage4_block1").conv1.conv.kernel, last)

    keras_resnets.unfreeze(model, from_stage=4)
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    model.fit(ready, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.get_layer("stem_conv").conv.kernel, first)
    assert np.any(model.get_layer("stage4_block1").conv1.conv.kernel != last)
    return model


def test_the_features_are_those_of_the_old_network(theirs, dataset):
    """By the table of layer names, for every stage, on photographs prepared by either package."""
    path, old = theirs
    new = keras_resnets.convert_weights(path, input_shape=(SIZE, SIZE, 3))
    images, _ = next(iter(dataset.take(1)))
    theirs_ready = keras.applications.resnet.preprocess_input(images)
    ours_ready = keras_resnets.preprocess_input(images, new)
    for their_name, our_name in (
        ("conv2_block3_out", "stage1_block3"),
        ("conv3_block4_out", "stage2_block4"),
        ("conv4_block6_out", "stage3_block6"),
        ("conv5_block3_out", "stage4_block3"),
        ("predictions", "predictions"),
    ):
        expected = keras.Model(old.input, old.get_layer(their_name).output)(theirs_ready)
        found = keras.Model(new.input, new.get_layer(our_name).output)(ours_ready)
        # Float32 rounds each of up to 50 layers in another order.
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4, err_msg=our_name)


def test_grad_cam_explains_the_answer(tuned, dataset):
    import tensorflow as tf

    images, _ = next(iter(dataset.take(1)))
    both = keras.Model(tuned.input, [tuned.get_layer("stage4_block3").output, tuned.output])
    with tf.GradientTape() as tape:
        features, scores = both(keras_resnets.preprocess_input(images, tuned))
        score = tf.reduce_max(scores, axis=-1)
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
    assert heat.shape == (len(images), SIZE // 32, SIZE // 32)
    assert np.isfinite(heat).all()
    assert heat.any()


def test_another_process_answers_with_the_names(tuned, tmp_path):
    """From the saved file, and as the exported SavedModel does."""
    import tensorflow as tf

    photo = next(PHOTOS.glob("*.JPEG"))
    tuned.save(tmp_path / "tuned.keras")
    program = (
        "import sys, json, keras, keras_resnets\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "[answer] = keras_resnets.classify(model, sys.argv[2])\n"
        "print(json.dumps({each.name: float(each.score) for each in answer}))\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "tuned.keras"), str(photo)]
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert set(answer) == {"animal", "thing"}
    assert sum(answer.values()) == pytest.approx(1, abs=1e-5)

    keras_resnets.export_model(tuned, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served" / "1"))
    result = served.signatures["serving_default"](image_bytes=tf.constant([photo.read_bytes()]))
    names = [name.decode() for name in result["top_names"][0].numpy()]
    scores = dict(zip(names, result["top_scores"][0].numpy(), strict=True))
    # Pillow and TensorFlow decode and resize to the same pixels but for a rounding.
    assert scores == pytest.approx(answer, abs=2e-3)
