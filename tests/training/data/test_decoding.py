"""Decoding parts of files and resizing them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.data.pictures import array_source, encoded, smooth_picture
from training.data.decoding import crop_resized, decoded, image_shape
from training.data.source import Source


class EncodedSource(Source):
    """Stands for files."""

    size, class_names, channels, identifier, encoded = 1, ("a",), 3, "", True

    def load(self, index):
        raise NotImplementedError

    def name_of(self, index):
        raise NotImplementedError


FILES = EncodedSource()


def levels_apart(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_shape_and_pixels_of_a_file(kind):
    picture = smooth_picture(60, 90)
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    contents = tf.constant(encoded(picture, kind, **options))
    assert image_shape(contents, FILES).numpy().tolist() == [60, 90]
    pixels = decoded(contents, FILES)
    assert pixels.dtype == tf.uint8
    assert levels_apart(pixels, picture).max() <= (0 if kind == "PNG" else 10)


def test_grey_cmyk_and_16_bit_files_have_three_8_bit_channels():
    from PIL import Image

    grey = tf.constant(encoded(smooth_picture(20, 30, channels=1)))
    assert decoded(grey, FILES).shape == (20, 30, 3)
    import io

    file = io.BytesIO()
    Image.fromarray(smooth_picture(20, 30)).convert("CMYK").save(file, "JPEG", quality=95)
    cmyk = decoded(tf.constant(file.getvalue()), FILES)
    assert levels_apart(cmyk, smooth_picture(20, 30)).mean() < 8
    deep = tf.io.encode_png(tf.cast(smooth_picture(20, 30), tf.uint16) * 257)
    np.testing.assert_array_equal(decoded(deep, FILES), smooth_picture(20, 30))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("window", [(7, 13, 41, 33), (0, 0, 60, 90), (59, 89, 1, 1)])
def test_a_window_is_what_cutting_the_whole_gives(kind, window):
    contents = tf.constant(encoded(smooth_picture(60, 90), kind))
    top, left, height, width = window
    cut = decoded(contents, FILES)[top : top + height, left : left + width]
    in_memory = array_source()
    expected = crop_resized(cut, tf.constant([0, 0, height, width]), in_memory, 24)
    found = crop_resized(contents, tf.constant(window), FILES, 24)
    assert found.shape == (24, 24, 3)
    assert levels_apart(found, expected).max() <= 5  # colours at the cut are interpolated anew


def test_enlarging_is_bilinear_as_in_keras():
    image = smooth_picture(20, 16)
    found = crop_resized(tf.constant(image), tf.constant([2, 3, 10, 9]), array_source(), 32)
    expected = keras.ops.image.resize(
        image[2:12, 3:12].astype("float32"), (32, 32), interpolation="bilinear"
    )
    assert levels_apart(found, np.round(expected)).max() <= 1


def test_shrinking_averages():
    image = smooth_picture(64, 96)
    found = crop_resized(tf.constant(image), tf.constant([0, 0, 64, 96]), array_source(), 32)
    expected = image.reshape(32, 2, 32, 3, 3).mean(axis=(1, 3))
    assert levels_apart(found, np.round(expected)).max() <= 1


def test_one_side_may_shrink_where_the_other_grows():
    image = smooth_picture(64, 16)
    found = crop_resized(tf.constant(image), tf.constant([0, 0, 64, 16]), array_source(), 32)
    halved = image.reshape(32, 2, 16, 3).mean(axis=1)
    expected = tf.image.resize(halved, (32, 32))
    assert levels_apart(found, np.round(expected)).max() <= 1


@pytest.mark.parametrize("times", [2, 4, 8, 12])
def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(times):
    picture = smooth_picture(32 * times, 32 * times + 16)
    contents = tf.constant(encoded(picture, quality=95, subsampling=0))
    window = (0, 16, 32 * times, 32 * times)
    found = crop_resized(contents, tf.constant(window), FILES, 32)
    cut = picture[:, 16:]
    expected = cut.reshape(32, times, 32, times, 3).mean(axis=(1, 3))
    assert levels_apart(found, np.round(expected)).max() <= 6
