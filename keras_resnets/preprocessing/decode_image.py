"""From an image file to an RGB array, whatever its kind."""

import importlib
import os
import warnings

import numpy as np


def decode_image(path):
    """Reads an image file as RGB; its first frame, if it has several.

    The orientation that a camera noted is applied, what is transparent becomes white, 16 bits a
    channel become 8, and grey, palette and CMYK images become RGB.

    Args:
        path: Path of a file of any format that Pillow reads.

    Returns:
        A `uint8` array `(height, width, 3)`.

    Raises:
        ValueError: If the file cannot be read as an image; it is named.
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If Pillow is not installed.
    """
    image_module = _pillow("PIL.Image")
    image_ops = _pillow("PIL.ImageOps")
    with open(path, "rb") as file:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", image_module.DecompressionBombWarning)
                with image_module.open(file) as image:
                    return np.asarray(_rgb(image_ops.exif_transpose(image), image_module))
        except Exception as error:  # Pillow's decoders raise without a common base
            raise ValueError(
                f"An image must be a file that Pillow can read ({error}). "
                f"Received: {os.fspath(path)!r}"
            ) from error


def _rgb(image, image_module):
    if image.mode.startswith("I") or image.mode == "F":
        return _from_more_bits(image, image_module).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = image_module.new("RGBA", image.size, "white")
        image = image_module.alpha_composite(white, image)
    return image.convert("RGB")


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
