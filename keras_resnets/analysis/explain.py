"""How a network departs from He et al., 2015: the blocks, the branches, and what is around them."""

import dataclasses
from collections import Counter

import keras

import keras_resnets.analysis.paper as paper
from keras_resnets.analysis.responses import block_model
from keras_resnets.architecture.reading import read_stem, stage_blocks
from keras_resnets.architecture.spec import STEMS
from keras_resnets.layers import (
    AveragePooling2D,
    BlurPooling2D,
    ConvNorm,
    OrderedBlock,
    ResidualBlock,
    SqueezeExcitation,
)
from keras_resnets.layers.graph import all_layers
from keras_resnets.layers.shortcuts import CONVOLUTIONAL, GATES

# The steps that a layer of a branch stands for; options that are points of their own are none.
STEPS: dict[type, tuple[str, ...]] = {
    ConvNorm: ("conv", "norm"),
    keras.layers.Conv2D: ("conv",),
    keras.layers.BatchNormalization: ("norm",),
    keras.layers.Activation: ("act",),
    keras.layers.ReLU: ("act",),
    **dict.fromkeys((keras.layers.ZeroPadding2D, keras.layers.Dropout, SqueezeExcitation), ()),
    **dict.fromkeys((AveragePooling2D, BlurPooling2D), ()),
}


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
        ValueError: If it has no blocks named `stage1_block1` and so on, or several networks.

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
    deviations = (
        *_of_architecture(stages, blocks),
        *_of_branches(blocks),
        *_of_gates(blocks),
        *_of_steps(model, blocks),
        *_of_options(stages, blocks),
        *_of_input(model, blocks, data_set),
        *_of_layers(model, blocks),
        *_of_head(model, data_set),
    )
    return Explanation(model.name, deviations)


def _point(what, here, consequence=None, choice=None):
    """Returns a deviation; what it does not say is in the tables of `paper`."""
    return Deviation(what, choice or paper.CHOICES[what], here, consequence or paper.EFFECTS[what])


def _of_architecture(stages, blocks):
    kernels, repeats, widths = _architecture(stages, blocks)
    is_plain = blocks[0].shortcut is None
    if is_plain:  # a chain, wherever its blocks begin
        sizes = [[size for block in stage for size in _kernel_sizes(block)] for stage in stages]
        is_3x3 = {size for stage in sizes for size in stage} == {(3, 3)}
        is_of_the_paper = is_3x3 and (tuple(map(len, sizes)), widths) in paper.PLAIN
    else:
        # A branch of other layers is a point of its own, and there is no depth to compare with.
        is_other = kernels not in (paper.BASIC, paper.BOTTLENECK)
        is_of_the_paper = is_other or (kernels, repeats, widths) in paper.RESIDUAL
    if not is_of_the_paper:
        kind = f"{'plain' if is_plain else 'residual'} {type(blocks[0]).__name__}s"
        yield _point("depth and width", f"{kind}, repeats {repeats} with widths {widths}")


def _architecture(stages, blocks):
    """Returns the kernels of a block, or `None` if blocks differ, and repeats and widths."""
    kernels = {_kernel_sizes(block) for block in blocks}
    widths = tuple(stage[0].filters for stage in stages)
    return (kernels.pop() if len(kernels) == 1 else None), tuple(map(len, stages)), widths


def _of_branches(blocks):
    for kind in dict.fromkeys(type(block) for block in blocks):
        methods = ("call", "branch", "shortcut_path")
        own = [name for name in methods if getattr(kind, name) is not getattr(ResidualBlock, name)]
        if own:
            yield _point("block", f"{kind.__name__} with its own `{'`, `'.join(own)}`")
    for sizes in dict.fromkeys(_kernel_sizes(block) for block in blocks if block.shortcut):
        if sizes in (paper.BASIC, paper.BOTTLENECK):
            continue
        consequence = paper.ONE_LAYER_EFFECT if len(sizes) == 1 else paper.LAYERS_EFFECT
        if len(sizes) > 2:
            consequence += " At the same depth a network has fewer shortcuts."
        kernels = ", ".join(f"{height}×{width}" for height, width in sizes) or "none"
        here = f"{len(sizes)} convolution{'s' * (len(sizes) != 1)} ({kernels})"
        yield _point("layers of a branch", here, consequence)


def _of_gates(blocks):
    gates = [block.gate_layer for block in blocks if block.gate_layer is not None]
    for gate, bias in dict.fromkeys((layer.gate, layer.gate_bias or 0.0) for layer in gates):
        here = GATES[gate] + (f", b beginning at {bias:g}" if gate in CONVOLUTIONAL else "")
        consequence = paper.GATE_EFFECTS.get(gate)
        if consequence is None and (gate, bias) in paper.GATE_ERRORS:
            consequence = (
                "It hinders what passes through all blocks: for ResNet-110 on CIFAR-10, He et al., "
                f"2016, found {paper.GATE_ERRORS[gate, bias]} % test error, against "
                f"{paper.GATE_ERRORS[None, 0.0]} % with the identity."
            )
        yield _point("weight on the shortcut", here, consequence)


def _of_steps(model, blocks):
    """Yields where a normalization is missing, or else where the steps have another order."""
    is_plain = blocks[0].shortcut is None
    without = [block for block in blocks if "norm" not in _block_steps(block)]
    if without:
        where = "the blocks" if len(without) == len(blocks) else f"{len(without)} of the blocks"
        effect = paper.NO_NORM_EFFECT["plain" if is_plain else "residual"]
        yield _point("normalization", f"none in the branches of {where}", effect)
        return
    of_blocks = [_block_steps(block) for block in blocks]
    of_paper = [_paper_steps(block) for block in blocks]
    layers = {layer.name: layer for layer in model.layers}
    chain, chain_of_paper = sum(of_blocks, ()), sum(of_paper, ())
    has_end = "post_activation" in layers
    if is_plain and has_end:  # what follows the stem and each convolution stands before the next
        step = _without_linear(blocks[0], ("norm", "act"))
        chain, chain_of_paper = chain + step, step + chain_of_paper
    if of_blocks == of_paper or (is_plain and chain == chain_of_paper):
        return
    steps, _ = Counter(of_blocks).most_common(1)[0]
    usual = blocks[of_blocks.index(steps)]
    consequence = paper.PLAIN_ORDER_EFFECT if is_plain else None
    order = getattr(usual, "order", "full_pre_activation" if usual.pre_activation else None)
    if not is_plain and order in paper.ORDER_ERRORS:
        errors, original = (" and ".join(paper.ORDER_ERRORS[each]) for each in (order, "original"))
        consequence = (
            f"{paper.ORDER_EFFECTS[order]} On CIFAR-10, He et al., 2016, found {errors} % "
            f"test error with 110 and 164 layers, against {original} % in the original order."
        )
        end = "`pre_activation` of the whole network"
        if isinstance(usual, OrderedBlock):
            has_end, end = blocks[-1].position in ("last", "only"), 'position="last"'
        if order.endswith("pre_activation") and not has_end:
            consequence += paper.NO_END_EFFECT.format(end)
    yield _point("order in a block", ", ".join(steps), consequence, ", ".join(_paper_steps(usual)))


def _block_steps(block):
    """Returns the steps of a built block: `("conv", "norm", "act", …, "sum", "act")`."""
    steps = [step for layer in block.branch_layers() for step in _steps_of(layer)]
    steps += ["sum"] * (block.shortcut is not None) + ["norm"] * (block.sum_norm is not None)
    steps += ["act"] * (block.output_activation is not keras.activations.linear)
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
    for kind, steps in STEPS.items():
        if isinstance(layer, kind):
            return steps if getattr(layer, "normalize", True) else steps[:1]
    return (type(layer).__name__,)


def _subsamples(block, stage):
    return block is not stage[0] and block.strides > 1


def _of_options(stages, blocks):
    if any(block.strides > 1 and getattr(block, "stride_on", "") == "3x3" for block in blocks):
        yield _point("stride of a bottleneck", 'on the 3×3 ("v1.5")')
    if any(block.strides > 1 for block in stages[0]):
        yield _point("stride of a stage", "on the last block of the stage before")
    for activation in dict.fromkeys(block.activation for block in blocks):
        if activation is not keras.activations.relu:
            is_linear = activation is keras.activations.linear
            effect = paper.LINEAR_EFFECT if is_linear else None
            yield _point("activation", _name_of(activation), effect)
    architecture = _architecture(stages, blocks)
    allowed = "B" if architecture[0] == paper.BOTTLENECK else "A"
    if architecture == (paper.BASIC, (3, 4, 6, 3), paper.IMAGENET_WIDTHS):
        allowed = "ABC"  # table 3 compares them
    # What only subsamples, as in pre_activation="keras", is no option of the network.
    others = [block for stage in stages for block in stage if not _subsamples(block, stage)]
    for option in dict.fromkeys(block.shortcut for block in others):
        if option is not None and option not in allowed:
            effect = paper.SHORTCUT_EFFECTS[option]
            yield _point("shortcut", f"option {option}", effect, f"option {allowed}")
    if any(block.zero_init_residual and not block.folded for block in blocks):
        yield _point("first γ of a branch's last normalization", "0")
    if rate := max(block.drop_path_rate for block in blocks):
        yield _point("drop path", f"up to {rate:g}")
    if rate := max(block.dropout_rate for block in blocks):
        yield _point("dropout in the branches", f"a rate of {rate:g}")
    yield from _of_widths(blocks)
    for kind in dict.fromkeys(block.anti_alias for block in blocks if block.anti_alias):
        name = {"blur": "blurs of 3×3 pixels", "average": "averages"}[kind]
        yield _point("anti-aliasing", f"{name} instead of strides")
    for ratio in dict.fromkeys(block.se_ratio for block in blocks if block.se_ratio):
        yield _point("squeeze and excitation", f"at the end of a branch, of ratio {ratio:g}")
    dilation = max(block.dilation for block in blocks)
    if dilation > 1:
        effect = paper.EFFECTS["dilation"].format(dilation)
        yield _point("dilation", f"up to {dilation}, in the place of strides", effect)


def _of_widths(blocks):
    """Yields what is unusual about the 3×3 convolution of a bottleneck."""
    bottlenecks = [block for block in blocks if hasattr(block, "inner_filters")]
    for groups, width in dict.fromkeys((each.groups, each.width_per_group) for each in bottlenecks):
        if groups > 1:
            here = f"{groups}, of {width} channels where the stage's width is 64"
            yield _point("groups of a 3×3 convolution", here)
        elif width != 64:
            yield _point("width of a bottleneck", f"{width / 64:g} times as many")


def _of_input(model, blocks, data_set):
    if data_set is None:
        return
    size = STEMS[data_set].image_size
    shape = tuple(model.input_shape[1:])
    is_last = blocks[0].data_format == "channels_last"
    *area, channels = shape if is_last else (*shape[1:], shape[0])
    effects = []
    if area != [size, size]:
        effects.append(paper.AREA_EFFECT)
    if channels != 3:
        effects.append(paper.CHANNELS_EFFECT)
    if effects:
        here = "×".join("any" if length is None else str(length) for length in shape)
        yield _point("input", here, " ".join(effects), f"{size}×{size} in RGB")
    (stem, filters), names = read_stem(model), paper.STEM_NAMES
    stride, usual = STEMS[stem].stride, STEMS[data_set].stride
    effects = [] if stride == usual else [paper.STEM_STRIDE_EFFECTS[stride > usual]]
    if stem.startswith("deep"):
        effects.append(paper.DEEP_STEM_EFFECT)
    pooling = next((layer for layer in model.layers if layer.name == "stem_pool"), None)
    averages = isinstance(pooling, AveragePooling2D)
    here = names[stem].replace("max", "average") if averages else names[stem]
    if averages and stem == data_set:
        effects.append(paper.AVERAGE_EFFECT)
    if here != names[data_set]:
        yield _point("stem", here, " ".join(effects), names[data_set])
    if blocks[0].pre_activation and pooling is not None and not averages:
        yield _point("max pooling", "before the first normalization and activation")
    if filters != blocks[0].filters:
        yield _point("stem width", f"{filters} filters, {blocks[0].filters} in the first stage")


def _of_layers(model, blocks):
    """Yields what is unusual about folding and normalization in any layer."""
    layers = all_layers(model)
    if any(isinstance(layer, ConvNorm) and layer.folded for layer in layers):
        effect = paper.FOLDED_EFFECT
        if any(len(_kernel_sizes(block)) == 1 for block in blocks):
            effect += paper.FOLDED_SHORTCUT_EFFECT
        here = "folded into the convolutions, as `fuse_batch_norm` does"
        yield _point("normalization", here, effect)
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for momentum, epsilon in dict.fromkeys((norm.momentum, norm.epsilon) for norm in norms):
        if (momentum, epsilon) != (0.9, 1e-5):
            yield _point("batch normalization", f"momentum {momentum:g} and ε {epsilon:g}")


def _of_head(model, data_set):
    layers = {layer.name: layer for layer in model.layers}
    classifier = layers.get("predictions")
    if classifier is None or "avg_pool" not in layers:
        yield _point("head", "another, or none")
        return
    classes = STEMS[data_set].classes if data_set else classifier.units
    if classifier.units != classes:
        yield _point("classes", str(classifier.units), choice=str(classes))
    if classifier.activation is not keras.activations.softmax:
        yield _point("activation of the classifier", _name_of(classifier.activation))


def _name_of(activation):
    """Returns an activation's name; Keras would write a function of one's own as bytes."""
    return getattr(activation, "__name__", type(activation).__name__)
