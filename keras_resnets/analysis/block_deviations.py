"""How the blocks of a model depart from the paper's: one function a point."""

import keras

from keras_resnets.analysis.block_steps import kernel_sizes
from keras_resnets.analysis.branch_deviations import BASIC, BOTTLENECK, branch_deviations
from keras_resnets.analysis.deviation import Deviation, name_of

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
