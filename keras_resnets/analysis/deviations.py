"""The points in which a model can depart from the paper, one function a point."""

import dataclasses

import keras

from keras_resnets.layers import BasicBlock, BottleneckBlock, ConvNorm, ResidualBlock
from keras_resnets.models.model_spec import stage_blocks

# The networks of tables 1 and 6 and of figure 6: block, repeats and widths.
IMAGENET_WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)
RESIDUAL = {
    *((BasicBlock, repeats, IMAGENET_WIDTHS) for repeats in ((2, 2, 2, 2), (3, 4, 6, 3))),
    *(
        (BottleneckBlock, repeats, IMAGENET_WIDTHS)
        for repeats in ((3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3))
    ),
    *((BasicBlock, (n, n, n), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18, 200)),
}
PLAIN = {
    *((BasicBlock, repeats, IMAGENET_WIDTHS) for repeats in ((2, 2, 2, 2), (3, 4, 6, 3))),
    *((BasicBlock, (n, n, n), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18)),
}
STEMS = {"imagenet": "7×7 with stride 2, then max pooling", "cifar": "3×3 with stride 1"}


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One point in which a model departs from He et al., 2015.

    Attributes:
        what: The point, in a word or two.
        paper: The paper's choice.
        here: The model's.
        consequence: What follows for cost, accuracy or use.
    """

    what: str
    paper: str
    here: str
    consequence: str

    def __str__(self):
        return f"{self.what}: {self.here}; in the paper, {self.paper}. {self.consequence}"


def find_deviations(model):
    """Yields every `Deviation` of a functional model of this package.

    Raises:
        ValueError: If it has no blocks named `stage1_block1` and so on.
    """
    stages = stage_blocks(model)
    yield from _of_architecture(stages)
    yield from _of_input(model, stages)
    yield from _of_stem(model, stages)
    yield from _of_blocks(stages)
    yield from _of_shortcuts(stages)
    yield from _of_regularization(stages)
    yield from _of_dilation(stages)
    yield from _of_normalization(model)
    yield from _of_initialization(model)
    yield from _of_head(model, stages)


def _of_architecture(stages):
    kind, repeats, widths = _architecture(stages)
    is_plain = stages[0][0].shortcut is None
    if kind in (BasicBlock, BottleneckBlock) and (kind, repeats, widths) not in (
        PLAIN if is_plain else RESIDUAL
    ):
        yield Deviation(
            "depth and width",
            "only the networks of its tables 1 and 6 and of figure 6",
            f"{'plain' if is_plain else 'residual'} {kind.__name__}s, repeats {repeats} with "
            f"widths {widths}",
            "The paper has no result to compare with.",
        )


def _of_input(model, stages):
    size = {"imagenet": 224, "cifar": 32}.get(_data_set(stages))
    shape = tuple(model.input_shape[1:])
    if size and sorted(shape, key=str) != sorted((size, size, 3), key=str):
        yield Deviation(
            "input",
            f"{size}×{size} in RGB",
            "×".join("any" if length is None else str(length) for length in shape),
            "The multiply-adds grow with the area, and weights trained at another size see objects "
            "at another scale.",
        )


def _of_stem(model, stages):
    stem = "imagenet" if any(layer.name == "stem_pool" for layer in model.layers) else "cifar"
    expected = _data_set(stages)
    if expected and stem != expected:
        factor = "four times higher and wider, for sixteen times the multiply-adds"
        if stem == "imagenet":
            factor = "four times lower and narrower, for a sixteenth of the multiply-adds"
        yield Deviation("stem", STEMS[expected], STEMS[stem], f"Every feature map is {factor}.")


def _of_blocks(stages):
    blocks = [block for stage in stages for block in stage]
    for kind in dict.fromkeys(type(block) for block in blocks):
        if kind not in (BasicBlock, BottleneckBlock):
            yield Deviation(
                "block",
                "two 3×3 convolutions, or a bottleneck",
                _describe(next(block for block in blocks if type(block) is kind)),
                "Another function is learned: the class says which, and what is known of it.",
            )
    if any(block.strides > 1 and getattr(block, "stride_on", "") == "3x3" for block in blocks):
        yield Deviation(
            "stride of a bottleneck",
            "on the first 1×1 convolution",
            'on the 3×3 ("v1.5")',
            "The branch sees every position instead of one in four, for some multiply-adds more "
            "(4.09 instead of 3.86·10⁹ in ResNet-50); weights do not carry over from one to the "
            "other without loss.",
        )
    for activation in dict.fromkeys(block.activation for block in blocks):
        if activation is not keras.activations.relu:
            yield Deviation(
                "activation",
                "ReLU",
                keras.activations.serialize(activation),
                "The initialization keeps the variance for ReLU, and weights trained with one "
                "activation do not serve another.",
            )


def _of_shortcuts(stages):
    kind, repeats, widths = _architecture(stages)
    allowed = {"B"} if kind is BottleneckBlock else {"A"}
    if (kind, repeats, widths) == (BasicBlock, (3, 4, 6, 3), IMAGENET_WIDTHS):
        allowed = {"A", "B", "C"}  # table 3 compares them
    consequences = {
        "A": "No shortcut has weights; where the shape changes, the new channels hold no part of "
        "the input.",
        "B": "Where the shape changes, a projection adds weights, so that the plain twin costs "
        "less.",
        "C": "Every shortcut has weights and nothing passes unchanged; the paper found it slightly "
        "better than B, and too dear.",
    }
    for option in dict.fromkeys(block.shortcut for stage in stages for block in stage):
        if option is not None and option not in allowed:
            yield Deviation(
                "shortcut",
                f"option {' or '.join(sorted(allowed))}",
                f"option {option}",
                consequences[option],
            )


def _of_regularization(stages):
    blocks = [block for stage in stages for block in stage]
    if any(block.zero_init_residual for block in blocks):
        yield Deviation(
            "first γ of a branch's last normalization",
            "1",
            "0",
            "Each block begins as its shortcut, which eases the first steps (Goyal et al., 2017).",
        )
    rate = max(block.drop_path_rate for block in blocks)
    if rate:
        yield Deviation(
            "drop path",
            "none",
            f"up to {rate:g}",
            "In training a branch is left out at random, which regularizes; inference is the same.",
        )


def _of_dilation(stages):
    dilation = max(block.dilation for stage in stages for block in stage)
    if dilation > 1:
        yield Deviation(
            "dilation",
            "none: each stage halves the resolution",
            f"up to {dilation}, in the place of strides",
            f"The last feature map is {dilation} times higher and wider, as segmentation wants it, "
            "with the same weights and more multiply-adds.",
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
    classes = {"imagenet": 1000, "cifar": 10}.get(_data_set(stages))
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
            keras.activations.serialize(classifier.activation),
            "The outputs are not probabilities: the loss needs `from_logits=True` or one that fits "
            "the activation.",
        )


def _describe(block):
    """Returns a block's class, with the options that are its own."""
    own = block.get_config().keys() - ResidualBlock.get_config(block).keys()
    options = [f"{name}={getattr(block, name)!r}" for name in sorted(own)]
    return f"{type(block).__name__} with {', '.join(options)}" if own else type(block).__name__


def _architecture(stages):
    repeats = tuple(len(blocks) for blocks in stages)
    widths = tuple(blocks[0].filters for blocks in stages)
    return type(stages[0][0]), repeats, widths


def _data_set(stages):
    """Returns for which of the paper's data sets a network has the stages, or `None`."""
    return {4: "imagenet", 3: "cifar"}.get(len(stages))
