"""The names of `keras.applications.ResNet50`, `ResNet101` and `ResNet152`.

Its convolutions have biases, and its ε is 1.001e-5. Its bottlenecks carry the stride on the first
1×1 convolution, as in the paper.
"""

from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.family import Family

BLOCK = "conv{paper_stage}_block{block}"

KERAS_APPLICATIONS = Family(
    name="keras_applications",
    layers={
        "stem_conv/conv": "conv1_conv",
        "stem_conv/norm": "conv1_bn",
        "stage{stage}_block{block}/conv{conv}/conv": f"{BLOCK}_{{conv}}_conv",
        "stage{stage}_block{block}/conv{conv}/norm": f"{BLOCK}_{{conv}}_bn",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{BLOCK}_0_conv",
        "stage{stage}_block{block}/projection/conv_norm/norm": f"{BLOCK}_0_bn",
        "predictions": "predictions",
    },
    variables={
        "conv": {"kernel": "kernel"},
        "norm": {
            "gamma": "gamma",
            "beta": "beta",
            "moving_mean": "moving_mean",
            "moving_variance": "moving_variance",
        },
        "predictions": {"kernel": "kernel", "bias": "bias"},
    },
    separator="/",
    torch_layout=False,
    # In an old .h5 file a layer's group holds datasets that repeat its name and end in ":0".
    renames=((r":0$", ""), (r"^(?:.*/)?([^/]+/[^/]+)$", r"\1")),
    conv_bias="bias",
    epsilon=1.001e-5,
    strides_on=("1x1",),
    preprocessing=Preprocessing.imagenet_caffe(),
    published={"stem": "imagenet"},
)
