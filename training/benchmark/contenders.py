"""Who is measured against whom, and with which setting."""

import dataclasses
import importlib.util
from typing import Any, Literal

# The trainer's own setting, and what a user gets who sets nothing: where the processor has no
# AVX512-VNNI, TensorFlow then leaves oneDNN off.
ONEDNN: dict[str, str | None] = {"TF_ENABLE_ONEDNN_OPTS": "1"}
UNSET: dict[str, str | None] = {"TF_ENABLE_ONEDNN_OPTS": None}
# OpenMP's threads else spin while they wait, and on a busy machine keep the others from computing.
WAITING: dict[str, str | None] = {"OMP_WAIT_POLICY": "passive"}
# Networks that timm has too: its names of them.
TIMM_NAMES = {
    name: name
    for name in (
        *("resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152", "resnet200"),
        *("resnet18d", "resnet26d", "resnet34d", "resnet50d", "resnet101d", "resnet152d"),
        *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
        *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152"),
        *("resnetrs50", "resnetrs101", "resnetrs152", "resnetrs200"),
    )
} | {
    **{f"resnet{depth}v2": f"resnetv2_{depth}" for depth in (50, 101, 152)},
    **{f"wideresnet{depth}_2": f"wide_resnet{depth}_2" for depth in (50, 101)},
}
# How often each kind is done in a turn, for each training step asked for.
TIMES_A_STEP = {"step": 1, "input": 8, "product": 4}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a contender is measured with."""

    model: str  # a name that `keras_resnets.list_models` gives
    batch: int  # images a step
    image_size: int  # height and width in pixels
    classes: int
    precision: str = "float32"  # or "bfloat16", with float32 weights
    photos: str = ""  # a folder with JPEG files, or the empty string
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the contender's job

    @property
    def policy(self) -> Literal["float32", "mixed_bfloat16"]:
        """Keras's name of the precision."""
        return "float32" if self.precision == "float32" else "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class Contender:
    """Something to measure.

    Its kind is `"step"` for training steps, `"input"` for batches of images, or `"product"` for the
    machine's rate.
    """

    name: str  # on the command line
    title: str
    kind: str
    job: str  # "module:function" that makes its `Job`
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the job
    backend: str = "tensorflow"  # of Keras in its process
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)  # None removes
    module: str = ""  # that must be installed
    models: tuple[str, ...] = ()  # that it has; empty for all
    precisions: tuple[str, ...] = ()  # to measure it in; empty for those that are asked for

    def why_absent(self, model: str, photos: str) -> str:
        """Says why it cannot be measured here; the empty string if it can."""
        if self.models and model not in self.models:
            return f"there is none for {model}"
        if self.options.get("images") == "photos" and not photos:
            return "needs --photos DIR, a folder with JPEG files"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        return ""


def _keras(name, title, backend="tensorflow", models=(), **options):
    job = "training.benchmark.steps:keras_step"
    return Contender(name, title, "step", job, options, backend, UNSET, models=models)


def _torch(name, title, models=()):
    job, options = "training.benchmark.torch_step:make_job", {"network": name}
    return Contender(name, title, "step", job, options, "torch", WAITING, name, models)


def _input(name, title, **options):
    images, pipeline, *_ = name.split("-")
    options = {"images": images, "pipeline": pipeline} | options
    job = "training.benchmark.input_pipeline:make_job"
    return Contender(name, title, "input", job, options, environment=ONEDNN, precisions=FLOAT32)


FLOAT32 = ("float32",)
OURS = {
    "tensorflow": Contender(
        "ours", "this trainer", "step", "training.benchmark.steps:trainer_step", environment=ONEDNN
    ),
    "jax": Contender(
        "ours",
        "the zoo on JAX, one compiled function",
        "step",
        "training.benchmark.steps:jax_step",
        backend="jax",
    ),
    "torch": _keras("ours", "the zoo on Keras's torch backend", "torch"),
}
TORCH = (
    _torch("torch", "the same network in PyTorch, channels last"),
    _torch("timm", "timm's network, channels last", tuple(TIMM_NAMES)),
)
KERAS = (
    _keras("keras", "the same network, compiled and trained by Keras's defaults"),
    _keras("keras-norm", "the same with Keras's own batch normalization", own_norm=True),
    _keras("keras-xla", "the same network by Keras with jit_compile=True", jit_compile=True),
    _keras(
        "applications",
        "keras.applications.ResNet50 by Keras's defaults",
        models=("resnet50",),
        network="applications",
    ),
)
INPUT = (
    _input("photos-ours", "JPEG files by this trainer (imagenet_goyal)"),
    _input("photos-plain", "JPEG files by a plain tf.data pipeline"),
    _input("photos-decode", "JPEG files, decoding the crop and no more"),
    _input(
        "photos-decode-fast",
        "JPEG files, decoding the crop with the fast transform",
        dct="INTEGER_FAST",
    ),
    _input("memory-ours", "32×32 from memory by this trainer (cifar10_fast)"),
    _input("memory-plain", "32×32 from memory by a plain tf.data pipeline"),
)


def contenders_for(backend: str) -> tuple[Contender, ...]:
    """Returns all contenders on a backend; of each kind, ours comes first."""
    product = Contender(
        "product",
        "a product of square matrices",
        "product",
        "training.benchmark.steps:product",
        backend=backend,
        environment=ONEDNN,
        precisions=("float32", "bfloat16"),
    )
    if backend != "tensorflow":
        return (OURS[backend], *TORCH, product)
    return (OURS[backend], *KERAS, *TORCH, product, *INPUT)
