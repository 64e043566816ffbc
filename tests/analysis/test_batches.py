"""Arrays, pairs and iterables as one stream of batches."""

import keras
import numpy as np
import pytest

from keras_resnets.analysis.responses import batches
from tests.backends import requires_tensorflow
from tests.models.once import once

X = np.arange(200.0).reshape(200, 1, 1, 1)
Y = np.arange(200)


@once
@pytest.mark.parametrize(
    "data", [X, (X, Y), [X[:128], X[128:]], [(X[:128], Y[:128]), [X[128:], Y[128:]]]]
)
def test_images_come_whole_in_order_and_with_their_labels(data):
    found = list(batches(data))
    assert [len(images) for images, _ in found] == [128, 72]
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found]), X)
    for images, labels in found:
        np.testing.assert_array_equal(images.ravel() if labels is None else labels, images.ravel())


@requires_tensorflow
def test_a_dataset_is_an_iterable_of_batches():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(150)
    assert [len(labels) for _, labels in batches(dataset)] == [150, 50]


@once
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, TypeError, "Received: data=3"),
        ([], ValueError, "at least one image"),
        (X[:0], ValueError, "at least one image"),
        (X[0], ValueError, r"four dimensions. Received: an array of shape \(1, 1, 1\)"),
        ((X, Y[:5]), ValueError, "200 images and 5 labels"),
        ((X, Y, Y), ValueError, "Received: a tuple of 3"),
        ((X, 3), ValueError, "200 images and no list of labels"),
        ("images", TypeError, "Received: data='images'"),
        ({"images": X}, TypeError, "Received: data={"),
        (X.astype(str), TypeError, "arrays of numbers. Received: values of <U"),
        ((X, Y.astype(str)), TypeError, "Labels must be arrays of numbers"),
        ([([[1.0], [2.0, 3.0]], [0, 1])], TypeError, "Images must be arrays of numbers"),
        (list(X), ValueError, r"an array of shape \(1, 1, 1\)"),
        (iter([]), ValueError, "at least one image"),
    ],
)
def test_other_data_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        list(batches(data))


@once
def test_missing_labels_are_named():
    with pytest.raises(ValueError, match="must have labels"):
        list(batches(X, needs_labels=True))


@once
def test_a_generator_is_gone_through_once():
    data = (batch for batch in (X[:3], X[3:5]))
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches(data)]), X[:5])
    with pytest.raises(ValueError, match="at least one image"):
        list(batches(data))


def test_a_backend_s_own_tensors_are_images():
    ((batch, _),) = batches(keras.ops.convert_to_tensor(X[:5]))
    np.testing.assert_array_equal(batch, X[:5])


@once
def test_a_batch_has_the_shape_that_is_asked_for():
    assert len(list(batches(X, (None, 1, 1, 1)))) == 2
    for shape in ((None, 2, 1, 1), (None, 1)):
        with pytest.raises(ValueError, match=r"that the model takes.*shape \(128, 1, 1, 1\)"):
            list(batches(X, shape))
