"""Image files of every kind become the same pixels."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from keras_resnets.preprocessing.classify import decode_image


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, size=(5, 7, 3), dtype="uint8")


def test_rgb_and_palette(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    np.testing.assert_array_equal(decode_image(tmp_path / "rgb.png"), pixels)
    Image.fromarray(pixels).quantize(256).save(tmp_path / "palette.gif")
    np.testing.assert_array_equal(decode_image(str(tmp_path / "palette.gif")), pixels)


def test_grey_of_1_8_and_16_bits(pixels, tmp_path):
    grey = pixels[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype("uint16") * 257).save(tmp_path / "16.png")
    Image.fromarray(grey.astype("int32") * 257).save(tmp_path / "32.tif")
    Image.fromarray(grey > 127).save(tmp_path / "1.png")
    for name in ("8.png", "16.png", "32.tif"):
        decoded = decode_image(tmp_path / name)
        np.testing.assert_array_equal(decoded, np.repeat(grey[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(decode_image(tmp_path / "1.png")[:, :, 2], 255 * (grey > 127))
    np.testing.assert_array_equal(decode_image(tmp_path / "16.png", 1), grey[:, :, None])


def test_what_is_transparent_becomes_white(tmp_path):
    colours = [[(255, 0, 0, 0), (255, 0, 0, 255), (0, 0, 0, 51)]]
    Image.fromarray(np.array(colours, "uint8"), "RGBA").save(tmp_path / "rgba.png")
    # 51 of 255 is a fifth of black on white.
    expected = [[(255, 255, 255), (255, 0, 0), (204, 204, 204)]]
    np.testing.assert_array_equal(decode_image(tmp_path / "rgba.png"), expected)


def test_cmyk_jpegs_have_their_colours(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 60, 30))
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(decode_image(tmp_path / "cmyk.jpg") - np.array([200.0, 60, 30])).max() < 6


def test_the_camera_s_orientation_is_applied(pixels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        decode_image(tmp_path / "turned.png"), np.rot90(pixels, -1, axes=(0, 1))
    )


def test_of_an_animation_the_first_frame(pixels, tmp_path):
    frames = [Image.fromarray(frame) for frame in (pixels, 255 - pixels)]
    frames[0].save(tmp_path / "two.png", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(tmp_path / "two.png"), pixels)


def test_what_cannot_be_read_is_named(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    (tmp_path / "text.jpg").write_text("no image")
    Image.fromarray(np.array([[0.5]], "float32")).save(tmp_path / "float.tif")
    for name in ("cut.png", "text.jpg", "float.tif"):
        with pytest.raises(ValueError, match=rf"Pillow can read.*{name}"):
            decode_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        decode_image(tmp_path / "none.png")


def test_a_pipe_a_device_and_a_folder_are_refused_before_they_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.jpg", tmp_path / "zero.jpg", tmp_path):
        with pytest.raises(ValueError, match=rf"must be a regular file.*{path.name}"):
            decode_image(path)


def test_an_image_that_unpacks_to_a_flood_is_refused(tmp_path, monkeypatch):
    Image.new("1", (200, 200)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    with pytest.raises(ValueError, match=r"bomb\.png"):
        decode_image(tmp_path / "bomb.png")


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match="pip install pillow"):
        decode_image(tmp_path / "any.png")
