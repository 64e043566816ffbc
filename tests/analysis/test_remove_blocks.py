"""Lesions, against networks computed block by block."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets.analysis import remove_blocks, reorder_blocks
from tests.analysis.networks import images, tiny_model
from tests.layer_checks import numpy
from tests.models.once import once

NAMES = ["stage1_block1", "stage2_block1", "stage2_block2"]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def by_hand(model, removed, x):
    """Runs the layers one by one; g(s(x)) in place of each removed block."""
    for layer in model.layers[1:]:
        if layer.name in removed:
            x = x if layer.shortcut is None else layer.output_activation(layer.shortcut_path(x))
        else:
            x = layer(x)
    return numpy(x)


@pytest.mark.parametrize(
    ("block", "shortcut", "removed", "options"),
    [
        ("basic", "A", NAMES, {}),
        ("basic", "C", NAMES[:2], {}),
        ("bottleneck", "B", NAMES[1:2], {}),
        ("basic", "A", NAMES, {"pre_activation": True}),
        ("bottleneck", "D", NAMES, {"pre_activation": True, "anti_alias": "blur", "groups": 2}),
        pytest.param("basic", None, NAMES[2:], {}, marks=once),
    ],
)
def test_a_block_gives_way_to_its_shortcut_or_its_input(block, shortcut, removed, options):
    model = tiny_model(block, shortcut, **options)
    lesioned = remove_blocks(model, removed)
    np.testing.assert_allclose(
        numpy(lesioned(images())), by_hand(model, removed, images()), rtol=1e-5, atol=1e-6
    )
    assert not np.allclose(numpy(lesioned(images())), numpy(model(images())), atol=1e-3)


@once
def test_a_plain_block_that_changes_the_shape_stays():
    with pytest.raises(ValueError, match=r"'stage2_block1', from \(None, 6, 6, 4\) to"):
        remove_blocks(tiny_model(shortcut=None), ["stage2_block1"])


@once
def test_a_stride_counts_where_the_size_is_open():
    """Of 4 channels both times, the shapes look alike: (None, None, None, 4)."""
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1, 1), widths=(4, 4), stem="cifar", shortcut=None
    )
    model = keras_resnets.build_model(spec, include_top=False)
    with pytest.raises(ValueError, match="'stage2_block1'"):
        remove_blocks(model, ["stage2_block1"])
    with pytest.raises(ValueError, match="same shapes and stride"):
        reorder_blocks(model, ["stage2_block1", "stage1_block1"])


@once
def test_the_weights_are_copies():
    model = tiny_model()
    before = model.get_weights()
    lesioned = remove_blocks(model, NAMES[:1])
    for weight in lesioned.weights:
        weight.assign(np.zeros(weight.shape))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@once
def test_a_lesioned_network_is_saved_cloned_and_lesioned_again(tmp_path):
    model = tiny_model("bottleneck", "B")
    lesioned = remove_blocks(model, NAMES[1:2], name="lesioned")
    expected = numpy(lesioned(images()))
    lesioned.save(tmp_path / "lesioned.keras")
    reloaded = keras.saving.load_model(tmp_path / "lesioned.keras")
    assert reloaded.name == "lesioned"
    np.testing.assert_array_equal(numpy(reloaded(images())), expected)
    clone = keras.models.clone_model(lesioned)
    clone.set_weights(lesioned.get_weights())
    np.testing.assert_array_equal(numpy(clone(images())), expected)
    again = remove_blocks(lesioned, NAMES[2:])
    np.testing.assert_allclose(
        numpy(again(images())), by_hand(model, NAMES[1:], images()), rtol=1e-5, atol=1e-6
    )


@once
@pytest.mark.parametrize("shortcut", ["A", None])
def test_reordered_blocks_run_in_their_new_order(shortcut):
    model = tiny_model(shortcut=shortcut, repeats=(3, 2))
    order = [f"stage1_block{n}" for n in (3, 1, 2)] + ["stage2_block1", "stage2_block2"]
    x = images()
    layers = {layer.name: layer for layer in model.layers}
    for name in ["stem_conv", "stem_activation", *order, "avg_pool", "predictions"]:
        x = layers[name](x)
    reordered = reorder_blocks(model, order)
    np.testing.assert_allclose(numpy(reordered(images())), numpy(x), rtol=1e-5, atol=1e-6)
    assert [layer.name for layer in reordered.layers[1:]] == [
        layer.name for layer in model.layers[1:]
    ]
    assert not np.allclose(numpy(x), numpy(model(images())), atol=1e-3)


@once
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: remove_blocks(m, "stage1_block1"), TypeError, "names='stage1_block1'"),
        (lambda m: remove_blocks(m, ["nowhere"]), ValueError, "Received: 'nowhere'"),
        (lambda m: remove_blocks(m, ["stem_conv"]), ValueError, "Received: 'stem_conv'"),
        (lambda m: remove_blocks(m, ["stage1_blok1"]), ValueError, "mean 'stage1_block1'"),
        (lambda m: remove_blocks(m, [1]), TypeError, "Received: 1 among them"),
        (lambda m: remove_blocks(m, [NAMES]), TypeError, "Received: \\['stage1_block1'"),
        (lambda m: remove_blocks(m, m.layers[3:4]), TypeError, "Received: <BasicBlock"),
        (lambda m: remove_blocks(m, None), TypeError, "names=None"),
        (lambda m: remove_blocks(m, {NAMES[0]: 1}), TypeError, "names={"),
        (lambda m: remove_blocks(m, [], name=3), TypeError, "name=3"),
        (lambda m: reorder_blocks(m, NAMES, name="a/b"), ValueError, "name='a/b'"),
        (lambda m: reorder_blocks(m, [1, 2, 3]), TypeError, "Received: 1 among them"),
        (lambda m: remove_blocks(m, NAMES[:1] * 2), ValueError, "once at most"),
        (lambda m: reorder_blocks(m, NAMES[:2]), ValueError, "without stage2_block2"),
        (
            lambda m: reorder_blocks(m, NAMES[::-1]),
            ValueError,
            r"'stage2_block2', from \(3, 3, 8\) to \(3, 3, 8\), in the place of 'stage1_block1'",
        ),
        (lambda m: reorder_blocks(3, NAMES), TypeError, "Received: model=3"),
    ],
)
def test_impossible_lesions_are_refused(call, error, message, model):
    with pytest.raises(error, match=message):
        call(model)


@once
def test_a_block_that_stands_in_two_models_is_lesioned_in_one():
    model = tiny_model(shortcut=None)
    x = keras.Input((12, 12, 3))
    y = x
    for layer in model.layers[1:]:
        y = layer(y)
    found = remove_blocks(keras.Model(x, y), ["stage2_block2"])
    np.testing.assert_allclose(
        numpy(found(np.ones((1, 12, 12, 3)))),
        by_hand(model, ["stage2_block2"], np.ones((1, 12, 12, 3))),
        rtol=1e-5,
    )
