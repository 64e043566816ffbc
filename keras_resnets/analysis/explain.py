"""How a network departs from He et al., 2015: the blocks, the branches, and what is around them."""

import dataclasses
from collections import Counter

import keras

import keras_resnets.analysis.paper as paper
from keras_resnets.analysis.responses import block_model
from keras_resnets.architecture.reading import stage_blocks, stem_name
from keras_resnets.architecture.spec import STEMS
from keras_resnets.layers import ConvNorm, OrderedBlock, ResidualBlock
from keras_resnets.layers.graph import all_layers
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
    What it leaves open, such as how the classifier is initialized, is no deviation. The model's
    layers are read, not its name: input, stem, blocks, normalization and head.

    Args:
        model: A functional model of this package, residual or plain, or a model that holds one.

    Returns:
        An `Explanation`, whose `deviations` are data and whose text is for reading.

    Raises:
        TypeError: If `model` is neither a functional model nor a `keras.Sequential`.
        ValueError: If it has no blocks named `stage1_block1` and so on, or has them in several
            places.

    Example:

    >>> print(keras_resnets.analysis.explain(keras_resnets.ResNet20()))
    resnet20 is a network of He et al., 2015.
    >>> [each.what for each in keras_resnets.analysis.explain(keras_resnets.ResNet50()).deviations]
    ['stride of a bottleneck']
    """
    model = block_model(model)
    stages = stage_blocks(model)
    blocks = [block for stage in stages for block in stage]
    data_set = paper.DATA_SETS.get(len(stages))
    points = (
        *_of_architecture(stages, blocks),
        *_of_gates(blocks),
        *_of_steps(blocks),
        *_of_options(stages, blocks),
        *_of_input(model, blocks, data_set),
        *_of_layers(model, blocks),
        *_of_head(model, data_set),
    )
    return Explanation(model.name, tuple(Deviation(*point) for point in points))


def _of_architecture(stages, blocks):
    kernels, repeats, widths = _architecture(stages, blocks)
    if blocks[0].shortcut is None:
        # A plain network is a chain, wherever its blocks begin.
        sizes = [[size for block in stage for size in _kernel_sizes(block)] for stage in stages]
        is_3x3 = {size for stage in sizes for size in stage} == {(3, 3)}
        is_of_the_paper = is_3x3 and (tuple(map(len, sizes)), widths) in paper.PLAIN
    else:
        # A branch of other layers is a point of its own, and there is no depth to compare with.
        is_other = kernels not in (paper.BASIC, paper.BOTTLENECK)
        is_of_the_paper = is_other or (kernels, repeats, widths) in paper.RESIDUAL
    if not is_of_the_paper:
        yield (
            "depth and width",
            "only the networks of its tables 1 and 6 and of figure 6",
            f"{'plain' if blocks[0].shortcut is None else 'residual'} {type(blocks[0]).__name__}s, "
            f"repeats {repeats} with widths {widths}",
            "The paper has no result to compare with.",
        )
    for kind in dict.fromkeys(type(block) for block in blocks):
        methods = ("call", "branch", "shortcut_path")
        own = [name for name in methods if getattr(kind, name) is not getattr(ResidualBlock, name)]
        if own:
            yield (
                "block",
                "y = g(F(x) + s(x))",
                f"{kind.__name__} with its own `{'`, `'.join(own)}`",
                "Its layers do not show what it computes; see its documentation.",
            )
    for sizes in dict.fromkeys(_kernel_sizes(block) for block in blocks if block.shortcut):
        if sizes in (paper.BASIC, paper.BOTTLENECK):
            continue
        consequence = paper.LAYERS_EFFECT
        if len(sizes) == 1:
            consequence = paper.ONE_LAYER_EFFECT
        elif len(sizes) > 2:
            consequence += " At the same depth a network has fewer shortcuts."
        yield (
            "layers of a branch",
            "two 3×3 convolutions, or 1×1, 3×3, 1×1",
            f"{len(sizes)} convolution{'s' * (len(sizes) != 1)} "
            f"({', '.join(f'{height}×{width}' for height, width in sizes) or 'none'})",
            consequence,
        )


def _architecture(stages, blocks):
    """Returns the kernels of a block, or `None` if blocks differ, and repeats and widths."""
    kernels = {_kernel_sizes(block) for block in blocks}
    widths = tuple(stage[0].filters for stage in stages)
    return (kernels.pop() if len(kernels) == 1 else None), tuple(map(len, stages)), widths


def _of_gates(blocks):
    gates = [block.gate_layer for block in blocks if block.gate_layer is not None]
    for gate, bias in dict.fromkeys((layer.gate, layer.gate_bias or 0.0) for layer in gates):
        hinders = "It hinders what passes through all blocks"
        consequence = paper.GATE_EFFECTS.get(gate, f"{hinders} (He et al., 2016, section 3.1).")
        if gate not in paper.GATE_EFFECTS and (gate, bias) in paper.GATE_ERRORS:
            consequence = (
                f"{hinders}: for ResNet-110 on CIFAR-10, He et al., 2016, found "
                f"{paper.GATE_ERRORS[gate, bias]} % test error, against "
                f"{paper.GATE_ERRORS[None, 0.0]} % with the identity."
            )
        begin = f", b beginning at {bias:g}" if gate in CONVOLUTIONAL else ""
        yield "weight on the shortcut", "none: y = g(F + s)", GATES[gate] + begin, consequence


def _of_steps(blocks):
    """Yields where a normalization is missing, or else where the steps have another order."""
    is_plain = blocks[0].shortcut is None
    without = [block for block in blocks if "norm" not in _block_steps(block)]
    if without:
        where = "the blocks" if len(without) == len(blocks) else f"{len(without)} of the blocks"
        yield (
            "normalization",
            "batch normalization after each convolution",
            f"none in the branches of {where}",
            paper.NO_NORM_EFFECT["plain" if is_plain else "residual"],
        )
        return
    of_blocks = [_block_steps(block) for block in blocks]
    of_paper = [_paper_steps(block) for block in blocks]
    if of_blocks == of_paper or (is_plain and sum(of_blocks, ()) == sum(of_paper, ())):
        return
    steps, _ = Counter(of_blocks).most_common(1)[0]
    usual = blocks[of_blocks.index(steps)]
    consequence = "The paper has no result for this order."
    if is_plain:
        consequence = (
            "Without a sum, orders differ at the ends of the network only: here something is "
            "normalized or activated twice, or not at all."
        )
    elif isinstance(usual, OrderedBlock):
        errors, original = (
            " and ".join(paper.ORDER_ERRORS[order]) for order in (usual.order, "original")
        )
        consequence = (
            f"{paper.ORDER_EFFECTS[usual.order]} On CIFAR-10, He et al., 2016, found {errors} % "
            f"test error with 110 and 164 layers, against {original} % in the original order."
        )
        if usual.order.endswith("pre_activation") and blocks[-1].position in ("first", "inner"):
            consequence += (
                " Here the last sum goes to the head unchanged; in their networks the last block "
                'ends as a next one would begin, with position="last".'
            )
    yield "order in a block", ", ".join(_paper_steps(usual)), ", ".join(steps), consequence


def _block_steps(block):
    """Returns the steps of a built block: `("conv", "norm", "act", …, "sum", "act")`."""
    steps = [step for layer in block.branch_layers() for step in _steps_of(layer)]
    if block.shortcut is not None:
        steps.append("sum")
    if block.sum_norm is not None:
        steps.append("norm")
    if block.output_activation is not keras.activations.linear:
        steps.append("act")
    return _without_linear(block, steps)


def _paper_steps(block):
    """Returns what the steps of a block of as many convolutions are in He et al., 2015."""
    steps = ["conv", "norm", "act"] * len(_kernel_sizes(block))
    if block.shortcut is not None:
        steps[-1:] = ["sum", "act"]
    return _without_linear(block, steps)


def _without_linear(block, steps):
    is_linear = block.activation is keras.activations.linear
    return tuple(step for step in steps if not (is_linear and step == "act"))


def _kernel_sizes(block):
    """Returns the kernel size of each convolution of a block's branch: `((3, 3), (3, 3))`."""
    convolutions = (ConvNorm, keras.layers.Conv2D)
    layers = (layer for layer in block.branch_layers() if isinstance(layer, convolutions))
    return tuple(layer.kernel_size for layer in layers)


def _steps_of(layer):
    for kinds, steps in (
        (ConvNorm, ("conv", "norm")),
        (keras.layers.Conv2D, ("conv",)),
        (keras.layers.BatchNormalization, ("norm",)),
        ((keras.layers.Activation, keras.layers.ReLU), ("act",)),
        (keras.layers.ZeroPadding2D, ()),
    ):
        if isinstance(layer, kinds):
            return steps
    return (type(layer).__name__,)


def _of_options(stages, blocks):
    if any(block.strides > 1 and getattr(block, "stride_on", "") == "3x3" for block in blocks):
        yield (
            "stride of a bottleneck",
            "on the first 1×1 convolution",
            'on the 3×3 ("v1.5")',
            "The branch sees every position instead of one in four, for some more multiply-adds "
            "(4.09 instead of 3.86·10⁹ in ResNet-50). Weights do not carry over from one to the "
            "other without loss.",
        )
    for activation in dict.fromkeys(block.activation for block in blocks):
        consequence = (
            "The initialization keeps the variance for ReLU, and weights trained with one "
            "activation do not work with another."
        )
        if activation is keras.activations.linear:
            consequence = "In inference a branch is a linear map, however many layers it has."
        if activation is not keras.activations.relu:
            yield "activation", "ReLU", _name_of(activation), consequence
    architecture = _architecture(stages, blocks)
    allowed = "B" if architecture[0] == paper.BOTTLENECK else "A"
    if architecture == (paper.BASIC, (3, 4, 6, 3), paper.IMAGENET_WIDTHS):
        allowed = "ABC"  # table 3 compares them
    for option in dict.fromkeys(block.shortcut for block in blocks):
        if option is not None and option not in allowed:
            effect = paper.SHORTCUT_EFFECTS[option]
            yield "shortcut", f"option {allowed}", f"option {option}", effect
    if any(block.zero_init_residual and not block.folded for block in blocks):
        yield (
            "first γ of a branch's last normalization",
            "1",
            "0",
            "Each block begins as its shortcut. Goyal et al., 2017, found that it helps with large "
            "batches; the study of lesions shows its effect on the first steps.",
        )
    if rate := max(block.drop_path_rate for block in blocks):
        yield (
            "drop path",
            "none",
            f"up to {rate:g}",
            "In training a branch is left out at random, which regularizes; inference is the same.",
        )
    dilation = max(block.dilation for block in blocks)
    if dilation > 1:
        yield (
            "dilation",
            "none: each stage halves the resolution",
            f"up to {dilation}, in the place of strides",
            f"The last feature map is {dilation} times higher and wider, as segmentation needs it, "
            "with the same weights and more multiply-adds.",
        )


def _of_input(model, blocks, data_set):
    if data_set is None:
        return
    size = STEMS[data_set].image_size
    shape = tuple(model.input_shape[1:])
    is_last = blocks[0].data_format == "channels_last"
    *area, channels = shape if is_last else (*shape[1:], shape[0])
    consequences = []
    if area != [size, size]:
        consequences.append(
            "The multiply-adds grow with the area, and weights trained at another size see objects "
            "at another scale."
        )
    if channels != 3:
        consequences.append("The first kernel has another shape, and weights for RGB do not fit.")
    if consequences:
        here = "×".join("any" if length is None else str(length) for length in shape)
        yield "input", f"{size}×{size} in RGB", here, " ".join(consequences)
    stem = stem_name(model)
    if stem != data_set:
        yield "stem", paper.STEM_NAMES[data_set], paper.STEM_NAMES[stem], paper.STEM_EFFECTS[stem]


def _of_layers(model, blocks):
    """Yields what is unusual about folding, normalization and initialization in any layer."""
    layers = all_layers(model)
    conv_norms = [layer for layer in layers if isinstance(layer, ConvNorm)]
    if any(layer.folded for layer in conv_norms):
        consequence = (
            "The outputs in inference are the same; in training, nothing normalizes there any more."
        )
        if any(len(_kernel_sizes(block)) == 1 for block in blocks):
            consequence += (
                " A shortcut beside a single convolution is folded in as well, so that a block "
                "that had one looks like a plain one."
            )
        yield (
            "normalization",
            "batch normalization after each convolution",
            "folded into the convolutions, as `fuse_batch_norm` does",
            consequence,
        )
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for momentum, epsilon in dict.fromkeys((norm.momentum, norm.epsilon) for norm in norms):
        if (momentum, epsilon) != (0.9, 1e-5):
            yield (
                "batch normalization",
                "momentum 0.9 and ε 1e-5 in the published models (the text gives none)",
                f"momentum {momentum:g} and ε {epsilon:g}",
                "Momentum changes how fast the statistics for inference follow, ε the outputs of "
                "channels with little variance.",
            )
    for initializer in (layer.conv.kernel_initializer for layer in conv_norms):
        config = initializer.get_config()
        if config.get("scale") != 2.0 or config.get("mode") not in ("fan_in", "fan_out"):
            yield (
                "initialization",
                "normal with variance 2 / fan (He et al., 2015b)",
                type(initializer).__name__,
                "Signals may shrink or grow from layer to layer before training.",
            )
            return


def _of_head(model, data_set):
    layers = {layer.name: layer for layer in model.layers}
    classifier = layers.get("predictions")
    if classifier is None or "avg_pool" not in layers:
        yield (
            "head",
            "global average pooling and a classifier",
            "another, or none",
            "The model's outputs are features, or what was built upon them.",
        )
        return
    classes = STEMS[data_set].classes if data_set else classifier.units
    if classifier.units != classes:
        yield (
            "classes",
            str(classes),
            str(classifier.units),
            "The classifier has another number of parameters than the paper's, and its errors are "
            "those of another task.",
        )
    if classifier.activation is not keras.activations.softmax:
        yield (
            "activation of the classifier",
            "softmax",
            _name_of(classifier.activation),
            "The outputs are not probabilities: the loss needs `from_logits=True` or one that fits "
            "the activation.",
        )


def _name_of(activation):
    """Returns an activation's name; Keras would write a function of one's own as bytes."""
    return getattr(activation, "__name__", type(activation).__name__)
