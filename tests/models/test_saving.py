"""Files: a saved model answers as the model did.

That a fresh process opens a file is shown by the files of an older version (test_old_files.py).
"""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import build_model, model_spec
from tests.backends import requires_tensorflow
from tests.layer_checks import numpy, plain, randomize
from tests.models.networks import SPECS, TINY, built, images

# In a file, the tenth block comes before the second.
SAVED = SPECS | {"deep": dataclasses.replace(TINY, repeats=(11,), widths=(2,))}


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@pytest.mark.parametrize(("name", "include_top"), [*((name, True) for name in SAVED), ("A", False)])
def test_a_saved_model_and_a_clone_are_the_same(name, include_top, tmp_path):
    classes = 5 if include_top else None
    model = built(SAVED[name], (None, None, 3), include_top=include_top, classes=classes)
    x = images(2, 21, 9, 3)
    expected = numpy(model(x))
    loaded = saved_and_loaded(model, tmp_path)
    clone = keras.models.clone_model(model)
    assert not np.array_equal(numpy(clone(x)), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    clone.load_weights(tmp_path / "model.weights.h5")
    for again in (loaded, clone):
        assert plain(again.get_config()) == plain(model.get_config())
        assert model_spec(again) == SAVED[name]
        np.testing.assert_array_equal(numpy(again(x)), expected)
        for weight, copy in zip(model.weights, again.weights, strict=True):
            assert (copy.path, copy.trainable) == (weight.path, weight.trainable)
            np.testing.assert_array_equal(numpy(copy), numpy(weight))


def test_a_saved_model_keeps_its_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    model = built(SPECS["B"], classes=2)
    keras.config.set_dtype_policy("float32")
    loaded = saved_and_loaded(model, tmp_path)
    block = loaded.get_layer("stage1_block1")
    assert block.compute_dtype == block.conv1.norm.compute_dtype == "float16"
    assert loaded.get_layer("predictions").compute_dtype == "float32"
    x = images(2, 16, 16, 3)
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))


@pytest.mark.parametrize("bn", ["inference", "train"])
@pytest.mark.parametrize("copy", ["cloned", "saved twice"])
def test_a_frozen_model_stays_frozen(bn, copy, tmp_path):
    """Keras keeps one `trainable` a block; the blocks remember the rest."""
    spec = dataclasses.replace(SPECS["C"], drop_path_rate=0.0)
    model = build_model(spec, input_shape=(16, 16, 3), classes=2)
    weights = {weight.path for weight in model.weights}
    convolutions = {path for path in weights if "/conv/kernel" in path}
    # stem, and a C shortcut and three convolutions in each of the two blocks
    assert len(convolutions) == 1 + 2 * (1 + 3)
    statistics = {path for path in weights if "/moving_" in path}
    keras_resnets.freeze_backbone(model, bn)
    if copy == "cloned":
        again = keras.models.clone_model(model)
    else:
        again = saved_and_loaded(saved_and_loaded(model, tmp_path), tmp_path)
    learns = weights - convolutions - statistics
    if bn == "inference":
        learns = {"predictions/kernel", "predictions/bias"}
        x = images(4, 16, 16, 3)
        np.testing.assert_array_equal(numpy(again(x, training=True)), numpy(again(x)))
    assert {weight.path for weight in again.trainable_weights} == learns
    everything = keras_resnets.unfreeze(again).trainable_weights
    assert {weight.path for weight in everything} == weights - statistics


@requires_tensorflow
@pytest.mark.parametrize("name", ["C", "D", "grouped"])
def test_keras_exports_a_model_for_images_of_any_size_and_number(name, tmp_path):
    import tensorflow as tf

    spec = dataclasses.replace(SPECS[name], stride_on="1x1")
    model = build_model(spec, input_shape=(None, None, 3), classes=5)
    randomize(model)
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    # Keras compiles a convolution in groups with XLA, which other runtimes do not have.
    assert "xla" not in str(served.signatures["serve"].graph.as_graph_def()).lower()
    for shape in [(1, 32, 24, 3), (5, 17, 40, 3)]:
        x = images(*shape)
        np.testing.assert_allclose(served.serve(x), numpy(model(x)), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(served.serve(x), served.serve(x))  # no state moves
