"""How a network departs from He et al., 2015: the blocks, the branches, and what is around them."""

import dataclasses
from collections import Counter

import keras

from keras_resnets.analysis.responses import block_model
from keras_resnets.architecture.reading import stage_blocks, stem_name
from keras_resnets.architecture.spec import STEMS
from keras_resnets.layers import ConvNorm, OrderedBlock, ResidualBlock
from keras_resnets.layers.shortcuts import CONVOLUTIONAL, GATES


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


def name_of(activation):
    """Returns what a reader knows an activation by; Keras would write a function's bytes down."""
    return getattr(activation, "__name__", type(activation).__name__)


def block_steps(block):
    """Returns the steps of a built block in their order.

    Example:

    >>> from keras_resnets.analysis.explain import block_steps
    >>> block = keras_resnets.ResNet20().get_layer("stage1_block1")
    >>> block_steps(block)
    ('conv', 'norm', 'act', 'conv', 'norm', 'sum', 'act')
    """
    steps = [step for layer in block.branch_layers() for step in _steps_of(layer)]
    if block.shortcut is not None:
        steps.append("sum")
    if block.sum_norm is not None:
        steps.append("norm")
    if block.output_activation is not keras.activations.linear:
        steps.append("act")
    if block.activation is keras.activations.linear:
        steps = [step for step in steps if step != "act"]
    return tuple(steps)


def paper_steps(block):
    """Returns what the steps of a block of as many convolutions are in He et al., 2015."""
    inner = ("conv", "norm", "act") * len(kernel_sizes(block))
    if block.shortcut is not None:
        inner = (*inner[:-1], "sum", "act")
    if block.activation is keras.activations.linear:
        return tuple(step for step in inner if step != "act")
    return inner


def kernel_sizes(block):
    """Returns the kernel size of each convolution of a block's branch: `((3, 3), (3, 3))`."""
    return tuple(
        layer.kernel_size
        for layer in block.branch_layers()
        if isinstance(layer, (ConvNorm, keras.layers.Conv2D))
    )


def _steps_of(layer):
    if isinstance(layer, ConvNorm):
        return ("conv", "norm")
    for kinds, steps in (
        (keras.layers.Conv2D, ("conv",)),
        (keras.layers.BatchNormalization, ("norm",)),
        ((keras.layers.Activation, keras.layers.ReLU), ("act",)),
        (keras.layers.ZeroPadding2D, ()),
    ):
        if isinstance(layer, kinds):
            return steps
    return (type(layer).__name__,)


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


BASIC, BOTTLENECK = ((3, 3), (3, 3)), ((1, 1), (3, 3), (1, 1))
# Test errors in % on CIFAR-10 in He et al., 2016. Table 1: of ResNet-110, by gate and first bias.
GATE_ERRORS = {
    (None, 0.0): "6.61",
    ("constant", 0.0): "12.35",
    ("shortcut_only", 0.0): "12.86",
    ("shortcut_only", -6.0): "6.91",
    ("exclusive", -6.0): "8.70",
    ("dropout", 0.0): "fails",
}
# Table 2: of ResNet-110 and ResNet-164, by order.
ORDER_ERRORS = {
    "original": ("6.61", "5.93"),
    "norm_after_addition": ("8.17", "6.50"),
    "activation_before_addition": ("7.84", "6.14"),
    "activation_only_pre_activation": ("6.71", "5.91"),
    "full_pre_activation": ("6.37", "5.46"),
}
ORDERS = {
    "norm_after_addition": (
        "The normalization alters what passes all the blocks.",
        "8.17 and 6.50 %",
    ),
    "activation_before_addition": (
        "F is never negative with ReLU, so that the sums can only grow.",
        "7.84 and 6.14 %",
    ),
    "activation_only_pre_activation": (
        "The sum passes on as it is, and is activated without a normalization.",
        "6.71 and 5.91 %",
    ),
    "full_pre_activation": (
        "The sum passes on as it is, and is normalized before each branch.",
        "6.37 and 5.46 %",
    ),
}


def branch_deviations(blocks):
    """Yields each `Deviation` of what the blocks of a network compute, from the input on."""
    yield from _of_classes(blocks)
    if blocks[0].shortcut is not None:  # a plain network is a chain, wherever its blocks begin
        yield from _of_layers(blocks)
    yield from _of_gates(blocks)
    if any("norm" not in block_steps(block) for block in blocks):
        yield _without_normalization(blocks)
    elif _are_ordered_otherwise(blocks):
        yield _of_order(blocks)


def _of_classes(blocks):
    for kind in dict.fromkeys(type(block) for block in blocks):
        own = [
            name
            for name in ("call", "branch", "shortcut_path")
            if getattr(kind, name) is not getattr(ResidualBlock, name)
        ]
        if own:
            yield Deviation(
                "block",
                "y = g(F(x) + s(x))",
                f"{kind.__name__} with its own `{'`, `'.join(own)}`",
                "What it computes cannot be read off its layers; its documentation may say it.",
            )


def _of_layers(blocks):
    for sizes in dict.fromkeys(kernel_sizes(block) for block in blocks):
        if sizes in (BASIC, BOTTLENECK):
            continue
        convolutions = "1 convolution" if len(sizes) == 1 else f"{len(sizes)} convolutions"
        kernels = ", ".join(f"{height}×{width}" for height, width in sizes) or "none"
        consequence = (
            "Section 3.2 allows any number of layers, but the paper has no result for these."
        )
        if len(sizes) == 1:
            consequence = (
                "In inference such a block is a single convolution and its activation, with the "
                "shortcut as a part of the kernel: it computes nothing that a plain layer cannot, "
                "and the paper saw no advantage (section 3.2)."
            )
        elif len(sizes) > 2:
            consequence += " At the same depth a network has fewer shortcuts."
        yield Deviation(
            "layers of a branch",
            "two 3×3 convolutions, or 1×1, 3×3, 1×1",
            f"{convolutions} ({kernels})",
            consequence,
        )


def _of_gates(blocks):
    gates = [block.gate_layer for block in blocks if block.gate_layer is not None]
    for gate, bias in dict.fromkeys((layer.gate, layer.gate_bias) for layer in gates):
        begins_at = (bias or 0.0) if gate in CONVOLUTIONAL else None
        yield Deviation(
            "weight on the shortcut",
            "none: y = g(F + s)",
            GATES[gate] + ("" if begins_at is None else f", b beginning at {begins_at:g}"),
            _effect_of_gate(gate, begins_at),
        )


def _effect_of_gate(gate, bias):
    if gate in ("scalar", "channel"):
        return (
            "The network begins as the one without; the product of all λ on the way decides how "
            "much of the signal and of its gradient passes (He et al., 2016, section 3)."
        )
    if gate == "dropout":
        return (
            "Half of the values that pass are lost at random in each block: He et al., 2016, found "
            "that a ResNet-110 does not come to a good solution with it."
        )
    if (gate, bias) in GATE_ERRORS:
        return (
            "It hinders what passes all the blocks: for ResNet-110 on CIFAR-10, He et al., 2016, "
            f"found {GATE_ERRORS[gate, bias]} test error, against 6.61 % with the identity."
        )
    return "It hinders what passes all the blocks (He et al., 2016, section 3.1)."


def _without_normalization(blocks):
    without = [block for block in blocks if "norm" not in block_steps(block)]
    if blocks[0].shortcut is None:
        consequence = (
            "Signals and gradients keep their size only as far as the initialization goes; that "
            "they do not vanish in plain networks is said of normalized ones (section 4.1)."
        )
    else:
        consequence = (
            "Each sum adds to the variance of what passes, so that deep networks need another "
            "initialization or smaller steps (Zhang et al., 2019)."
        )
    where = "the blocks" if len(without) == len(blocks) else f"{len(without)} of the blocks"
    return Deviation(
        "normalization",
        "batch normalization after each convolution",
        f"none in the branches of {where}",
        consequence,
    )


def _are_ordered_otherwise(blocks):
    if blocks[0].shortcut is not None:
        return any(block_steps(block) != paper_steps(block) for block in blocks)
    chains = [
        [step for block in blocks for step in steps(block)] for steps in (block_steps, paper_steps)
    ]
    return chains[0] != chains[1]


def _of_order(blocks):
    steps = Counter(block_steps(block) for block in blocks).most_common(1)[0][0]
    usual = next(block for block in blocks if block_steps(block) == steps)
    consequence = "The paper has no result for this order."
    if usual.shortcut is None:
        consequence = (
            "Without a sum, orders differ at the ends of the network only: here something is "
            "normalized or activated twice, or not at all."
        )
    elif isinstance(usual, OrderedBlock):
        effect, errors = ORDERS[usual.order]
        consequence = (
            f"{effect} On CIFAR-10, He et al., 2016, found {errors} test error with 110 and 164 "
            "layers, against 6.61 and 5.93 % in the original order."
        )
        if usual.order.endswith("pre_activation") and blocks[-1].position in ("first", "inner"):
            consequence += (
                " Here the last sum goes to the head as it is; in their networks the last block "
                'ends as a next one would begin, with position="last".'
            )
    return Deviation(
        "order in a block", _in_words(paper_steps(usual)), _in_words(steps), consequence
    )


def _in_words(steps):
    return ", ".join(steps)


# The networks of tables 1 and 6 and of figure 6: the kernels of a block, repeats and widths.
IMAGENET_WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)
RESIDUAL = {
    *((BASIC, repeats, IMAGENET_WIDTHS) for repeats in ((2, 2, 2, 2), (3, 4, 6, 3))),
    *(
        (BOTTLENECK, repeats, IMAGENET_WIDTHS)
        for repeats in ((3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3))
    ),
    *((BASIC, (n, n, n), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18, 200)),
}
# Of plain networks, which are chains, the number of 3×3 layers in each stage, and the widths.
PLAIN = {
    *((layers, IMAGENET_WIDTHS) for layers in ((4, 4, 4, 4), (6, 8, 12, 6))),
    *(((2 * n, 2 * n, 2 * n), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18)),
}


def block_deviations(stages):
    """Yields each `Deviation` of the blocks of a network, given stage by stage."""
    yield from _of_architecture(stages)
    yield from branch_deviations([block for stage in stages for block in stage])
    yield from _of_strides_and_activations(stages)
    yield from _of_shortcuts(stages)
    yield from _of_regularization(stages)
    yield from _of_dilation(stages)


def _of_architecture(stages):
    kernels, repeats, widths = _architecture(stages)
    is_plain = stages[0][0].shortcut is None
    if is_plain:
        is_of_the_paper = (_layers(stages), widths) in PLAIN
    else:
        # A branch of other layers is a point of its own, and there is no depth to compare with.
        is_of_the_paper = (kernels, repeats, widths) in RESIDUAL or kernels not in (
            BASIC,
            BOTTLENECK,
        )
    if not is_of_the_paper:
        yield Deviation(
            "depth and width",
            "only the networks of its tables 1 and 6 and of figure 6",
            f"{'plain' if is_plain else 'residual'} {type(stages[0][0]).__name__}s, repeats "
            f"{repeats} with widths {widths}",
            "The paper has no result to compare with.",
        )


def _of_strides_and_activations(stages):
    blocks = [block for stage in stages for block in stage]
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
        if activation is keras.activations.relu:
            continue
        consequence = (
            "The initialization keeps the variance for ReLU, and weights trained with one "
            "activation do not serve another."
        )
        if activation is keras.activations.linear:
            consequence = "In inference a branch is a linear map, however many layers it has."
        yield Deviation("activation", "ReLU", name_of(activation), consequence)


def _of_shortcuts(stages):
    kernels, repeats, widths = _architecture(stages)
    allowed = {"B"} if kernels == BOTTLENECK else {"A"}
    if (kernels, repeats, widths) == (BASIC, (3, 4, 6, 3), IMAGENET_WIDTHS):
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
    if any(block.zero_init_residual and not block.folded for block in blocks):
        yield Deviation(
            "first γ of a branch's last normalization",
            "1",
            "0",
            "Each block begins as its shortcut. Goyal et al., 2017, found that it helps with large "
            "batches; how the first steps fare, the study of lesions shows.",
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


def _architecture(stages):
    """Returns the kernels of a block, or `None` if blocks differ, and repeats and widths."""
    kernels = {kernel_sizes(block) for blocks in stages for block in blocks}
    repeats = tuple(len(blocks) for blocks in stages)
    widths = tuple(blocks[0].filters for blocks in stages)
    return (kernels.pop() if len(kernels) == 1 else None), repeats, widths


def _layers(stages):
    """Returns the number of layers of each stage of a plain network, `None` if not all are 3×3."""
    sizes = [[size for block in blocks for size in kernel_sizes(block)] for blocks in stages]
    is_3x3 = all(size == (3, 3) for stage in sizes for size in stage)
    return tuple(len(stage) for stage in sizes) if is_3x3 else None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The points in which a model departs from the paper; `print` it to read them.

    Attributes:
        model: The model's name.
        deviations: A tuple of `Deviation`, empty for a network of the paper.
    """

    model: str
    deviations: tuple[Deviation, ...]

    def __str__(self):
        if not self.deviations:
            return f"{self.model} is a network of He et al., 2015."
        lines = [f"{self.model} departs from He et al., 2015 in:"]
        return "\n".join([*lines, *(f"- {deviation}" for deviation in self.deviations)])


def explain(model):
    """Lists every point in which a model departs from He et al., 2015, and its consequence.

    The paper is [Deep Residual Learning for Image Recognition](https://arxiv.org/abs/1512.03385).
    What it leaves open (where option A puts its zeros, how the classifier begins) is no deviation.
    The model's layers are read, not its name: input, stem, blocks, normalization and head.

    Args:
        model: A functional model of this package, residual or plain. Of one that stands within
            another model, it alone is read.

    Returns:
        An `Explanation`, whose `deviations` are data and whose text is for reading.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`.
        ValueError: If it has no blocks named `stage1_block1` and so on, or has them in several
            places.

    Example:

    >>> print(keras_resnets.analysis.explain(keras_resnets.ResNet50(stride_on="1x1")))
    resnet50 is a network of He et al., 2015.
    >>> [each.what for each in keras_resnets.analysis.explain(keras_resnets.ResNet50()).deviations]
    ['stride of a bottleneck']
    """
    model = block_model(model)
    stages = stage_blocks(model)
    deviations = (*block_deviations(stages), *frame_deviations(model, stages))
    return Explanation(model.name, deviations)
