"""How what the blocks of a model compute departs from the paper: one function a point."""

from collections import Counter

from keras_resnets.analysis.block_steps import block_steps, kernel_sizes, paper_steps
from keras_resnets.analysis.deviation import Deviation
from keras_resnets.layers import OrderedBlock, ResidualBlock
from keras_resnets.layers.shortcut_gate import CONVOLUTIONAL, GATES

BASIC, BOTTLENECK = ((3, 3), (3, 3)), ((1, 1), (3, 3), (1, 1))
# He et al., 2016, tables 1 and 2: test error in % on CIFAR-10; of ResNet-110, the identity 6.61.
GATE_ERRORS = {
    ("constant", None): "12.35 %",
    ("shortcut_only", 0.0): "12.86 %",
    ("shortcut_only", -6.0): "6.91 %",
    ("exclusive", -6.0): "8.70 %",
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
