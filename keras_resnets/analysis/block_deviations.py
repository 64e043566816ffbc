"""How the blocks of a model depart from the paper's: one function a point."""

import keras

from keras_resnets.analysis.deviation import Deviation, name_of
from keras_resnets.layers import BasicBlock, BottleneckBlock, ResidualBlock

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


def block_deviations(stages):
    """Yields each `Deviation` of the blocks of a network, given stage by stage."""
    yield from _of_architecture(stages)
    yield from _of_blocks(stages)
    yield from _of_shortcuts(stages)
    yield from _of_regularization(stages)
    yield from _of_dilation(stages)


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
                name_of(activation),
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


def _describe(block):
    """Returns a block's class, with the options that are its own."""
    own = block.get_config().keys() - ResidualBlock.get_config(block).keys()
    options = [f"{name}={getattr(block, name)!r}" for name in sorted(own)]
    return f"{type(block).__name__} with {', '.join(options)}" if own else type(block).__name__


def _architecture(stages):
    repeats = tuple(len(blocks) for blocks in stages)
    widths = tuple(blocks[0].filters for blocks in stages)
    return type(stages[0][0]), repeats, widths
