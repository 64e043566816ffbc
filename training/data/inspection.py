"""What is wrong, or unusual, with the bytes of one image."""

import io
from collections.abc import Iterator

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from training.data.bad_images import STRIP, what_is_wrong
from training.data.decoding import decoded_file

# Findings that make training fail or teach it something wrong, and those that one should know of.
ERRORS = {
    "broken": "cannot be decoded",
    "empty": "has no bytes",
    "strip": f"{STRIP}, and evaluation cannot resize it",
    "special": "not read: a pipe, a device or a socket, whose reading may not end",
    "label": "has a label that is no class",
    "contradiction": "same pixels in several classes",
    "leak": "same pixels in several splits",
    "empty class": "a class without images",
    "empty split": "a split without images",
    "unknown class": "not read: no class of this name in the training split",
}
WARNINGS = {
    "huge": "more pixels than 50 million, or than 50 MB",
    "tiny": "a side shorter than 16 pixels",
    "grey": "one channel; it is read as three equal ones",
    "CMYK": "four printing colours; they are converted without a profile",
    "16-bit": "the lower 8 bits are dropped",
    "transparent": "has an alpha channel, which is dropped",
    "animated": "only the first frame is read",
    "turned": "the camera's note that it is turned is not heeded",
    "format": "the name says another format",
    "duplicate": "same pixels as another image of its class and split",
    "other file": "not read: not a JPEG or PNG file by its name",
    "loose file": "not read: it stands beside the folders of classes, not in one",
    "nested folder": "not read: a folder within the folder of a class",
    "hidden": "not read: its name begins with a dot",
}
HUGE_PIXELS = 50_000_000
HUGE_BYTES = 50_000_000
TINY_SIDE = 16
ORIENTATION = 0x0112  # the tag of EXIF
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def findings_in(contents: bytes, name: str) -> Iterator[tuple[str, str]]:
    """Looks at an image file's header.

    Args:
        contents: The file.
        name: Its name; its suffix is compared with the contents.

    Yields:
        Kinds of findings, keys of `ERRORS` and `WARNINGS`, each with a detail.
    """
    if not contents:
        yield "empty", ""
        return
    if len(contents) > HUGE_BYTES:
        yield "huge", f"{len(contents) / 1e6:.0f} MB"
    try:
        with Image.open(io.BytesIO(contents)) as image:
            yield from _findings_in_header(image, contents, name)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError):
        return  # that it is broken, the decoder says; what Pillow finds too large is huge


def pixels_of(contents: bytes, channels: int) -> tf.Tensor | str:
    """Decodes an image as training and evaluation do, or says why that cannot be done.

    Args:
        contents: The file.
        channels: Channels to decode to.

    Returns:
        uint8 of shape `(height, width, channels)`, or the reason.
    """
    try:
        return decoded_file(contents, channels)
    except tf.errors.OpError:
        return what_is_wrong(contents)


def _findings_in_header(image, contents, name):
    width, height = image.size
    if width * height > HUGE_PIXELS and len(contents) <= HUGE_BYTES:  # or it was said already
        yield "huge", f"{width}×{height}"
    if min(width, height) < TINY_SIDE:
        yield "tiny", f"{width}×{height}"
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        yield "grey", f"mode {image.mode}"
    if image.mode == "CMYK":
        yield "CMYK", ""
    # The depth of a PNG's samples stands in its header; Pillow reduces 16-bit colours to 8.
    if image.format == "PNG" and contents[24] == 16:
        yield "16-bit", ""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        yield "transparent", ""
    if getattr(image, "is_animated", False):
        yield "animated", f"{image.n_frames} frames"
    if 1 < image.getexif().get(ORIENTATION, 1) <= 8:
        yield "turned", f"orientation {image.getexif()[ORIENTATION]}"
    suffix = f".{name.rsplit('.')[-1].lower()}"
    if suffix in FORMATS and FORMATS[suffix] != image.format:
        yield "format", f"it is a {image.format} file"
