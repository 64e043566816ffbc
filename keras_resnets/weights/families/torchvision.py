"""The names of torchvision and of timm, for ResNet-18 to ResNet-152.

timm's `resnet18` to `resnet152` have torchvision's names and arithmetic. Variants of other arrays
(`resnet50d`, `seresnet50`) are refused; those that differ in what has none (blurred or averaged
strides as in `resnetblur18` and `resnetaa50`, another `act_layer`) look the same in a file.
"""

from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.families.torch_variables import LEFT_OUT, VARIABLES, WRAPPERS
from keras_resnets.weights.family import Family

TORCHVISION = Family(
    name="torchvision",
    layers={
        "stem_conv/conv": "conv1",
        "stem_conv/norm": "bn1",
        "stage{stage}_block{block}/conv{conv}/conv": "layer{stage}.{block0}.conv{conv}",
        "stage{stage}_block{block}/conv{conv}/norm": "layer{stage}.{block0}.bn{conv}",
        "stage{stage}_block{block}/projection/conv_norm/conv": "layer{stage}.{block0}.downsample.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "layer{stage}.{block0}.downsample.1",
        "predictions": "fc",
    },
    variables=VARIABLES,
    separator=".",
    torch_layout=True,
    renames=WRAPPERS,
    left_out=LEFT_OUT,
    preprocessing=Preprocessing.imagenet(),
    published={"stem": "imagenet"},
)
