"""Decoding parts of files and resizing them."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.data.pictures import array_source, encoded, smooth_picture
from training.data.decoding import READ_FORMATS, crop_resized, decoded, decoded_file, image_shape
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


def by_pillow(contents):
    return np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
@pytest.mark.parametrize("texture", ["smooth", "noise"])
def test_pixels_of_a_jpeg_are_pillows(rng, texture, options):
    noise = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    contents = encoded(noise if texture == "noise" else smooth_picture(61, 90), **options)
    expected = by_pillow(contents)
    np.testing.assert_array_equal(decoded(tf.constant(contents), FILES), expected)
    # A window of the size that is asked for is not resized.
    window = tf.constant([0, 0, 32, 32])
    top_left = crop_resized(tf.constant(contents), window, FILES, 32)
    inside = slice(0, 31)  # colours at the cut are interpolated anew
    np.testing.assert_array_equal(top_left[inside, inside], expected[inside, inside])


def test_pixels_of_photographs_are_pillows(shared_data):
    # The fast transform is 1.2 grey levels away on average.
    for path in sorted((shared_data / "photos").glob("*.JPEG"))[:12]:
        contents = path.read_bytes()
        np.testing.assert_array_equal(decoded(tf.constant(contents), FILES), by_pillow(contents))


def test_all_that_is_read_is_named():
    kinds = {"JPEG", "PNG", "GIF", "BMP", "WebP"}
    assert set(READ_FORMATS.replace(" or", ",").split(", ")) == kinds
    for kind in kinds:
        options = {"lossless": True} if kind == "WebP" else {}
        contents = tf.constant(encoded(smooth_picture(20, 30), kind.upper(), **options))
        assert decoded_file(contents, 3).shape == (20, 30, 3), kind


def test_grey_cmyk_and_16_bit_files_have_three_8_bit_channels():
    grey = tf.constant(encoded(smooth_picture(20, 30, channels=1)))
    assert decoded(grey, FILES).shape == (20, 30, 3)
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
