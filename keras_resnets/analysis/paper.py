"""What He et al. published: their networks, their test errors, and what they say of options."""

BASIC, BOTTLENECK = ((3, 3), (3, 3)), ((1, 1), (3, 3), (1, 1))
IMAGENET_WIDTHS, CIFAR_WIDTHS = (64, 128, 256, 512), (16, 32, 64)
# The networks of tables 1 and 6 and of figure 6: the kernels of a block, repeats and widths.
RESIDUAL = {
    (BASIC, (2, 2, 2, 2), IMAGENET_WIDTHS),
    (BASIC, (3, 4, 6, 3), IMAGENET_WIDTHS),
    (BOTTLENECK, (3, 4, 6, 3), IMAGENET_WIDTHS),
    (BOTTLENECK, (3, 4, 23, 3), IMAGENET_WIDTHS),
    (BOTTLENECK, (3, 8, 36, 3), IMAGENET_WIDTHS),
    *((BASIC, (n, n, n), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18, 200)),
}
# Of plain networks, which are chains, the number of 3×3 layers in each stage, and the widths.
PLAIN = {
    ((4, 4, 4, 4), IMAGENET_WIDTHS),
    ((6, 8, 12, 6), IMAGENET_WIDTHS),
    *((3 * (2 * n,), CIFAR_WIDTHS) for n in (3, 5, 7, 9, 18)),
}
# The data set of a network with so many stages.
DATA_SETS = {4: "imagenet", 3: "cifar"}
STEM_NAMES = {
    "imagenet": "7×7 with stride 2, then max pooling",
    "deep": "three of 3×3, the first with stride 2, then max pooling",
    "deep_strided": "four of 3×3, the first and the last with stride 2",
    "cifar": "3×3 with stride 1",
}
# By whether the stem's stride is larger than that of the data set's stem.
STEM_STRIDE_EFFECTS = {
    False: "Every feature map is four times higher and wider, for sixteen times the multiply-adds.",
    True: "Every feature map is four times lower and narrower, for a sixteenth of the "
    "multiply-adds.",
}
AVERAGE_EFFECT = "Small shifts of an image change the pooled map less."
DEEP_STEM_EFFECT = (
    "The first convolutions cost more, and there are activations between them. He et al., 2018, "
    "found 76.87 instead of 76.66 % top-1 accuracy in a ResNet-50 with three of them."
)
SHORTCUT_EFFECTS = {
    "A": "No shortcut has weights. Where the shape changes, the new channels hold no part of the "
    "input.",
    "B": "Where the shape changes, a projection adds weights, so that the plain twin costs less.",
    "C": "Every shortcut has weights and nothing passes unchanged. The paper found it slightly "
    "better than B, but too expensive.",
    "D": "Where the shape changes, a projection adds weights, so that the plain twin costs less; "
    "averages are projected, and not one of four positions as by option B. He et al., 2018, found "
    "77.16 instead of 76.87 % top-1 accuracy in a ResNet-50.",
}
ORDER_EFFECTS = {
    "norm_after_addition": "The normalization changes what passes through all blocks.",
    "activation_before_addition": "F is never negative with ReLU, so that the sums can only grow.",
    "activation_only_pre_activation": "The sum passes on unchanged, and is activated without a "
    "normalization.",
    "full_pre_activation": "The sum passes on unchanged, and is normalized before each branch.",
}
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
GATE_EFFECTS = {
    **dict.fromkeys(
        ("scalar", "channel"),
        "The network begins as the one without; the product of all λ on the way decides how much "
        "of the signal and of its gradient passes (He et al., 2016, section 3).",
    ),
    "dropout": "Each block drops half of the values that pass, at random: He et al., 2016, found "
    "that a ResNet-110 does not come to a good solution with it.",
}
LAYERS_EFFECT = "Section 3.2 allows any number of layers, but the paper has no result for these."
ONE_LAYER_EFFECT = (
    "In inference such a block is a single convolution and its activation, with the shortcut as a "
    "part of the kernel: it computes nothing that a plain layer cannot, and the paper saw no "
    "advantage (section 3.2)."
)
LINEAR_EFFECT = "In inference a branch is a linear map, however many layers it has."
PLAIN_ORDER_EFFECT = (
    "Without a sum, orders differ at the ends of the network only: here something is normalized or "
    "activated twice, or not at all."
)
NO_END_EFFECT = (
    " Here the last sum goes to the head unchanged; in their networks the last block ends as a "
    "next one would begin, with {}."
)
AREA_EFFECT = (
    "The multiply-adds grow with the area, and weights trained at another size see objects at "
    "another scale."
)
CHANNELS_EFFECT = "The first kernel has another shape, and weights for RGB do not fit."
FOLDED_EFFECT = (
    "The outputs in inference are the same; in training, nothing normalizes there any more."
)
FOLDED_SHORTCUT_EFFECT = (
    " A shortcut beside a single convolution is folded in as well, so that a block that had one "
    "looks like a plain one."
)
NO_NORM_EFFECT = {
    "plain": "Signals and gradients keep their size only as far as the initialization goes; the "
    "paper says of normalized plain networks alone that they do not vanish (section 4.1).",
    "residual": "Each sum adds to the variance of what passes, so that deep networks need another "
    "initialization or smaller steps (Zhang et al., 2019).",
}
# What the paper has, and what follows from something else, where neither depends on the model.
CHOICES = {
    "depth and width": "only the networks of its tables 1 and 6 and of figure 6",
    "block": "y = g(F(x) + s(x))",
    "layers of a branch": "two 3×3 convolutions, or 1×1, 3×3, 1×1",
    "weight on the shortcut": "none: y = g(F + s)",
    "normalization": "batch normalization after each convolution",
    "batch normalization": "momentum 0.9 and ε 1e-5 in the published models (the text gives none)",
    "stride of a bottleneck": "on the first 1×1 convolution",
    "stride of a stage": "on its first block",
    "max pooling": "behind the first activation",
    "activation": "ReLU",
    "first γ of a branch's last normalization": "1",
    "drop path": "none",
    "stem width": "as many filters as the first stage",
    "groups of a 3×3 convolution": "1",
    "width of a bottleneck": "as many channels as the stage has filters",
    "anti-aliasing": "none: convolutions and pooling with strides",
    "squeeze and excitation": "none",
    "dropout in the branches": "none",
    "dilation": "none: each stage halves the resolution",
    "head": "global average pooling and a classifier",
    "activation of the classifier": "softmax",
}
EFFECTS = {
    "depth and width": "The paper has no result to compare with.",
    "block": "Its layers do not show what it computes; see its documentation.",
    "weight on the shortcut": "It hinders what passes through all blocks (He et al., 2016, section "
    "3.1).",
    "order in a block": "The paper has no result for this order.",
    "batch normalization": "Momentum changes how fast the statistics for inference follow, ε the "
    "outputs of channels with little variance.",
    "max pooling": "The pooled values may be negative; the first block normalizes and activates "
    "them.",
    "stride of a stage": "In all stages but the last, one block more computes at half the "
    "resolution, for fewer multiply-adds (3.48 instead of 4.09·10⁹ in ResNet-50).",
    "stride of a bottleneck": "The branch sees every position instead of one in four, for some "
    "more multiply-adds (4.09 instead of 3.86·10⁹ in ResNet-50). Weights do not carry over from "
    "one to the other without loss.",
    "activation": "The initialization keeps the variance for ReLU, and weights trained with one "
    "activation do not work with another.",
    "first γ of a branch's last normalization": "Each block begins as its shortcut. Goyal et al., "
    "2017, found that it helps with large batches; the study of lesions shows its effect on the "
    "first steps.",
    "drop path": "In training a branch is left out at random, which regularizes; inference is the "
    "same.",
    "stem width": "The first layers, on the largest maps, have another cost, and the first block "
    "another number of inputs.",
    "groups of a 3×3 convolution": "A group convolves its own channels alone, so that more "
    "channels cost as much. Xie et al., 2017, found 22.2 % top-1 error for ResNeXt-50 (32 groups "
    "of 4 channels), against 23.9 % for ResNet-50.",
    "width of a bottleneck": "The 3×3 convolutions have other weights, and their cost grows with "
    "the square. Zagoruyko & Komodakis, 2016, found 21.9 % top-1 error for a ResNet-50 of twice "
    "that width, less than for a ResNet-152.",
    "anti-aliasing": "Outputs change less when an image is shifted, and the convolutions before "
    "the subsampling compute four times as much. In a ResNet-50, Zhang, 2019, found 76.83 % top-1 "
    "accuracy with blurs and 76.81 % with averages, instead of 76.16 %.",
    "squeeze and excitation": "Each channel is multiplied by a weight that depends on the means of "
    "all channels, for few multiply-adds. With a ratio of 1/16, a ResNet-50 has a tenth more "
    "parameters; Hu et al., 2018, found 23.29 instead of 24.80 % top-1 error.",
    "dropout in the branches": "In training, values before the last convolution of a branch are "
    "left out at random, which regularizes wide networks (Zagoruyko & Komodakis, 2016); inference "
    "is the same.",
    "dilation": "The last feature map is {} times higher and wider, as segmentation needs it, with "
    "the same weights and more multiply-adds.",
    "head": "The model's outputs are features, or what was built upon them.",
    "classes": "The classifier has another number of parameters than the paper's, and its errors "
    "are those of another task.",
    "activation of the classifier": "The outputs are not probabilities: the loss needs "
    "`from_logits=True` or one that fits the activation.",
}
