"""Who is measured against whom."""

import dataclasses
import importlib.util
from typing import Any

# Read by a backend when it is imported, so each contender has a process with its own.
COMMON_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Else the first process would take a GPU's whole memory from the others.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
TIMM_MODELS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


@dataclasses.dataclass(frozen=True)
class Contender:
    """Something to measure.

    Attributes:
        name: What it is called on the command line.
        title: What it is.
        kind: `"step"` for training steps, `"input"` for batches of images, `"product"` for the
            machine's rate.
        job: A module of this package with a function `make_job`.
        backend: Keras's backend in its process.
        options: The job's.
        environment: Variables of its process; `None` takes one away.
        module: A module that must be installed; the empty string for none.
        models: The models that it has; empty for all.
        needs_photos: Whether it reads photographs.
        precisions: Those that it is measured in; empty for those that are asked for.
    """

    name: str
    title: str
    kind: str
    job: str
    backend: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)
    module: str = ""
    models: tuple[str, ...] = ()
    needs_photos: bool = False
    precisions: tuple[str, ...] = ()

    def why_absent(self, model: str, photos: str) -> str:
        """Says why it cannot be measured here; the empty string if it can."""
        if self.models and model not in self.models:
            return f"there is none for {model}"
        if self.needs_photos and not photos:
            return "needs --photos DIR, a folder with JPEG files"
        if self.module and importlib.util.find_spec(self.module) is None:
            return f"{self.module} is not installed"
        return ""


# The trainer's own setting, and what a user gets who sets nothing: where the processor has no
# AVX512-VNNI, TensorFlow then leaves oneDNN off.
_ONEDNN: dict[str, str | None] = {"TF_ENABLE_ONEDNN_OPTS": "1"}
_UNSET: dict[str, str | None] = {"TF_ENABLE_ONEDNN_OPTS": None}


def _keras(name, title, backend="tensorflow", models=(), **options):
    options = {"network": "zoo", "own_norm": False, "jit_compile": "auto"} | options
    return Contender(name, title, "step", "keras_step", backend, options, _UNSET, models=models)


# OpenMP's threads else spin while they wait, and on a busy machine keep the others from computing.
_WAITING: dict[str, str | None] = {"OMP_WAIT_POLICY": "passive"}


def _torch(name, title, module, network, models=()):
    return Contender(
        name,
        title,
        "step",
        "torch_step",
        "torch",
        {"network": network},
        _WAITING,
        module=module,
        models=models,
    )


def _input(name, title, images, pipeline, **options):
    return Contender(
        name,
        title,
        "input",
        "input_pipeline",
        "tensorflow",
        {"images": images, "pipeline": pipeline, **options},
        _ONEDNN,
        needs_photos=images == "photos",
        precisions=("float32",),
    )


_OURS = {
    "tensorflow": Contender(
        "ours", "this trainer", "step", "trainer_step", "tensorflow", environment=_ONEDNN
    ),
    "jax": Contender("ours", "the zoo on JAX, one compiled function", "step", "jax_step", "jax"),
    "torch": _keras("ours", "the zoo on Keras's torch backend", backend="torch"),
}
_KERAS = (
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
_TORCH = (
    _torch("torch", "the same network in PyTorch, channels last", "torch", "twin"),
    _torch("timm", "timm's network, channels last", "timm", "timm", TIMM_MODELS),
)
_INPUT = (
    _input("photos-ours", "JPEG files by this trainer (imagenet_goyal)", "photos", "trainer"),
    _input("photos-plain", "JPEG files by a plain tf.data pipeline", "photos", "plain"),
    _input("photos-decode", "JPEG files, decoding the crop and no more", "photos", "decode"),
    _input(
        "photos-decode-fast",
        "JPEG files, decoding the crop with the fast transform",
        "photos",
        "decode",
        dct="INTEGER_FAST",
    ),
    _input("memory-ours", "32×32 from memory by this trainer (cifar10_fast)", "memory", "trainer"),
    _input("memory-plain", "32×32 from memory by a plain tf.data pipeline", "memory", "plain"),
)
BACKENDS = tuple(_OURS)


def contenders_for(backend: str) -> tuple[Contender, ...]:
    """Returns all contenders on a backend; of each kind, ours comes first."""
    product = Contender(
        "product",
        "a product of square matrices",
        "product",
        "matmul",
        backend,
        environment=_ONEDNN,
        precisions=("float32", "bfloat16"),
    )
    theirs = (*_KERAS, *_TORCH) if backend == "tensorflow" else _TORCH
    inputs = _INPUT if backend == "tensorflow" else ()
    return (_OURS[backend], *theirs, product, *inputs)
