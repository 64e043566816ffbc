"""What an exported model is tried on."""

import os

import keras
import numpy as np

from keras_resnets.arguments import check_regular_file
from keras_resnets.export.image_files import decode_image_file
from keras_resnets.export.random_images import random_images
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.preprocessing.model import resizes_itself
from keras_resnets.preprocessing.prepare_images import spatial_axes

COUNT = 32
# Of the random images, and of axes that a model leaves open.
SIZE = (96, 112)
# Of an axis left open before those of an image, such as that of a video's frames.
FRAMES = 2


class Samples:
    """Thirty-two inputs of each signature of a `ServedModel`.

    Args:
        served: The `ServedModel`.
        images: Paths of JPEG or PNG files, or `uint8` arrays; a float array of the model's inputs;
            or `None` for images of random discs, which a trained model does not know.

    Attributes:
        tensors: All images, prepared as the model reads them.

    Raises:
        ValueError: If the images do not fit the model.
    """

    def __init__(self, served, images=None):
        self._served = served
        self._files: list = []
        self._images: list = []
        if images is None and served.prepares:
            height, width = _image_size(served)
            images = random_images(COUNT, height, width, served.channels)
        if images is None:
            self._take_tensors(_random_tensors(served))
        elif isinstance(images, np.ndarray) and images.dtype.kind == "f":
            self._take_tensors(images)
        else:
            self._take_images(images)

    def inputs(self, signature):
        """Returns the 32 inputs of a signature."""
        if signature == "serving_default":
            return _cycled(np.array(self._files, dtype=object))
        if signature == "image":
            height, width = np.min([image.shape[:2] for image in self._images], axis=0)
            return _cycled(np.stack([image[:height, :width] for image in self._images]))
        return _cycled(self.tensors)

    def _take_tensors(self, tensors):
        wanted = self._served.model.input_shape
        fits = tensors.ndim == len(wanted) and all(
            known in (None, size) for known, size in zip(wanted, tensors.shape, strict=True)
        )
        if not fits or not len(tensors):
            raise ValueError(
                f"`images`, an array of floats, must be a batch of the model's inputs {wanted}. "
                f"Received: images.shape={tensors.shape}"
            )
        if {"serving_default", "image"} & set(self._served.signatures):
            raise ValueError(
                "`images` must be paths or `uint8` arrays, for the signatures 'serving_default' "
                f"and 'image' to be tried. Received: an array of {tensors.dtype}"
            )
        self.tensors = tensors.astype(self._served.model.inputs[0].dtype)

    def _take_images(self, images):
        if not self._served.prepares:
            raise ValueError(
                "`images` must be an array of floats, as the model reads them, where the model "
                "notes no preprocessing, or takes no batch of images. "
                f"Received: model={self._served.model.name!r}, which takes "
                f"{self._served.model.input_shape}"
            )
        is_list = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) > 0
        if not is_list or not len(images):
            raise ValueError(
                f"`images` must be a list of one image or more. Received: images={images!r}"
            )
        prepared = []
        for index, image in enumerate(images):
            file, pixels = _file_and_pixels(image, self._served.channels)
            self._files.append(file)
            self._images.append(pixels)
            try:
                tensor = self._served.prepare(pixels[None])
            except ValueError as error:
                raise ValueError(f"{error} of image {index}") from error
            prepared.append(keras.ops.convert_to_numpy(tensor))
        sizes = {tensor.shape[1:] for tensor in prepared}
        if len(sizes) > 1:
            raise ValueError(
                "`images` must have one size where the preprocessing does not end in one. "
                f"Received: images prepared to {' and '.join(map(str, sorted(sizes)))}"
            )
        self.tensors = np.concatenate(prepared)


def _file_and_pixels(image, channels):
    import tensorflow as tf

    if isinstance(image, (str, os.PathLike)):
        check_regular_file(image)
        with open(image, "rb") as opened:
            file = opened.read()
        try:
            return file, decode_image_file(tf.constant(file), channels).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "Each of `images` must be a whole JPEG or PNG file, where it is a path. "
                f"Received: {os.fspath(image)!r}"
            ) from error
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
        raise ValueError(
            "Each of `images` must be the path of a JPEG or PNG file, or a `uint8` array "
            f"(height, width, {channels}). Received: an array {image.shape} of {image.dtype}"
        )
    return tf.io.encode_png(image).numpy(), image


def _cycled(inputs):
    return inputs[np.arange(COUNT) % len(inputs)]


def _random_tensors(served):
    """Returns inputs of mean 0 and deviation 1, as most preprocessings make them."""
    shape = served.model.input_shape
    if len(shape) != 4:
        before = [size or FRAMES for size in shape[1:-3]]
        sizes = (*before, *(size or SIZE[0] for size in shape[1:][-3:]))
        return np.random.default_rng(0).standard_normal((COUNT, *sizes)).astype("float32")
    height, width = (size or SIZE[0] for size in _known_size(served.model))
    images = random_images(COUNT, height, width, served.channels).astype("float32")
    images = (images - images.mean()) / images.std()
    return np.moveaxis(images, 3, channel_axis(keras.config.image_data_format()))


def _image_size(served):
    """Returns a size of images that the model takes."""
    crop = served.preprocessing.crop
    if crop is None:  # the size may go through unchanged
        usual = 256 if resizes_itself(served.model) else SIZE[0]
        return [size or usual for size in _known_size(served.model)]
    return [max(size, np.max(crop)) for size in SIZE]


def _known_size(model):
    """Returns the height and width of a model's inputs; `None` for what is open."""
    return [model.input_shape[axis] for axis in spatial_axes(keras.config.image_data_format())]
