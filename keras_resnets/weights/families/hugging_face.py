"""The names of Hugging Face's `ResNetForImageClassification` and `ResNetModel`.

Its configuration's `downsample_in_bottleneck` is our `stride_on="1x1"`; the arrays do not tell.
"""

from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.families.torch_variables import LEFT_OUT, VARIABLES, WRAPPERS
from keras_resnets.weights.family import Family

STEM = "resnet.embedder.embedder"
BLOCK = "resnet.encoder.stages.{stage0}.layers.{block0}"

HUGGING_FACE = Family(
    name="hugging_face",
    layers={
        "stem_conv/conv": f"{STEM}.convolution",
        "stem_conv/norm": f"{STEM}.normalization",
        "stage{stage}_block{block}/conv{conv}/conv": f"{BLOCK}.layer.{{conv0}}.convolution",
        "stage{stage}_block{block}/conv{conv}/norm": f"{BLOCK}.layer.{{conv0}}.normalization",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{BLOCK}.shortcut.convolution",
        "stage{stage}_block{block}/projection/conv_norm/norm": f"{BLOCK}.shortcut.normalization",
        "predictions": "classifier.1",
    },
    variables=VARIABLES,
    separator=".",
    torch_layout=True,
    # A `ResNetModel`, which has no classifier, has no prefix either.
    renames=(*WRAPPERS, (r"^(embedder|encoder)\.", r"resnet.\1.")),
    left_out=LEFT_OUT,
    preprocessing=Preprocessing.imagenet(),
    published={"stem": "imagenet"},
)
