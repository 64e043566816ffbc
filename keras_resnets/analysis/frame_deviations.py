"""How what surrounds the blocks departs from the paper: one function a point."""

import keras

from keras_resnets.analysis.block_steps import kernel_sizes
from keras_resnets.analysis.deviation import Deviation, name_of
from keras_resnets.architecture.reading import stem_name
from keras_resnets.architecture.spec import STEMS
from keras_resnets.layers import ConvNorm

STEM_NAMES = {"imagenet": "7×7 with stride 2, then max pooling", "cifar": "3×3 with stride 1"}


def frame_deviations(model, stages):
    """Yields each `Deviation` of input, stem, normalization, first weights and head."""
    yield from _of_input(model, stages)
    yield from _of_stem(model, stages)
    yield from _of_folding(model, stages)
    yield from _of_normalization(model)
    yield from _of_initialization(model)
    yield from _of_head(model, stages)


def _of_input(model, stages):
    data_set = _data_set(stages)
    size = STEMS[data_set].image_size if data_set else None
    shape = tuple(model.input_shape[1:])
    is_last = stages[0][0].data_format == "channels_last"
    *area, channels = shape if is_last else (*shape[1:], shape[0])
    consequences = []
    if size and area != [size, size]:
        consequences.append(
            "The multiply-adds grow with the area, and weights trained at another size see objects "
            "at another scale."
        )
    if size and channels != 3:
        consequences.append("The first kernel has another shape, and weights for RGB do not fit.")
    if consequences:
        yield Deviation(
            "input",
            f"{size}×{size} in RGB",
            "×".join("any" if length is None else str(length) for length in shape),
            " ".join(consequences),
        )


def _of_stem(model, stages):
    stem = stem_name(model)
    expected = _data_set(stages)
    if expected and stem != expected:
        factor = "four times higher and wider, for sixteen times the multiply-adds"
        if stem == "imagenet":
            factor = "four times lower and narrower, for a sixteenth of the multiply-adds"
        yield Deviation(
            "stem", STEM_NAMES[expected], STEM_NAMES[stem], f"Every feature map is {factor}."
        )


def _of_folding(model, stages):
    if any(layer.folded for layer in model._flatten_layers() if isinstance(layer, ConvNorm)):
        consequence = (
            "The answers in inference are the same; in training, nothing normalizes there any more."
        )
        kernels = [kernel_sizes(block) for blocks in stages for block in blocks]
        if any(len(sizes) == 1 for sizes in kernels):
            consequence += (
                " A shortcut beside a single convolution is folded in as well, so that a block "
                "that had one looks like a plain one."
            )
        yield Deviation(
            "normalization",
            "batch normalization after each convolution",
            "folded into the convolutions, as `fuse_batch_norm` does",
            consequence,
        )


def _of_normalization(model):
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for momentum, epsilon in dict.fromkeys((norm.momentum, norm.epsilon) for norm in norms):
        if (momentum, epsilon) != (0.9, 1e-5):
            yield Deviation(
                "batch normalization",
                "momentum 0.9 and ε 1e-5 in the published models (the text gives none)",
                f"momentum {momentum:g} and ε {epsilon:g}",
                "Momentum changes how fast the statistics for inference follow, ε the outputs of "
                "channels with little variance.",
            )


def _of_initialization(model):
    convolutions = [layer.conv for layer in model._flatten_layers() if isinstance(layer, ConvNorm)]
    for initializer in (conv.kernel_initializer for conv in convolutions):
        config = initializer.get_config()
        if config.get("scale") != 2.0 or config.get("mode") not in ("fan_in", "fan_out"):
            yield Deviation(
                "initialization",
                "normal with variance 2 / fan (He et al., 2015b)",
                type(initializer).__name__,
                "Signals may shrink or grow from layer to layer before training.",
            )
            return


def _of_head(model, stages):
    layers = {layer.name: layer for layer in model.layers}
    classifier = layers.get("predictions")
    if classifier is None or "avg_pool" not in layers:
        yield Deviation(
            "head",
            "global average pooling and a classifier",
            "another, or none",
            "The model puts out features, or what was built upon them.",
        )
        return
    data_set = _data_set(stages)
    classes = STEMS[data_set].classes if data_set else None
    if classes and classifier.units != classes:
        yield Deviation(
            "classes",
            str(classes),
            str(classifier.units),
            "The classifier has other parameters than the paper's, and its errors are those of "
            "another task.",
        )
    if classifier.activation is not keras.activations.softmax:
        yield Deviation(
            "answer of the classifier",
            "softmax",
            name_of(classifier.activation),
            "The outputs are not probabilities: the loss needs `from_logits=True` or one that fits "
            "the activation.",
        )


def _data_set(stages):
    """Returns for which of the paper's data sets a network has the stages, or `None`."""
    return {4: "imagenet", 3: "cifar"}.get(len(stages))
