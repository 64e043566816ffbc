"""The families of checkpoints, and what each calls the arrays of our networks."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import ResNetSpec
from keras_resnets.preprocessing import Preprocessing

# What torch calls the variables of its layers, in every family that comes from it.
VARIABLES = {
    "conv": {"kernel": "weight"},
    "norm": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
    "predictions": {"kernel": "weight", "bias": "bias"},
}
IMAGENET = Preprocessing.imagenet()


class Form(NamedTuple):
    """A row of the page on conversion: a form in which a family's networks are saved."""

    tool: str
    saves: str
    outcome: str = "converted"
    argument: str = ""  # where there is a choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """The names, layouts and options of one kind of checkpoint; each family is one instance.

    A name is made of a layer's and a variable's. The layers' are templates: in them, `{stage}`,
    `{block}` and `{conv}` count from 1, `{stage0}`, `{block0}` and `{conv0}` from 0, and
    `{paper_stage}` from 2, for the paper's conv2_x is the first stage; `{child}` from 4, the first
    stage's place among the children of torchvision's module.
    """

    name: str
    # Our layers' paths to theirs, as templates.
    layers: Mapping[str, str]
    # By the end of our layer's path: our variables' names to theirs, and what stands before them.
    variables: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=lambda: VARIABLES
    )
    separator: str = "."
    # Whether kernels are (out, in, height, width), and a classifier's (out, in).
    torch_layout: bool = True
    # Regular expressions and replacements for a file's names.
    renames: tuple[tuple[str, str], ...] = ()
    # What all names of the layers below the classifier begin with, where a network without one
    # lacks it.
    root: str = ""
    # Variables of normalizations that a file may hold and that we do not need.
    left_out: tuple[str, ...] = ("num_batches_tracked",)
    # Name of the convolutions' biases, if any, which are folded into the moving means.
    conv_bias: str | None = None
    # The normalizations' ε. What it differs from ours goes to the moving variance.
    epsilon: float = 1e-5
    # The options that the family's networks have; the first unless a file tells. "A" pads on both
    # sides.
    shortcuts: tuple[Literal["A", "B"], ...] = ("B",)
    strides_on: tuple[Literal["3x3", "1x1"], ...] = ("3x3", "1x1")
    # The one of them that the library's own modules have, if they have but one.
    module_stride_on: Literal["3x3", "1x1"] | None = None
    # What is assumed where nothing says otherwise, for no array tells it, in a sentence.
    assumption: str = ""
    # The published networks' preprocessing, and the fields of a spec, and the number of classes,
    # that tell them from others under the same names.
    preprocessing: Preprocessing | None = IMAGENET
    published: Mapping[str, Any]
    forms: tuple[Form, ...]

    def canonical(self, name: str) -> str:
        """Returns the family's name for a file's name of an array."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def prefixes(self, names: Collection[str]) -> list[str]:
        """Returns what may stand before all of a network's names, in the names' order."""
        first, kernel = (
            f"{self.layers[layer].format(**count_from_one(stage=1, block=1, conv=1))}"
            f"{self.separator}{self.variables['conv']['kernel']}"
            for layer in ("stem_conv/conv", "stage{stage}_block{block}/conv{conv}/conv")
        )
        if not self.torch_layout:  # whose renames leave no prefix
            return [""] if first in map(self.canonical, names) else []
        found = []
        for name in names:
            for bare in dict.fromkeys((self.root, "")):
                stem, block = (bare + each.removeprefix(self.root) for each in (first, kernel))
                prefix = name.removesuffix(stem)
                is_whole = name.endswith(stem) and prefix[-1:] in ("", ".", "/")
                if is_whole and prefix + block in names:
                    found.append(prefix)
        return list(dict.fromkeys(found))

    def layer_names(self, spec: ResNetSpec, include_top: bool) -> dict[str, str]:
        """Returns the paths of all our layers that have variables, each with their name."""
        names = {}
        for layer in make_plan(spec).layers():
            names[layer.path] = self.layers[layer.layer].format(**count_from_one(**layer.counts))
        return names | ({"predictions": self.layers["predictions"]} if include_top else {})

    def names(self, spec: ResNetSpec, include_top: bool) -> dict[str, str]:
        """Returns the paths of all variables of a network, each with their name: one to one."""
        return {
            f"{ours}/{variable}": f"{theirs}{self.separator}{their_variable}"
            for ours, theirs in self.layer_names(spec, include_top).items()
            for variable, their_variable in self.variables[ours.rpartition("/")[2]].items()
        }

    def known(self, spec: ResNetSpec, include_top: bool) -> set[str]:
        """Returns the names of all that a file of the network may hold, what we do not need too."""
        known = set(self.bias_names(spec).values())
        for ours, theirs in self.layer_names(spec, include_top).items():
            part = ours.rpartition("/")[2]
            left_out = self.left_out if part == "norm" else ()
            names = (*self.variables[part].values(), *left_out)
            known |= {f"{theirs}{self.separator}{name}" for name in names}
        return known

    def bias_names(self, spec: ResNetSpec) -> dict[str, str]:
        """Returns for each moving mean the bias of the convolution before it, if there are any."""
        if self.conv_bias is None:
            return {}
        return {
            f"{ours.removesuffix('conv')}norm/moving_mean": (
                f"{theirs}{self.separator}{self.conv_bias}"
            )
            for ours, theirs in self.layer_names(spec, include_top=False).items()
            if ours.endswith("/conv")
        }

    def check_spec(self, spec: ResNetSpec) -> None:
        """Raises if the family has no such network, so that its weights would compute another."""
        rules: dict[str, tuple] = {"shortcut": self.shortcuts, "activation": ("relu",)}
        if spec.shortcut == "A":
            rules["zero_pad"] = ("both",)
        if spec.block == "bottleneck":
            rules["stride_on"] = self.strides_on
        for field, allowed in rules.items():
            if getattr(spec, field) not in allowed:
                raise ValueError(
                    f"The {self.name} networks have {field}="
                    f"{' or '.join(repr(value) for value in allowed)}. "
                    f"Received: a model with {field}={getattr(spec, field)!r}"
                )


def count_from_one(**counts: int) -> dict[str, int]:
    """Returns what fills in a family's template: the given counts and their other spellings."""
    from_zero = {f"{name}0": count - 1 for name, count in counts.items()}
    stage = counts.get("stage", 0)
    return counts | from_zero | {"paper_stage": stage + 1, "child": stage + 3}


# And of timm, for ResNet-18 to ResNet-152. Its variants of other arrays (`resnet50d`) are refused;
# those that differ in what has none (`resnetblur18`, another `act_layer`) look the same in a file.
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
    module_stride_on="3x3",
    published={"stem": "imagenet"},
    forms=(
        Form("torchvision, timm", "`state_dict()`", argument="`preprocessing`"),
        Form(
            "timm", "a folder, or a repository on the hub", "converted; `config.json` is followed"
        ),
        Form("training scripts", "`state_dict`, `model` and others, beside the optimizer's state"),
        Form("`DataParallel`, `torch.compile`", "`module.`, `_orig_mod.` before each name"),
        Form(
            "torchvision's and timm's trainers",
            "the weights, and their average as `model_ema`, `state_dict_ema`",
            "the trained weights, with a warning",
            '`entry="model_ema"`',
        ),
        Form("`AveragedModel`", "`n_averaged`, and `module.` before each name"),
        Form(
            "Lightning",
            "`model.` before each name, with the states of losses and metrics",
            "converted; the rest is left out, with a warning",
        ),
        Form(
            "MoCo",
            "two encoders and a queue",
            "the features of `encoder_q`, with a warning",
            '`entry="encoder_k"`',
        ),
        Form("DINO", "`student`, `teacher`", "the student's features", '`entry="teacher"`'),
        Form("SimCLR, VISSL", "an encoder below a prefix, and projections", "the features"),
        Form(
            "torchvision's detection and segmentation",
            "`backbone.body.` or `backbone.` before each name",
            "the features; of a dilated network, load a `model` that is built with `output_stride`",
            "`model`",
        ),
        Form("MMDetection, MMSegmentation", "`backbone.`, a neck, heads", "the features"),
        Form("fine-tuning scripts", "`fc.1`, behind a dropout", "the classifier"),
        Form(
            "fine-tuning scripts",
            "`fc.0`, `fc.2`: a head of several layers",
            "the features; the head is left out, with a warning",
        ),
    ),
)

# `torch.nn.Sequential(*module.children())` of it, or of all but the last: fastai's body, and the
# encoder of many implementations of contrastive learning.
SEQUENTIAL = Family(
    name="sequential",
    layers={
        "stem_conv/conv": "0",
        "stem_conv/norm": "1",
        "stage{stage}_block{block}/conv{conv}/conv": "{child}.{block0}.conv{conv}",
        "stage{stage}_block{block}/conv{conv}/norm": "{child}.{block0}.bn{conv}",
        "stage{stage}_block{block}/projection/conv_norm/conv": "{child}.{block0}.downsample.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "{child}.{block0}.downsample.1",
        "predictions": "9",
    },
    published={"stem": "imagenet"},
    forms=(
        Form("fastai", "a body, `0.0.weight`, and a head", "the features, with a warning"),
        Form("BYOL and others", "`Sequential(*module.children())`", "the features"),
    ),
)

# OpenMMLab's MMPretrain and MMClassification.
MMPRETRAIN = Family(
    name="mmpretrain",
    layers={
        ours: f"{'head' if ours == 'predictions' else 'backbone'}.{theirs}"
        for ours, theirs in TORCHVISION.layers.items()
    },
    published={"stem": "imagenet"},
    forms=(Form("MMPretrain", "`backbone.` and `head.fc`"),),
)

# The networks of `pretrainedmodels`, which name the classifier otherwise.
PRETRAINEDMODELS = Family(
    name="pretrainedmodels",
    layers={**TORCHVISION.layers, "predictions": "last_linear"},
    published={"stem": "imagenet"},
    forms=(Form("pretrainedmodels", "`last_linear`"),),
)

# Detectron2's backbones. Those from Microsoft's and Caffe2's networks have the stride on the first
# 1×1 and read BGR; those from torchvision's, RGB and the other, which no array tells.
_RES = "res{paper_stage}.{block0}"
DETECTRON2 = Family(
    name="detectron2",
    layers={
        "stem_conv/conv": "stem.conv1",
        "stem_conv/norm": "stem.conv1.norm",
        "stage{stage}_block{block}/conv{conv}/conv": f"{_RES}.conv{{conv}}",
        "stage{stage}_block{block}/conv{conv}/norm": f"{_RES}.conv{{conv}}.norm",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{_RES}.shortcut",
        "stage{stage}_block{block}/projection/conv_norm/norm": f"{_RES}.shortcut.norm",
        "predictions": "linear",
    },
    strides_on=("1x1", "3x3"),
    assumption=(
        "it is taken for one of Microsoft's networks, with the stride on the 1×1 and BGR images; "
        "for torchvision's, pass stride_on='3x3' and a preprocessing"
    ),
    preprocessing=dataclasses.replace(
        Preprocessing.imagenet_caffe(), mean=(103.53, 116.28, 123.675)
    ),
    published={"stem": "imagenet"},
    forms=(
        Form(
            "Detectron2",
            "`backbone.bottom_up.res2.0.conv1.norm.weight`",
            "the features, with the stride on the 1×1 and BGR, as Microsoft's networks",
            '`stride_on="3x3"`, `preprocessing`',
        ),
    ),
)

_EMBEDDER = "resnet.embedder.embedder"
_STAGE = "resnet.encoder.stages.{stage0}.layers.{block0}"

# `ResNetForImageClassification` and `ResNetModel`. Their configuration's `downsample_in_bottleneck`
# is our `stride_on="1x1"`; the arrays do not tell.
HUGGING_FACE = Family(
    name="hugging_face",
    layers={
        "stem_conv/conv": f"{_EMBEDDER}.convolution",
        "stem_conv/norm": f"{_EMBEDDER}.normalization",
        "stage{stage}_block{block}/conv{conv}/conv": f"{_STAGE}.layer.{{conv0}}.convolution",
        "stage{stage}_block{block}/conv{conv}/norm": f"{_STAGE}.layer.{{conv0}}.normalization",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{_STAGE}.shortcut.convolution",
        "stage{stage}_block{block}/projection/conv_norm/norm": f"{_STAGE}.shortcut.normalization",
        "predictions": "classifier.1",
    },
    root="resnet.",  # which a `ResNetModel` lacks
    renames=((r"^(embedder|encoder)\.", r"resnet.\1."),),
    published={"stem": "imagenet"},
    forms=(
        Form(
            "transformers",
            "`ResNetForImageClassification`, `ResNetModel`: a folder, one file, or several and "
            "their index",
            "converted; `config.json` is followed",
        ),
    ),
)

# `akamaster/pytorch_resnet_cifar10`, and CIFAR repositories written after it. Option A puts zeros
# on both sides; option B has projections under `shortcut`.
AKAMASTER = Family(
    name="akamaster",
    layers={
        **TORCHVISION.layers,
        "stage{stage}_block{block}/projection/conv_norm/conv": "layer{stage}.{block0}.shortcut.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "layer{stage}.{block0}.shortcut.1",
        "predictions": "linear",
    },
    shortcuts=("A", "B"),
    strides_on=("3x3",),
    # It normalizes CIFAR with ImageNet's statistics. Its namesakes, such as kuangliu's ResNet-18 of
    # 64 to 512 channels, take others.
    preprocessing=Preprocessing.imagenet(resize=32, crop=32),
    published={"stem": "cifar", "shortcut": "A", "widths": (16, 32, 64), "classes": 10},
    forms=(Form("`akamaster/pytorch_resnet_cifar10` and others", "`linear`, and option A or B"),),
)

# The same with torchvision's name for the classifier.
AKAMASTER_FC = dataclasses.replace(
    AKAMASTER,
    name="akamaster_fc",
    layers={**AKAMASTER.layers, "predictions": "fc"},
    preprocessing=None,  # of many repositories
    published={},
    assumption="without projections, option A is taken to pad zero channels on both sides",
    forms=(Form("other CIFAR repositories", "`shortcut.0`, or option A, and `fc`"),),
)

_BLOCK = "conv{paper_stage}_block{block}"

# `ResNet50`, `ResNet101` and `ResNet152`: convolutions with biases, and the paper's stride on the
# first 1×1.
KERAS_APPLICATIONS = Family(
    name="keras_applications",
    layers={
        "stem_conv/conv": "conv1_conv",
        "stem_conv/norm": "conv1_bn",
        "stage{stage}_block{block}/conv{conv}/conv": f"{_BLOCK}_{{conv}}_conv",
        "stage{stage}_block{block}/conv{conv}/norm": f"{_BLOCK}_{{conv}}_bn",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{_BLOCK}_0_conv",
        "stage{stage}_block{block}/projection/conv_norm/norm": f"{_BLOCK}_0_bn",
        "predictions": "predictions",
    },
    variables={part: {name: name for name in names} for part, names in VARIABLES.items()},  # ours
    separator="/",
    torch_layout=False,
    # In an old .h5 file a layer's group holds datasets that repeat its name and end in ":0".
    renames=((r":0$", ""), (r"^(?:.*/)?([^/]+/[^/]+)$", r"\1")),
    left_out=(),
    conv_bias="bias",
    epsilon=1.001e-5,
    strides_on=("1x1",),
    preprocessing=Preprocessing.imagenet_caffe(),
    published={"stem": "imagenet"},
    forms=(
        Form(
            "`keras.applications`",
            "`ResNet50`, `101`, `152`: a model, or its `.keras`, `.h5` or `.weights.h5` file",
        ),
    ),
)

FAMILIES = (
    *(TORCHVISION, HUGGING_FACE, AKAMASTER, AKAMASTER_FC, KERAS_APPLICATIONS),
    *(SEQUENTIAL, MMPRETRAIN, PRETRAINEDMODELS, DETECTRON2),
)
