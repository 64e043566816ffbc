"""From an image file to an array of pixels, whatever its kind."""

import importlib
import os
import warnings

import numpy as np

from keras_resnets.arguments import check_choice, check_regular_file

MODES = {1: "L", 3: "RGB"}


def decode_image(path, channels=3):
    """Reads an image file as RGB or grey; its first frame, if it has several.

    The orientation that a camera noted is applied, what is transparent becomes white, 16 bits a
    channel become 8, and grey, palette and CMYK images become RGB, or any of them grey.

    Args:
        path: Path of a file of any format that Pillow reads.
        channels: 3 for RGB, 1 for grey.

    Returns:
        A `uint8` array `(height, width, channels)`.

    Raises:
        ValueError: If it is a folder, or the file cannot be read as an image; it is named.
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If Pillow is not installed.
    """
    check_choice("channels", channels, MODES)
    if os.path.isdir(path):
        raise ValueError(
            "An image must be a file; for the images of a folder, give a list of their paths. "
            f"Received: the folder {os.fspath(path)!r}"
        )
    image_module = _pillow("PIL.Image")
    image_ops = _pillow("PIL.ImageOps")
    check_regular_file(path)
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", image_module.DecompressionBombWarning)
                with image_module.open(file) as image:
                    image = image_ops.exif_transpose(image)
                    image = _of_8_bits(image, image_module).convert(MODES[channels])
                    pixels = np.asarray(image)
        except Exception as error:  # Pillow's decoders raise without a common base
            raise ValueError(
                f"An image must be a file that Pillow can read ({error}). "
                f"Received: {os.fspath(path)!r}"
            ) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _of_8_bits(image, image_module):
    """Returns an opaque image of 8 bits a channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return _from_more_bits(image, image_module)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, "white")
        return image_module.alpha_composite(white, image)
    return image


def _from_more_bits(image, image_module):
    """Returns a grey image of 16 bits in 8; Pillow's own conversion would clip it."""
    levels = np.asarray(image)
    if image.mode == "F" or levels.min() < 0 or levels.max() > 65535:
        raise ValueError("its grey levels are not whole numbers of 8 or 16 bits")
    return image_module.fromarray(np.round(levels / 257.0).astype("uint8"))


def _pillow(name):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading image files needs Pillow: `pip install pillow`. "
            "Arrays can be classified without it.",
            name=error.name,
        ) from error
