"""The ONNX file's own operations: what is before a pooling is part of it where that is the same."""

import collections
import types

import keras
import numpy as np
import pytest

import keras_resnets
from tests.backends import BACKEND

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow"),
]
# No maximum of these is the zero that a constant padding would bring in.
IMAGES = -1 - np.random.default_rng(0).uniform(size=(2, 9, 8, 3)).astype("float32")


def written(function, folder):
    """Returns the operations of the ONNX file of a function, and its answer to `IMAGES`."""
    import tensorflow as tf

    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    from keras_resnets.export.formats import open_onnx, write_onnx

    served = types.SimpleNamespace(
        input_spec=lambda _: tf.TensorSpec((None, *IMAGES.shape[1:]), "float32", name="inputs"),
        tensor=lambda inputs: {"outputs": function(inputs)},
    )
    path = write_onnx(served, folder)
    nodes = onnx.load(path).graph.node
    return collections.Counter(node.op_type for node in nodes), open_onnx(path)["tensor"](IMAGES)


def largest_in_windows(images, size, strides):
    """Returns the largest value of each window that the image has, from the definition."""
    rows, columns = (range(0, length, strides) for length in images.shape[1:3])
    reach = size // 2
    windows = [
        [
            images[:, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            for x in columns
        ]
        for y in rows
    ]
    return np.array([[w.max(axis=(1, 2)) for w in row] for row in windows]).transpose(2, 0, 1, 3)


@pytest.mark.parametrize(("size", "strides"), [(3, 2), (5, 3)])
def test_the_pooling_pads_for_itself(size, strides, tmp_path):
    layer = keras_resnets.layers.SymmetricMaxPooling2D(size, strides)
    operations, answer = written(layer, tmp_path)
    assert operations == {"Transpose": 2, "MaxPool": 1}  # to ONNX's order of axes, and back
    np.testing.assert_array_equal(answer["outputs"], largest_in_windows(IMAGES, size, strides))


def test_a_padding_that_windows_may_lie_in_wholly_stays(tmp_path):
    def pool(x):
        padded = keras.ops.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="symmetric")
        return keras.ops.max_pool(padded, 2, 1, padding="valid")

    operations, answer = written(pool, tmp_path)
    assert operations["Pad"]
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="symmetric")
    expected = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(1, 2)).max((-1, -2))
    np.testing.assert_array_equal(answer["outputs"], expected)
