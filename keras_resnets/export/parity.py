"""Whether the outputs of an exported file are the model's."""

import os
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from keras_resnets.arguments import check_regular_file
from keras_resnets.export.served_model import decode_image_file
from keras_resnets.layers.feature_map import channel_axis, fits_shape
from keras_resnets.preprocessing.model import resizes_itself
from keras_resnets.preprocessing.predictions import check_outputs, ends_in_probabilities
from keras_resnets.preprocessing.preprocessing import spatial_axes

BATCHES = (1, 2, 3, 7, 32)
COUNT = 32
# Of the random images, and of axes that a model leaves open.
SIZE = (96, 112)
# Of an axis left open before those of an image, such as that of a video's frames.
FRAMES = 2
DISCS = 100
SMALLEST_DISC = 0.01
# By what the model computes in. Of 16 bits, about ten steps of the type at 1, which are 2⁻¹⁰ and
# 2⁻⁷: folding rounds each kernel anew.
TOLERANCES = {"float64": 1e-5, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


class ExportedFile(NamedTuple):
    """One format of an export.

    Attributes:
        format: Its name, such as `"onnx"`.
        path: The file; of a SavedModel the folder.
        size: Bytes in all.
        difference: The largest difference from the model's outputs, relative to the largest output
            where that exceeds 1.
        agreement: Share of the images in [0, 1] for which it names the same class as the model;
            `None` where the difference says all.
    """

    format: str
    path: Path
    size: int
    difference: float
    agreement: float | None


class ExportReport(NamedTuple):
    """What `export_model` has written.

    Attributes:
        path: The folder of this version.
        files: An `ExportedFile` for each format, in the order asked for.
    """

    path: Path
    files: tuple[ExportedFile, ...]


class ExportError(Exception):
    """Formats of an export could not be written, or their outputs differ from the model's.

    Args:
        message: What went wrong.
        report: The `ExportReport` of the other formats, which are kept; `None` if there are none.
    """

    def __init__(self, message, report=None):
        super().__init__(message)
        self.report = report


class ParityError(ExportError):
    """The outputs of an exported file differ from the model's; the file has been removed."""


def random_images(count, height, width, channels):
    """Returns images of overlapping discs of all sizes, the same ones every time."""
    # Discs that hide each other have the statistics of photographs in several ways (Lee, Mumford
    # and Huang, 2001, "Occlusion Models for Natural Images"). A ResNet-20 trained on CIFAR-10 names
    # five of its ten classes on thirty-two such images, and two on as many of uniform noise.
    rng = np.random.default_rng(0)
    images = np.full((count, height, width, channels), 128, "uint8")
    for image in images:
        for _ in range(DISCS):
            radius = 0.5 * max(height, width) * max(SMALLEST_DISC, rng.random() ** 2)
            colour = rng.uniform(40, 215) + rng.uniform(-40, 40, channels)
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            top, left = max(0, int(y - radius)), max(0, int(x - radius))
            square = image[top : int(y + radius) + 1, left : int(x + radius) + 1]
            rows, columns = np.ogrid[: square.shape[0], : square.shape[1]]
            square[(rows + top - y) ** 2 + (columns + left - x) ** 2 < radius**2] = np.round(colour)
    return images


class Samples:
    """Thirty-two inputs of each signature of a `ServedModel`; `tensors` are the model's own."""

    def __init__(self, served, images=None):
        self._served = served
        self._files: list = []
        self._images: list = []
        if images is None and served.prepares:
            height, width = _image_size(served)
            images = random_images(COUNT, height, width, served.channels)
        if images is None:
            images = _random_tensors(served)
        is_tensor = isinstance(images, np.ndarray) and images.dtype.kind == "f"
        self.tensors = self._checked(images) if is_tensor else self._prepared(images)

    def inputs(self, signature):
        """Returns the 32 inputs of a signature."""
        inputs = self.tensors
        if signature == "serving_default":
            inputs = np.array(self._files, dtype=object)
        elif signature == "image":
            height, width = np.min([image.shape[:2] for image in self._images], axis=0)
            inputs = np.stack([image[:height, :width] for image in self._images])
        return inputs[np.arange(COUNT) % len(inputs)]

    def _checked(self, tensors):
        wanted = self._served.model.input_shape
        if not fits_shape(tensors.shape, wanted) or not len(tensors):
            raise ValueError(
                f"`images`, an array of floats, must be a batch of the model's inputs {wanted}. "
                f"Received: images.shape={tensors.shape}"
            )
        if {"serving_default", "image"} & set(self._served.signatures):
            raise ValueError(
                "`images` must be paths or `uint8` arrays, for the signatures 'serving_default' "
                f"and 'image' to be tried. Received: an array of {tensors.dtype}"
            )
        return tensors.astype(self._served.model.inputs[0].dtype)

    def _prepared(self, images):
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
        return np.concatenate(prepared)


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


def _random_tensors(served):
    """Returns inputs of mean 0 and deviation 1, as most preprocessings make them."""
    shape = served.model.input_shape
    if len(shape) != 4:
        sizes = [size or FRAMES for size in shape[1:-3]]
        sizes += [size or SIZE[0] for size in shape[1:][-3:]]
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


class Parity:
    """The model's own answers to the samples, to hold files against."""

    def __init__(self, served, samples):
        self._served = served
        self._samples = samples
        self._expected: dict = {}
        self.tolerance = TOLERANCES[served.precision]

    def check(self, name, runners):
        """Returns the largest difference, over all signatures and batch sizes."""
        largest = 0.0
        for signature, run in runners.items():
            inputs, expected = self.answers(signature)
            for batch in BATCHES:
                wanted = {key: value[:batch] for key, value in expected.items()}
                difference = self._difference(run(inputs[:batch]), wanted)
                if not difference <= self.tolerance:
                    raise ParityError(
                        f"The {name!r} file must answer as the model does, to {self.tolerance:g}. "
                        f"Received: a difference of {difference:.2g} in the signature "
                        f"{signature!r} with a batch of {batch}"
                    )
                largest = max(largest, difference)
        return largest

    def agreement(self, run):
        """Returns how near a calibrated file is: the largest difference, and the agreement."""
        tensors = self._samples.tensors
        expected = keras.ops.convert_to_numpy(self._served.tensor(tensors)["outputs"])
        actual = np.concatenate([run(tensor[None])["outputs"] for tensor in tensors])
        if expected.shape[-1] == 1:  # one unit: the same side of what decides between two classes
            is_given = self._served.scores == "probabilities"
            middle = 0.5 if is_given or ends_in_probabilities(self._served.model) else 0.0
            same = (actual > middle) == (expected > middle)
        else:
            same = np.argmax(actual, axis=-1) == np.argmax(expected, axis=-1)
        return _relative(actual, expected), float(np.mean(same))

    def answers(self, signature):
        """Returns a signature's inputs and the model's answers; raises if it has none."""
        if signature not in self._expected:
            inputs = self._samples.inputs(signature)
            outputs = getattr(self._served, signature)(inputs)
            arrays = {key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()}
            if "scores" in arrays:
                _, expected = self.answers("tensor")
                check_outputs(self._served.model, expected["outputs"], self._served.scores)
            self._expected[signature] = inputs, arrays
        return self._expected[signature]

    def _difference(self, actual, expected):
        if set(actual) != set(expected):
            return np.inf
        if "top_names" in actual and not self._names_its_scores(actual):
            return np.inf
        # Of two scores that are nearly equal, either may come first.
        keys = [key for key in expected if key not in ("top_classes", "top_names")]
        return float(np.max([_relative(actual[key], expected[key]) for key in keys]))

    def _names_its_scores(self, actual):
        classes = actual["top_classes"]
        scores = np.take_along_axis(actual["scores"], classes, axis=1)
        names = np.array(self._served.class_names)[classes]
        return np.array_equal(scores, actual["top_scores"]) and np.array_equal(
            names, np.char.decode(actual["top_names"].astype(bytes), "utf-8")
        )


def _relative(actual, expected):
    """Returns the largest difference, relative to the largest value if that exceeds 1."""
    if actual.shape != expected.shape:
        return np.inf
    actual, expected = map(_with_infinities, (actual, expected))
    is_same = actual == expected  # infinite logits, too, as of a class that is masked out
    difference = np.subtract(actual, expected, out=np.zeros_like(actual), where=~is_same)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    return float(np.abs(difference).max() / largest)


def _with_infinities(array):
    """Returns an array whose numbers at float32's limits are infinite: LiteRT has no others."""
    array = array.astype("float64")
    array[np.abs(array) >= np.finfo("float32").max] *= np.inf
    return array
