"""What is known about the networks from elsewhere: published, or computed by hand.

ImageNet rows: 224×224×3 and 1000 classes. With option B the parameters are those that torchvision
publishes (docs, "Models and pre-trained weights"), as are the multiply-adds of ResNet-101 and 152.
The rest is computed from the architecture; the paper's table 1 says 1.8, 3.6 and 3.8 ·10⁹.
CIFAR rows: 32×32×3 and 10 classes.
"""

import re
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


class Counted(NamedTuple):
    """Trainable parameters, moving statistics and multiply-adds, to the unit."""

    trainable: int
    statistics: int
    macs: int


# Counted on timm 1.0.31's own modules: its parameters, its buffers, and with forward hooks the
# multiply-adds of its convolutions and linear layers.
TIMM = {
    "resnet18": Counted(11_689_512, 9_600, 1_814_073_344),
    "resnet26": Counted(15_995_176, 30_848, 2_342_256_640),
    "resnet34": Counted(21_797_672, 17_024, 3_663_761_408),
    "resnet50": Counted(25_557_032, 53_120, 4_089_184_256),
    "resnet101": Counted(44_549_160, 105_344, 7_801_405_440),
    "resnet152": Counted(60_192_808, 151_424, 11_513_626_624),
    "resnet200": Counted(64_673_832, 176_000, 15_007_481_856),
    "resnet18d": Counted(11_708_744, 9_728, 2_053_713_920),
    "resnet26d": Counted(16_014_408, 30_976, 2_581_897_216),
    "resnet34d": Counted(21_816_904, 17_152, 3_903_401_984),
    "resnet50d": Counted(25_576_264, 53_248, 4_328_824_832),
    "resnet101d": Counted(44_568_392, 105_472, 8_041_046_016),
    "resnet152d": Counted(60_212_040, 151_552, 11_753_267_200),
    "resnet200d": Counted(64_693_064, 176_128, 15_247_122_432),
    "resnet18v2": Counted(11_687_720, 7_808, 1_814_073_344),
    "resnet34v2": Counted(21_795_880, 15_232, 3_663_761_408),
    "resnet50v2": Counted(25_549_352, 45_440, 4_089_184_256),
    "resnet101v2": Counted(44_541_480, 97_664, 7_801_405_440),
    "resnet152v2": Counted(60_185_128, 143_744, 11_513_626_624),
    "resnet50dv2": Counted(25_568_584, 45_568, 4_328_824_832),
    "resnext50_32x4d": Counted(25_028_904, 68_224, 4_230_479_872),
    "resnext50d_32x4d": Counted(25_048_136, 68_352, 4_470_120_448),
    "resnext101_32x4d": Counted(44_177_704, 137_856, 7_969_996_800),
    "resnext101_32x8d": Counted(88_791_336, 202_880, 16_414_015_488),
    "resnext101_64x4d": Counted(83_455_272, 202_880, 15_460_270_080),
    "wideresnet50_2": Counted(68_883_240, 68_224, 11_398_021_120),
    "wideresnet101_2": Counted(126_886_696, 137_856, 22_753_050_624),
    "seresnet18": Counted(11_779_624, 9_600, 1_814_161_408),
    "seresnet34": Counted(21_960_416, 17_024, 3_663_920_128),
    "seresnet50": Counted(28_088_024, 53_120, 4_091_699_200),
    "seresnet101": Counted(49_326_872, 105_344, 7_806_148_608),
    "seresnet152": Counted(66_821_848, 151_424, 11_520_204_800),
    "seresnext50_32x4d": Counted(27_559_896, 68_224, 4_232_994_816),
    "seresnext101_32x4d": Counted(48_955_416, 137_856, 7_974_739_968),
    "resnetrs50": Counted(35_691_912, 53_376, 4_454_490_112),
    "resnetrs101": Counted(63_618_696, 105_600, 8_175_624_192),
    "resnetrs152": Counted(86_621_576, 151_680, 11_895_185_408),
    "resnetrs200": Counted(93_209_992, 176_256, 15_391_137_792),
    # Its blurred convolutions have no stride: more multiply-adds than ResNet-50.
    "resnetblur50": Counted(25_557_032, 53_120, 5_129_633_792),
}


def _count(layers, classes=10):
    """Counts rows of kernel size, inputs, outputs and output size, and of normalized channels."""
    kernels = [row for row in layers if len(row) == 4]
    normalized = sum(channels for row in layers if len(row) == 1 for channels in row)
    *_, features = layers[-1]  # those of the last normalization
    trainable = sum(k**2 * inputs * outputs for k, inputs, outputs, _ in kernels)
    macs = sum(k**2 * inputs * outputs * size**2 for k, inputs, outputs, size in kernels)
    head = features * classes
    return Counted(trainable + 2 * normalized + head + classes, 2 * normalized, macs + head)


def pre_activated(n, k=1):
    """Basic blocks, n a stage and k times as wide (Zagoruyko & Komodakis, 2016, table 1).

    Normalizations stand before convolutions, projections have none, and one stands at the end.
    """
    layers, inputs = [(3, 3, 16, 32)], 16
    for width, size in ((16 * k, 32), (32 * k, 16), (64 * k, 8)):
        if inputs != width:
            layers.append((1, inputs, width, size))
        for channels in (inputs, *[width] * (n - 1)):
            layers += [(channels,), (3, channels, width, size), (width,), (3, width, width, size)]
        inputs = width
    return _count([*layers, (inputs,)])


def pre_activated_bottlenecks(n):
    """Bottlenecks, n a stage, of 16, 32 and 64 channels, and four times as many after each."""
    layers, inputs = [(3, 3, 16, 32)], 16
    for width, size in ((16, 32), (32, 16), (64, 8)):
        layers.append((1, inputs, 4 * width, size))
        for channels in (inputs, *[4 * width] * (n - 1)):
            layers += [(channels,), (1, channels, width, size), (width,), (3, width, width, size)]
            layers += [(width,), (1, width, 4 * width, size)]
        inputs = 4 * width
    return _count([*layers, (inputs,)])


CIFAR_V2 = {
    "resnet110v2": pre_activated(18),
    "resnet164v2": pre_activated_bottlenecks(18),
    "resnet1001v2": pre_activated_bottlenecks(111),
    "wrn16_8": pre_activated(2, 8),
    "wrn28_10": pre_activated(4, 10),
    "wrn40_4": pre_activated(6, 4),
}
# 10⁶ parameters, which Zagoruyko & Komodakis, 2016, count without γ and β (table 5).
PUBLISHED_MILLIONS = {
    "resnet110v2": 1.7,
    "resnet164v2": 1.7,
    "resnet1001v2": 10.2,
    "wrn16_8": 11.0,
    "wrn28_10": 36.5,
    "wrn40_4": 8.9,
}

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
# Those of He et al., 2015, but ResNet-1202.
NAMES = IMAGENET_NAMES + CIFAR_NAMES
# Those that came later.
WIDER_NAMES = [name for name in (*TIMM, *CIFAR_V2) if name not in NAMES]

# Blocks of each stage: the paper's table 1, and n a stage in section 4.2.
BOTTLENECK_DEPTHS = (26, 50, 101, 152, 164, 200, 1001)
REPEATS = {
    16: (2, 2, 2),
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    28: (4, 4, 4),
    34: (3, 4, 6, 3),
    40: (6, 6, 6),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    164: (18, 18, 18),
    200: (3, 24, 36, 3),
    1001: (111, 111, 111),
} | {depth: ((depth - 2) // 6,) * 3 for depth in CIFAR}


def depth_of(name):
    return int(re.search(r"\d+", name)[0])


def block_names(name, repeats=None):
    """The blocks of a network, from the input on."""
    return [
        f"stage{stage}_block{block}"
        for stage, count in enumerate(repeats or REPEATS[depth_of(name)], 1)
        for block in range(1, count + 1)
    ]


def projecting_blocks(name, shortcut):
    """The blocks whose shortcut has weights.

    With option B, and D, those at which the shape changes: the first of each stage but the first
    one; with bottlenecks of the first one too, for it goes from 64 to 256 channels (He et al.,
    2015, table 1 and section 3.3), and in wide networks for CIFAR, from 16 to 16k.
    """
    if shortcut == "C":
        return block_names(name)
    if shortcut in ("A", None):
        return []
    stages = range(1, len(REPEATS[depth_of(name)]) + 1)
    is_wide = depth_of(name) in BOTTLENECK_DEPTHS or name.startswith("wrn")
    first = 1 if is_wide else 2
    return [f"stage{stage}_block1" for stage in stages if stage >= first]
