"""The model that is served: from image files and pixels to scores."""

from typing import Any

import keras

from keras_resnets.architecture.reading import stage_blocks, stage_outputs
from keras_resnets.layers.classifier import check_class_names
from keras_resnets.layers.feature_map import channel_axis
from keras_resnets.layers.graph import all_layers
from keras_resnets.preprocessing.model import (
    model_class_names,
    model_preprocessing,
    required_preprocessing,
)
from keras_resnets.preprocessing.predictions import (
    check_no_dictionary,
    imagenet_classes,
    number_of_classes,
    score_function,
)
from keras_resnets.preprocessing.preprocessing import (
    ImagePreprocessing,
    prepare_images,
    prepared_size,
    spatial_axes,
)

SIGNATURES = ("serving_default", "image", "tensor", "features")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def decode_image_file(contents, channels):
    """Decodes the contents of a JPEG or PNG file, within a graph too."""
    import tensorflow as tf

    # TensorFlow's decoders take other kinds as well, some with another shape: an animation has one
    # more axis.
    is_known = [
        tf.strings.substr(contents, 0, len(beginning)) == tf.constant(beginning)
        for beginning in BEGINNINGS
    ]
    allowed = tf.debugging.Assert(
        tf.reduce_any(is_known),
        ["An image must be a JPEG or PNG file. Received: one that begins with other bytes"],
    )
    # In a graph the decoder, a pure function, would otherwise run first.
    with tf.control_dependencies([] if allowed is None else [allowed]):  # None eagerly
        # Takes PNG as well. The accurate transform is what Pillow's and most others' is.
        return tf.io.decode_jpeg(contents, channels=channels, dct_method="INTEGER_ACCURATE")


def check_resizing(model, formats):
    """Raises if a model resizes its images in a way that a format has no operation for."""
    # The converters know neither TensorFlow's bicubic resizing nor its filters that widen where an
    # image shrinks, and say so in pages of their own.
    others = tuple(name for name in formats if name != "saved_model")
    for layer in all_layers(model) if others else ():
        way = layer.preprocessing if isinstance(layer, ImagePreprocessing) else None
        if way is None or way.resize is None or way.interpolation == "nearest":
            continue
        if way.antialias or way.interpolation == "bicubic":
            raise ValueError(
                "A model that resizes its images itself has the format 'saved_model' alone, unless "
                "it does so by interpolation='nearest', or 'bilinear' without antialias. Export "
                "the network without that layer, with `set_preprocessing`: whoever calls it then "
                "prepares the images as `preprocessing.json` says. "
                f"Received: formats={others!r}, {model.name!r} with the layer {layer.name!r} of "
                f"interpolation={way.interpolation!r}, antialias={way.antialias}"
            )


def has_blocks(model):
    """Whether a model's own layers are the blocks that the signature 'features' needs."""
    try:
        return bool(stage_blocks(model))
    except ValueError:
        return False


class ServedModel:
    """A model, what is done to its images, and what its answers mean.

    Each signature is a method from a batch to a dictionary of tensors, eagerly or in a graph.
    """

    def __init__(self, model, class_names, top, signatures, scores=None):
        check_no_dictionary(model)
        self.model = model
        self.signatures = signatures
        self._is_channels_last = keras.config.image_data_format() == "channels_last"
        takes_images = len(model.input_shape) == 4  # and not, for instance, videos
        axis = channel_axis(keras.config.image_data_format())
        self.channels = model.input_shape[axis] if takes_images else None
        self.preprocessing = model_preprocessing(model) if takes_images else None
        self.prepares = self.preprocessing is not None
        types = {layer.compute_dtype for layer in all_layers(model)}
        # The coarsest of the 16-bit types that it computes in, if any; else the finest.
        known = ("bfloat16", "float16", "float64")
        self.precision = next((each for each in known if each in types), "float32")
        self.class_names = _class_names(model, class_names)
        self.top = min(top, len(self.class_names or ()))
        if self.prepares:
            self._check_sizes()
        self.scores = scores
        self.score_function: str | None = None
        self._extractor: Any = None
        if set(signatures) & {"serving_default", "image"}:
            self._check_classification()
            self.score_function = score_function(model, scores)
        if "features" in signatures:
            if not has_blocks(model):
                raise ValueError(
                    "The signature 'features' needs the blocks of a network of this package among "
                    "the model's own layers; leave it out of `signatures`, or leave `signatures` "
                    f"at its default. Received: model={model.name!r}"
                )
            # Of any blocks, not only those of a spec.
            self._extractor = keras.Model(model.input, stage_outputs(model))

    def input_spec(self, signature):
        """Returns the `tf.TensorSpec` of a signature's argument."""
        import tensorflow as tf

        if signature == "serving_default":
            return tf.TensorSpec((None,), tf.string, name="image_bytes")
        if signature == "image":
            shape = (None, None, None, self.channels)
            return tf.TensorSpec(shape, tf.uint8, name="images")
        model_input = self.model.inputs[0]
        return tf.TensorSpec(tuple(model_input.shape), model_input.dtype, name="inputs")

    def serving_default(self, image_bytes):
        """From JPEG or PNG files, a batch of strings, to scores and names."""
        return self._answer(self.decode(_not_empty("image_bytes", image_bytes)))

    def image(self, images):
        """From `uint8` images `(batch, height, width, channels)` to scores and names."""
        return self._answer(self.prepare(_not_empty("images", images)))

    def tensor(self, inputs):
        """From what the model reads to what it puts out."""
        return {"outputs": _infer(self.model, inputs)}

    def features(self, inputs):
        """From what the model reads to the feature map of each stage."""
        return _infer(self._extractor, inputs)

    def decode(self, image_bytes):
        """From JPEG or PNG files to what the model reads."""
        import tensorflow as tf

        @tf.autograph.experimental.do_not_convert  # eagerly, it would be converted at each call
        def decode_one(contents):
            return self.prepare(decode_image_file(contents, self.channels)[None])[0]

        model_input = self.model.inputs[0]
        spec = tf.TensorSpec(tuple(model_input.shape[1:]), model_input.dtype)
        return tf.map_fn(decode_one, image_bytes, fn_output_signature=spec)

    def prepare(self, images):
        """From `uint8` images to what the model reads."""
        import tensorflow as tf

        images = prepare_images(images, self.preprocessing, "channels_last")
        model_input = self.model.inputs[0]
        images = tf.cast(images, model_input.dtype)
        if not self._is_channels_last:
            images = tf.transpose(images, (0, 3, 1, 2))
        # Layers such as Keras's `RandomCrop` need the size while the graph is traced.
        return tf.ensure_shape(images, model_input.shape)

    def _answer(self, inputs):
        import tensorflow as tf

        scores = _infer(self.model, inputs)
        if self.score_function is not None:
            scores = getattr(tf.nn, self.score_function)(tf.cast(scores, tf.float32))
        if len(self.class_names) > scores.shape[-1]:  # both classes of one unit
            scores = tf.concat([1 - scores, scores], axis=-1)
        top_scores, top_classes = tf.math.top_k(scores, self.top)
        return {
            "scores": scores,
            "top_scores": top_scores,
            "top_classes": top_classes,
            "top_names": tf.gather(tf.constant(self.class_names), top_classes),
        }

    def _check_sizes(self):
        prepared = prepared_size(self.preprocessing, None, None)
        axes = spatial_axes(keras.config.image_data_format())
        wanted = [self.model.input_shape[axis] for axis in axes]
        if any(None not in (a, b) and a != b for a, b in zip(prepared, wanted, strict=True)):
            raise ValueError(
                "The preprocessing of `model` must end in the size that the model takes. Received: "
                f"{self.model.name!r}, prepared to {tuple(prepared)}, takes {tuple(wanted)}"
            )

    def _check_classification(self):
        rule = "The signatures 'serving_default' and 'image' need"
        advice = f"Received: signatures={self.signatures!r}, model={self.model.name!r}"
        if len(self.model.input_shape) != 4:
            raise ValueError(
                f"{rule} a model of images, a batch of four axes; of another, ask for "
                f"signatures=('tensor',). {advice}, which takes {self.model.input_shape}"
            )
        try:
            required_preprocessing(self.model)
            classes = number_of_classes(self.model)
        except ValueError as error:
            raise ValueError(
                f"{error}. The signature 'tensor' alone needs no preprocessing and no classes: "
                f"signatures=('tensor',)"
            ) from error
        if self.class_names is None:
            raise ValueError(
                f"{rule} `class_names`, for a model that carries none (see `set_class_names`) and "
                f"has not ImageNet's 1000 classes. {advice} with "
                f"{classes} classes"
            )
        if "serving_default" in self.signatures and self.channels not in (1, 3):
            raise ValueError(
                "The signature 'serving_default' needs a model of one or three channels. "
                f"{advice} with {self.channels} channels"
            )


def _infer(model, inputs):
    """Returns a model's outputs in inference, and leaves its state as it is."""
    # Some of Keras's augmentation layers advance their random seeds even then, and a graph with
    # assignments cannot be frozen.
    with keras.StatelessScope():
        return model(inputs, training=False)


def _not_empty(name, batch):
    """Returns the batch, or says what is wrong when the graph runs; the kernels' texts do not."""
    import tensorflow as tf

    rule = f"`{name}` must hold one image or more. Received: none"
    check = tf.debugging.Assert(tf.shape(batch)[0] > 0, [rule])
    with tf.control_dependencies([] if check is None else [check]):  # None eagerly
        return tf.identity(batch)


def _class_names(model, class_names):
    classes = model.output_shape[-1]
    if class_names is None:
        class_names = model_class_names(model)
    if class_names is None:
        return [name for _, name in imagenet_classes()] if classes == 1000 else None
    return check_class_names(class_names, classes)
