"""Files: a saved model, and an exported one, answer as the model did."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNetSpec, build_model, model_spec
from tests.backends import requires_tensorflow
from tests.layer_checks import numpy, plain, randomize
from tests.models.once import once
from tests.subprocesses import run_module

BASIC = ResNetSpec(block="basic", repeats=(2, 1), widths=(4, 8))
BOTTLENECK = dataclasses.replace(BASIC, block="bottleneck")
SPECS = {
    "A": dataclasses.replace(BASIC, shortcut="A", zero_pad="both", activation="silu"),
    "B": dataclasses.replace(BASIC, stem="cifar", zero_init_residual=True),
    "C": dataclasses.replace(BOTTLENECK, shortcut="C", drop_path_rate=0.3),
    "v1": dataclasses.replace(BOTTLENECK, stride_on="1x1", output_stride=4),
    "plain": dataclasses.replace(BASIC, shortcut=None, activation="gelu"),
    # In a file, the tenth block comes before the second.
    "deep": dataclasses.replace(BASIC, repeats=(1, 11), widths=(2, 4), stem="cifar"),
}


def images(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


@pytest.mark.parametrize(("name", "include_top"), [*((name, True) for name in SPECS), ("A", False)])
def test_a_saved_model_is_the_same(name, include_top, tmp_path):
    classes = 5 if include_top else None
    model = build_model(SPECS[name], include_top, input_shape=(None, None, 3), classes=classes)
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert plain(loaded.get_config()) == plain(model.get_config())
    for size in [(16, 16), (21, 9)]:
        x = images(2, *size, 3)
        np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))
    for weight, again in zip(model.weights, loaded.weights, strict=True):
        assert weight.path == again.path
        assert weight.trainable == again.trainable
        np.testing.assert_array_equal(numpy(weight), numpy(again))


def test_a_fresh_process_gives_the_same_outputs(tmp_path):
    model = build_model(SPECS["C"], input_shape=(16, 16, 3), classes=2)
    x = images(2, *model.input_shape[1:])
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", x)
    report = run_module("tests.models.load_saved", str(tmp_path))
    assert report["spec"] == model_spec(model).to_json()
    np.testing.assert_array_equal(np.load(tmp_path / "outputs.npy"), numpy(model(x)))


@once
def test_a_compiled_model_keeps_its_optimizer(tmp_path):
    spec = ResNetSpec(block="bottleneck", repeats=(1,), widths=(4,), stem="cifar")
    model = build_model(spec, input_shape=(8, 8, 3), classes=2)
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    x, y = images(8, 8, 8, 3), np.arange(8) % 2
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations) == 1
    # Both go on alike: the moments were saved too. Adam's step is at least a hundredth of its rate.
    for each in (model, loaded):
        each.train_on_batch(x, y)
    for after, expected in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(numpy(after), numpy(expected), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_saved_model_keeps_its_precision(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = build_model(SPECS["B"], input_shape=(16, 16, 3), classes=2)
    randomize(model)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    block = loaded.get_layer("stage1_block1")
    assert block.compute_dtype == block.conv1.norm.compute_dtype == policy.removeprefix("mixed_")
    assert loaded.get_layer("predictions").compute_dtype == "float32"
    x = images(2, 16, 16, 3)
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))


@pytest.mark.parametrize("copy", ["saved", "cloned"])
def test_a_frozen_model_stays_frozen(copy, tmp_path):
    model = keras_resnets.freeze_backbone(build_model(BASIC, input_shape=(16, 16, 3), classes=2))
    if copy == "saved":
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
    else:
        again = keras.models.clone_model(model)
    head = ["predictions/kernel", "predictions/bias"]
    assert [weight.path for weight in again.trainable_weights] == head
    x = images(4, 16, 16, 3)
    np.testing.assert_array_equal(numpy(again(x, training=True)), numpy(again(x)))


@pytest.mark.parametrize("copy", ["cloned", "saved twice"])
def test_frozen_convolutions_stay_frozen(copy, tmp_path):
    """Keras keeps one `trainable` a block; the blocks remember the rest."""
    model = build_model(SPECS["C"], input_shape=(16, 16, 3), classes=2)
    keras_resnets.freeze_backbone(model, bn="train")
    again = model
    for _ in range(2 if copy == "saved twice" else 1):
        if copy == "cloned":
            again = keras.models.clone_model(model)
        else:
            again.save(tmp_path / "model.keras")
            again = keras.saving.load_model(tmp_path / "model.keras")
    convolutions = {weight.path for weight in model.weights if "/conv/kernel" in weight.path}
    # stem, and a C shortcut and three convolutions in each of the three blocks
    assert len(convolutions) == 1 + 3 * (1 + 3)
    statistics = {weight.path for weight in model.weights if "/moving_" in weight.path}
    assert {weight.path for weight in again.trainable_weights} == {
        weight.path for weight in model.weights
    } - convolutions - statistics
    everything = keras_resnets.unfreeze(again).trainable_weights
    assert {weight.path for weight in everything} == {
        weight.path for weight in model.weights
    } - statistics


@requires_tensorflow
class TestExport:
    """`model.export` to a SavedModel."""

    @pytest.mark.parametrize("name", ["A", "C", "plain"])
    def test_any_number_of_images(self, name, tmp_path):
        model = build_model(SPECS[name], input_shape=(32, 24, 3), classes=5)
        self.check(model, (32, 24), tmp_path)

    def test_images_of_any_size(self, tmp_path):
        model = build_model(SPECS["v1"], input_shape=(None, None, 3), classes=5)
        self.check(model, (32, 24), tmp_path)
        self.check_served(model, (17, 40), tmp_path)

    def test_features(self, tmp_path):
        model = build_model(SPECS["B"], input_shape=(16, 16, 3), include_top=False)
        extractor = keras_resnets.feature_extractor(model)
        randomize(extractor)
        served = self.export(extractor, tmp_path)
        x = images(3, 16, 16, 3)
        actual, expected = served.serve(x), extractor(x)
        assert set(actual) == {"stage1", "stage2"}
        for stage, value in expected.items():
            np.testing.assert_allclose(actual[stage], value, rtol=1e-5, atol=1e-5)

    def check(self, model, size, folder):
        randomize(model)
        self.export(model, folder)
        self.check_served(model, size, folder)

    def export(self, model, folder):
        import tensorflow as tf

        model.export(folder / "exported", verbose=False)
        return tf.saved_model.load(folder / "exported")

    def check_served(self, model, size, folder):
        import tensorflow as tf

        served = tf.saved_model.load(folder / "exported")
        for batch in (1, 5):
            x = images(batch, *size, 3)
            expected = numpy(model(x))
            assert expected.shape[0] == batch
            np.testing.assert_allclose(served.serve(x), expected, rtol=0, atol=1e-5)
            # inference twice: no state moves
            np.testing.assert_array_equal(served.serve(x), served.serve(x))
