"""What is known about the networks from elsewhere: published, or computed by hand.

ImageNet rows: 224×224×3 and 1000 classes. With option B the parameters are those that torchvision
publishes (docs, "Models and pre-trained weights"), as are the multiply-adds of ResNet-101 and 152.
The rest is computed from the architecture; the paper's table 1 says 1.8, 3.6 and 3.8 ·10⁹.
CIFAR rows: 32×32×3 and 10 classes.
"""

from typing import NamedTuple


class Cost(NamedTuple):
    trainable: int
    total: int
    macs: str


IMAGENET = {
    ("resnet18", "B"): Cost(11_689_512, 11_699_112, "1.8141"),
    ("resnet18", "A"): Cost(11_515_688, 11_523_496, "1.7948"),
    ("resnet18", "C"): Cost(12_043_816, 12_055_464, "1.8783"),
    ("plainnet18", None): Cost(11_515_688, 11_523_496, "1.7948"),
    ("resnet34", "B"): Cost(21_797_672, 21_814_696, "3.6638"),
    ("resnet34", "A"): Cost(21_623_848, 21_639_080, "3.6445"),
    ("resnet34", "C"): Cost(22_716_840, 22_739_624, "3.8307"),
    ("plainnet34", None): Cost(21_623_848, 21_639_080, "3.6445"),
    ("resnet50", "B"): Cost(25_557_032, 25_610_152, "4.0892"),
    ("plainnet50", None): Cost(22_780_456, 22_825_896, "3.7295"),
    # In all: 2 statistics for each of the 52,672 and 75,712 normalized channels.
    ("resnet101", "B"): Cost(44_549_160, 44_654_504, "7.801"),
    ("resnet152", "B"): Cost(60_192_808, 60_344_232, "11.514"),
}
IMAGENET_V1 = {
    "resnet50": Cost(25_557_032, 25_610_152, "3.8580"),
    "plainnet50": Cost(22_780_456, 22_825_896, "3.4983"),
}

# depth: (trainable with option A, B, C, 10⁶ multiply-adds with option A)
CIFAR = {
    20: (269_722, 272_474, 283_962, "40.55"),
    32: (464_154, 466_906, 489_594, "68.86"),
    44: (658_586, 661_338, 695_226, "97.17"),
    56: (853_018, 855_770, 900_858, "125.49"),
    110: (1_727_962, 1_730_714, 1_826_202, "252.89"),
    1202: (19_421_274, 19_424_026, 20_538_714, "2829.24"),
}


def cifar_statistics(depth, shortcut):
    """The moving statistics: two for each normalized channel of depth 6n + 2."""
    n = (depth - 2) // 6
    channels = 16 + 2 * n * (16 + 32 + 64)
    if shortcut == "B":
        channels += 32 + 64
    if shortcut == "C":
        channels += n * (16 + 32 + 64)
    return 2 * channels


IMAGENET_NAMES = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "plainnet18",
    "plainnet34",
    "plainnet50",
]
CIFAR_NAMES = [f"resnet{depth}" for depth in CIFAR if depth < 1000] + [
    f"plainnet{depth}" for depth in CIFAR if depth < 1000
]
# All but ResNet-1202.
NAMES = IMAGENET_NAMES + CIFAR_NAMES

# Blocks of each stage: the paper's table 1, and n a stage in section 4.2.
BOTTLENECK_DEPTHS = (50, 101, 152)
REPEATS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
} | {depth: ((depth - 2) // 6,) * 3 for depth in CIFAR}


def depth_of(name):
    return int(name.removeprefix("resnet").removeprefix("plainnet"))


def block_names(name):
    """The blocks of a network, from the input on."""
    return [
        f"stage{stage}_block{block}"
        for stage, repeats in enumerate(REPEATS[depth_of(name)], 1)
        for block in range(1, repeats + 1)
    ]


def projecting_blocks(name, shortcut):
    """The blocks whose shortcut has weights.

    With option B those at which the shape changes: the first of each stage but the first one; with
    bottlenecks of the first one too, for it goes from 64 to 256 channels (He et al., 2015, table 1
    and section 3.3).
    """
    if shortcut == "C":
        return block_names(name)
    if shortcut in ("A", None):
        return []
    stages = range(1, len(REPEATS[depth_of(name)]) + 1)
    first = 1 if depth_of(name) in BOTTLENECK_DEPTHS else 2
    return [f"stage{stage}_block1" for stage in stages if stage >= first]
