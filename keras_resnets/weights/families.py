"""The families of checkpoints, and what each calls the arrays of our networks."""

import dataclasses
import itertools
import re
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

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
    "gate": {"kernel": "weight", "bias": "bias"},
    "biased": {"kernel": "weight", "bias": "bias"},
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
    `{paper_stage}` and `{next_conv}` from 2, for the paper's conv2_x is the first stage; `{child}`
    from 4, the first stage's place among the children of torchvision's module.
    """

    name: str
    # Our layers' paths to theirs, as templates.
    layers: Mapping[str, str]
    # What some are called where a field of the spec has a value: the stems and shortcuts that the
    # family has beside the usual ones.
    layers_with: Mapping[tuple[str, str], Mapping[str, str]] = dataclasses.field(
        default_factory=dict
    )
    # By the kind of a layer: our variables' names to theirs, and what stands before them.
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
    # Whether a classifier's kernel is that of a 1×1 convolution.
    classifies_by_convolution: bool = False
    # Name of the convolutions' biases, if any, which are folded into the moving means.
    conv_bias: str | None = None
    # The normalizations' ε. What it differs from ours goes to the moving variance.
    epsilon: float = 1e-5
    # Whether the branches begin with a normalization; "keras" as those of keras.applications do.
    pre_activation: Literal[False, True, "keras"] = False
    # Whether it has grouped convolutions, and bottlenecks of any width.
    has_groups: bool = True
    # What subsamples, of which no array tells.
    anti_alias: tuple[Literal["blur", "average"] | None, ...] = (None,)
    # The options that the family's networks have; the first unless a file tells. "A" pads on both
    # sides.
    shortcuts: tuple[Literal["A", "B"], ...] = ("B",)
    strides_on: tuple[Literal["3x3", "1x1"], ...] = ("3x3", "1x1")
    # The one of them that the library's own modules have, if they have but one.
    module_stride_on: Literal["3x3", "1x1"] | None = None
    # What is assumed where nothing says otherwise, for no array tells it, in a sentence.
    assumption: str = ""
    # The published networks' preprocessing, and the fields of a spec, and the number of classes,
    # with the values that tell them from others under the same names.
    preprocessing: Preprocessing | None = IMAGENET
    published: Mapping[str, tuple]
    forms: tuple[Form, ...]

    def canonical(self, name: str) -> str:
        """Returns the family's name for a file's name of an array."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        return name

    def prefixes(self, names: Collection[str]) -> list[str]:
        """Returns what may stand before all of a network's names, in the names' order."""
        stems, blocks = (
            [
                f"{layers[layer].format(**count_from_one(stage=1, block=1, conv=1))}"
                f"{self.separator}{self.variables['conv']['kernel']}"
                for layers in (self.layers, *self.layers_with.values())
                if layer in layers
            ]
            for layer in ("stem_conv/conv", "stage{stage}_block{block}/conv{conv}/conv")
        )
        if not self.torch_layout:  # whose renames leave no prefix
            return [""] if stems[0] in map(self.canonical, names) else []
        found = []
        for name in names:
            for first, bare in itertools.product(dict.fromkeys(stems), {self.root: 0, "": 0}):
                stem, block = (bare + each.removeprefix(self.root) for each in (first, blocks[0]))
                prefix = name.removesuffix(stem)
                is_whole = name.endswith(stem) and prefix[-1:] in ("", ".", "/")
                if is_whole and prefix + block in names:
                    found.append(prefix)
        return list(dict.fromkeys(found))

    def templates(self, spec: ResNetSpec) -> dict[str, str]:
        """Returns what the layers of such a network are called, as templates."""
        return dict(self.layers) | {
            ours: theirs
            for (field, value), layers in self.layers_with.items()
            if getattr(spec, field) == value
            for ours, theirs in layers.items()
        }

    def layer_names(self, spec: ResNetSpec, include_top: bool) -> list[tuple[str, str, str]]:
        """Returns the path and the kind of all our layers that have variables, and their name."""
        templates = self.templates(spec)
        names = []
        for layer in make_plan(spec).layers():
            theirs = templates[layer.layer].format(**count_from_one(**layer.counts))
            names.append((layer.path, layer.kind, theirs))
        head = ("predictions", "predictions", templates["predictions"])
        return [*names, head] if include_top else names

    def names(self, spec: ResNetSpec, include_top: bool) -> dict[str, str]:
        """Returns the paths of all variables of a network, each with their name: one to one."""
        return {
            f"{ours}/{variable}": f"{theirs}{self.separator}{their_variable}"
            for ours, kind, theirs in self.layer_names(spec, include_top)
            for variable, their_variable in self.variables[kind].items()
        }

    def known(self, spec: ResNetSpec, include_top: bool) -> set[str]:
        """Returns the names of all that a file of the network may hold, what we do not need too."""
        known = {name for names in self.bias_names(spec).values() for name in names}
        for _, kind, theirs in self.layer_names(spec, include_top):
            left_out = self.left_out if kind == "norm" else ()
            names = (*self.variables[kind].values(), *left_out)
            known |= {f"{theirs}{self.separator}{name}" for name in names}
        return known

    def bias_names(self, spec: ResNetSpec) -> dict[str, tuple[str, ...]]:
        """Returns for each moving mean the biases that what it is the mean of contains, if any."""
        if self.conv_bias is None:
            return {}
        biases = {
            ours: f"{theirs}{self.separator}{self.conv_bias}"
            for ours, kind, theirs in self.layer_names(spec, include_top=False)
            if kind == "conv"
        }
        if not self.pre_activation:
            return {
                f"{ours.removesuffix('conv')}norm/moving_mean": (name,)
                for ours, name in biases.items()
            }
        # Each block adds the bias of its last convolution to the sum; a projection begins anew.
        means: dict[str, tuple[str, ...]] = {}
        of_sum: tuple[str, ...] = ()
        for block in make_plan(spec).blocks():
            means[f"{block.name}/start_norm/moving_mean"] = of_sum
            if block.projection:
                of_sum = (biases[block.projection[0].path],)
            last = [layer for layer in block.branch if layer.kind == "conv"][-1]
            of_sum = (*of_sum, biases[last.path])
        return means | {"post_norm/moving_mean": of_sum}

    def check_spec(self, spec: ResNetSpec) -> None:
        """Raises if the family has no such network, so that its weights would compute another."""
        others: dict[str, list[str]] = {"stem": ["imagenet", "cifar"], "shortcut": []}
        for field, value in self.layers_with:
            others[field].append(value)
        rules: dict[str, Collection] = {
            "stem": others["stem"],
            "shortcut": (*self.shortcuts, *others["shortcut"]),
            "activation": ("relu",),
            "anti_alias": self.anti_alias,
            "pre_activation": (self.pre_activation,),
        }
        if spec.shortcut == "A":
            rules["zero_pad"] = ("both",)
        if spec.block == "bottleneck":
            rules["stride_on"] = self.strides_on
        if GATE not in self.layers:
            rules["se_ratio"] = (None,)
        if not self.has_groups:
            rules |= {"groups": (1,), "width_per_group": (64,)}
        if self.layers_with.get(("shortcut", "D")) == {}:  # whose names are those of option B
            rules["shortcut"] = ("D",) if spec.stem == "deep" else self.shortcuts
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
    stage, conv = counts.get("stage", 0), counts.get("conv", 0)
    places = {"paper_stage": stage + 1, "child": stage + 3, "next_conv": conv + 1}
    return counts | from_zero | places


GATE = "stage{stage}_block{block}/excitation/reduce"
_DEEP_STEM = {
    "stem_conv/conv": "conv1.0",
    "stem_conv/norm": "conv1.1",
    "stem_conv2/conv": "conv1.3",
    "stem_conv2/norm": "conv1.4",
    "stem_conv3/conv": "conv1.6",
    "stem_conv3/norm": "bn1",
}

# And of timm, with its deep stems, averaging shortcuts, and squeeze and excitation. Networks that
# differ in what has no arrays (`resnetblur18`, another `act_layer`) look the same in a file.
TORCHVISION = Family(
    name="torchvision",
    layers={
        "stem_conv/conv": "conv1",
        "stem_conv/norm": "bn1",
        "stage{stage}_block{block}/conv{conv}/conv": "layer{stage}.{block0}.conv{conv}",
        "stage{stage}_block{block}/conv{conv}/norm": "layer{stage}.{block0}.bn{conv}",
        "stage{stage}_block{block}/projection/conv_norm/conv": "layer{stage}.{block0}.downsample.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "layer{stage}.{block0}.downsample.1",
        GATE: "layer{stage}.{block0}.se.fc1",
        "stage{stage}_block{block}/excitation/expand": "layer{stage}.{block0}.se.fc2",
        "predictions": "fc",
    },
    layers_with={
        ("stem", "deep"): _DEEP_STEM,
        ("stem", "deep_strided"): {
            **_DEEP_STEM,
            "stem_conv4/conv": "maxpool.0",
            "stem_conv4/norm": "maxpool.1",
        },
        ("shortcut", "D"): {
            f"stage{{stage}}_block{{block}}/projection/conv_norm/{part}": (
                f"layer{{stage}}.{{block0}}.downsample.{place}"
            )
            for part, place in (("conv", 1), ("norm", 2))
        },
    },
    anti_alias=(None, "blur", "average"),
    module_stride_on="3x3",
    published={
        "stem": ("imagenet",),
        "shortcut": ("B",),
        "se_ratio": (None,),
        "anti_alias": (None,),
    },
    forms=(
        Form(
            "torchvision, timm",
            "`state_dict()` of a ResNet, ResNeXt, wide, -D, SE or RS network",
            argument="`preprocessing`",
        ),
        Form(
            "timm",
            "`resnetblur50`, `resnetaa50`, whose arrays are those of `resnet50`",
            "converted, by `config.json`, an entry `arch` or the file's name, with a warning",
            "`model`",
        ),
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
    published={"stem": ("imagenet",)},
    forms=(
        Form("fastai", "a body, `0.0.weight`, and a head", "the features, with a warning"),
        Form("BYOL and others", "`Sequential(*module.children())`", "the features"),
    ),
)

_WITHOUT_GATES = {
    ours: theirs for ours, theirs in TORCHVISION.layers.items() if "/excitation/" not in ours
}
_UNIT = "stages.{stage0}.blocks.{block0}"

# timm's `resnetv2_50` and others: pre-activation.
TIMM_V2 = Family(
    name="timm_v2",
    layers={
        "stem_conv/conv": "stem.conv",
        "stage{stage}_block{block}/start_norm": f"{_UNIT}.norm1",
        "stage{stage}_block{block}/conv{conv}/conv": f"{_UNIT}.conv{{conv}}",
        "stage{stage}_block{block}/conv{conv}/norm": f"{_UNIT}.norm{{next_conv}}",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{_UNIT}.downsample.conv",
        "post_norm": "norm",
        "predictions": "head.fc",
    },
    layers_with={
        ("stem", "deep"): {
            "stem_conv/conv": "stem.conv1",
            "stem_conv/norm": "stem.norm1",
            "stem_conv2/conv": "stem.conv2",
            "stem_conv2/norm": "stem.norm2",
            "stem_conv3/conv": "stem.conv3",
        },
        # It pools without arrays, so that the names are the same; it goes with the deep stem.
        ("shortcut", "D"): {},
    },
    classifies_by_convolution=True,
    pre_activation=True,
    module_stride_on="3x3",
    preprocessing=Preprocessing(
        resize=235, crop=224, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3
    ),
    published={"stem": ("imagenet", "deep")},
    forms=(Form("timm", "`resnetv2_50`, `resnetv2_50d` and others"),),
)

# OpenMMLab's MMPretrain and MMClassification.
MMPRETRAIN = Family(
    name="mmpretrain",
    layers={
        ours: f"{'head' if ours == 'predictions' else 'backbone'}.{theirs}"
        for ours, theirs in _WITHOUT_GATES.items()
    },
    published={"stem": ("imagenet",)},
    forms=(Form("MMPretrain", "`backbone.` and `head.fc`"),),
)

# The networks of `pretrainedmodels`, which name the classifier otherwise.
PRETRAINEDMODELS = Family(
    name="pretrainedmodels",
    layers={**TORCHVISION.layers, "predictions": "last_linear"},
    published={"stem": ("imagenet",)},
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
    published={"stem": ("imagenet",)},
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
    has_groups=False,
    root="resnet.",  # which a `ResNetModel` lacks
    renames=((r"^(embedder|encoder)\.", r"resnet.\1."),),
    published={"stem": ("imagenet",)},
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
        **_WITHOUT_GATES,
        "stage{stage}_block{block}/projection/conv_norm/conv": "layer{stage}.{block0}.shortcut.0",
        "stage{stage}_block{block}/projection/conv_norm/norm": "layer{stage}.{block0}.shortcut.1",
        "predictions": "linear",
    },
    has_groups=False,
    shortcuts=("A", "B"),
    strides_on=("3x3",),
    # It normalizes CIFAR with ImageNet's statistics. Its namesakes, such as kuangliu's ResNet-18 of
    # 64 to 512 channels, take others.
    preprocessing=Preprocessing.imagenet(resize=32, crop=32),
    published={
        "stem": ("cifar",),
        "shortcut": ("A",),
        "widths": ((16, 32, 64),),
        "classes": (10,),
    },
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
    has_groups=False,
    conv_bias="bias",
    epsilon=1.001e-5,
    strides_on=("1x1",),
    preprocessing=Preprocessing.imagenet_caffe(),
    published={"stem": ("imagenet",)},
    forms=(
        Form(
            "`keras.applications`",
            "`ResNet50`, `101`, `152`: a model, or its `.keras`, `.h5` or `.weights.h5` file",
        ),
    ),
)

# `ResNet50V2`, `ResNet101V2` and `ResNet152V2`: some convolutions have biases.
KERAS_APPLICATIONS_V2 = dataclasses.replace(
    KERAS_APPLICATIONS,
    name="keras_applications_v2",
    layers={
        "stem_conv/conv": "conv1_conv",
        "stage{stage}_block{block}/start_norm": f"{_BLOCK}_preact_bn",
        "stage{stage}_block{block}/conv{conv}/conv": f"{_BLOCK}_{{conv}}_conv",
        "stage{stage}_block{block}/conv{conv}/norm": f"{_BLOCK}_{{conv}}_bn",
        "stage{stage}_block{block}/projection/conv_norm/conv": f"{_BLOCK}_0_conv",
        "post_norm": "post_bn",
        "predictions": "predictions",
    },
    pre_activation="keras",
    strides_on=("3x3",),
    preprocessing=Preprocessing(resize=256, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3),
    forms=(Form("`keras.applications`", "`ResNet50V2`, `101V2`, `152V2`"),),
)

FAMILIES = (
    *(TORCHVISION, TIMM_V2, HUGGING_FACE, AKAMASTER, AKAMASTER_FC),
    *(KERAS_APPLICATIONS, KERAS_APPLICATIONS_V2),
    *(SEQUENTIAL, MMPRETRAIN, PRETRAINEDMODELS, DETECTRON2),
)
