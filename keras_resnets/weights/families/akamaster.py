"""The names of `akamaster/pytorch_resnet_cifar10`, and of CIFAR repositories written after it.

Its option A puts the zero channels on both sides; its option B has projections under `shortcut`.
"""

from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.families.torch_variables import LEFT_OUT, VARIABLES, WRAPPERS
from keras_resnets.weights.family import Family

AKAMASTER = Family(
    name="akamaster",
    layers={
        "stem_conv/conv": "conv1",
        "stem_conv/norm": "bn1",
        "stage{stage}_block{block}/conv{conv}/conv": "layer{stage}.{block0}.conv{conv}",
        "stage{stage}_block{block}/conv{conv}/norm": "layer{stage}.{block0}.bn{conv}",
        "stage{stage}_block{block}/projection/conv_norm/conv": "layer{stage}.{block0}.shortcut.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "layer{stage}.{block0}.shortcut.1",
        "predictions": "linear",
    },
    variables=VARIABLES,
    separator=".",
    torch_layout=True,
    renames=WRAPPERS,
    left_out=LEFT_OUT,
    shortcuts=("A", "B"),
    strides_on=("3x3",),
    # It normalizes CIFAR with ImageNet's statistics. Its namesakes, such as kuangliu's ResNet-18 of
    # 64 to 512 channels, take others.
    preprocessing=Preprocessing.imagenet(resize=32, crop=32),
    published={"stem": "cifar", "shortcut": "A", "widths": (16, 32, 64), "classes": 10},
)
