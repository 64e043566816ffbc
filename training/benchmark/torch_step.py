"""A training step in PyTorch as it should be written: channels last, and autocast for bfloat16."""

import contextlib
import importlib
import sys
import types
from typing import Any

import torch
from torch import nn

from keras_resnets import ResNetSpec
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import DEFAULTS, OPTIONS, VARIANTS
from training.benchmark.contenders import TIMM_NAMES, Setting
from training.benchmark.steps import random_examples
from training.benchmark.worker import Job, process_peak_bytes


def make_job(setting: Setting) -> Job:
    """Returns training steps of the zoo's twin in PyTorch, or of timm's own network.

    Options: `network`, `"torch"` or `"timm"`.
    """
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    versions = {"torch": torch.__version__}
    if setting.options["network"] == "timm":
        timm = import_timm()
        model = timm.create_model(TIMM_NAMES[setting.model], num_classes=setting.classes)
        versions["timm"] = timm.__version__
    else:
        model = TorchResNet(VARIANTS[setting.model], setting.classes)
    images, labels = random_examples(setting)
    images = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    labels = torch.from_numpy(labels).to(device).long()
    macs = count_macs(model, images[:1].cpu())
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    compute_loss = nn.CrossEntropyLoss()
    is_mixed = setting.precision == "bfloat16"

    def take(steps):
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with (
                torch.autocast(device.type, torch.bfloat16)
                if is_mixed
                else contextlib.nullcontext()
            ):
                loss = compute_loss(model(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()  # waits

    facts = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "macs": macs,
        "images": setting.batch,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "versions": versions,
    }
    is_cuda = device.type == "cuda"
    peak_bytes = torch.cuda.max_memory_allocated if is_cuda else process_peak_bytes
    return Job(take, facts, peak_bytes=peak_bytes)


def import_timm() -> Any:
    """Imports timm, even if torchvision's operators, which no ResNet uses, fit another torch."""
    with contextlib.suppress(RuntimeError):
        return importlib.import_module("timm")
    for name in [name for name in sys.modules if name.startswith(("timm", "torchvision"))]:
        del sys.modules[name]
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("_meta_registrations")
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    timm: Any = importlib.import_module("timm")
    timm.torchvision_operators = library  # the definition lasts as long as this
    return timm


def count_macs(model: nn.Module, image: torch.Tensor) -> int:
    """Counts the multiply-adds of a model's convolutions and linear layers for one image."""
    macs = 0

    def count(layer, inputs, output):
        nonlocal macs
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        macs += layer.weight.numel() * positions

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        model.eval()(image)
    for hook in hooks:
        hook.remove()
    return macs


# Options of a spec that the twin has: any other must be at its default.
SUPPORTED = {
    *("stem", "stem_width", "shortcut", "zero_pad", "stride_on", "groups", "width_per_group"),
    *("pre_activation", "anti_alias", "se_ratio"),
}


class TorchResNet(nn.Module):
    """A residual or plain network from images to logits, with the layers of the zoo's plan."""

    def __init__(self, spec: ResNetSpec, classes: int):
        super().__init__()
        found = {name: getattr(spec, name) for name in OPTIONS.keys() - SUPPORTED}
        found = {name: value for name, value in found.items() if value != DEFAULTS[name]}
        if spec.pre_activation == "keras":
            found["pre_activation"] = "keras"
        if found:
            raise ValueError(
                "The PyTorch twin does not support these options. "
                f"Received: {', '.join(f'{name}={value!r}' for name, value in found.items())}"
            )
        plan = make_plan(spec)
        layers = _in_turn(plan.stem)
        if plan.pool_stride > 1:
            if spec.anti_alias != "average":
                layers.append(
                    nn.MaxPool2d(3, 1 if spec.anti_alias else plan.pool_stride, padding=1)
                )
            if spec.anti_alias:
                layers.append(_subsampling(plan.pool_stride, spec.anti_alias))
        layers += [_Block(block) for block in plan.blocks()]
        self.features = nn.Sequential(*layers, *_in_turn(plan.end))
        self.classifier = nn.Linear(plan.features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


def _in_turn(layers, anti_alias=None):
    """Returns convolutions and normalizations, each of which an activation follows."""
    found: list[nn.Module] = []
    late_stride = 1
    for layer in layers:
        if layer.kind == "norm":
            found += [nn.BatchNorm2d(layer.outputs), nn.ReLU(inplace=True)]
            if late_stride > 1:
                found.append(_subsampling(late_stride, anti_alias))
                late_stride = 1
        else:
            late_stride = layer.strides if anti_alias else 1
            found.append(_convolution(layer, layer.strides // late_stride))
    return found


def _convolution(layer, strides=1):
    size = layer.kernel_size
    options = {"groups": layer.groups, "bias": layer.kind == "gate", "padding": size // 2}
    return nn.Conv2d(layer.inputs or 3, layer.outputs, size, strides, **options)


def _subsampling(stride, kind):
    if kind == "blur":
        return _Blur(stride)
    return nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)


class _Blur(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride
        weights = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(weights, weights)[None, None])

    def forward(self, x):
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 3, 3)
        x = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return nn.functional.conv2d(x, kernel, stride=self.stride, groups=channels)


class _Block(nn.Module):
    """A residual block, y = g(F(x) + s(x)), by its plan."""

    def __init__(self, block):
        super().__init__()
        options = block.arguments
        self.shortcut, self.stride = options["shortcut"], options["strides"]
        self.is_shared = options["pre_activation"] == "both" or (
            options["pre_activation"] and block.projection
        )
        gates = [layer for layer in block.branch if layer.kind == "gate"]
        others = [layer for layer in block.branch if layer.kind != "gate"]
        layers = _in_turn(others, options["anti_alias"])
        if options["pre_activation"]:
            start, branch, end = layers[:2], layers[2:], []
        else:
            start, branch, end = [], layers[:-1], [nn.ReLU(inplace=True)]
        self.start, self.branch, self.end = (nn.Sequential(*part) for part in (start, branch, end))
        self.excitation = None
        if gates:
            reduce, expand = map(_convolution, gates)
            layers = [nn.AdaptiveAvgPool2d(1), reduce, nn.ReLU(inplace=True), expand, nn.Sigmoid()]
            self.excitation = nn.Sequential(*layers)
        self.projection = None
        if block.projection:
            conv, *norms = block.projection
            is_pooled = options["shortcut"] == "D" and conv.strides > 1
            layers = [_subsampling(conv.strides, "average")] if is_pooled else []
            layers.append(_convolution(conv, 1 if is_pooled else conv.strides))
            layers += [nn.BatchNorm2d(norm.outputs) for norm in norms]
            self.projection = nn.Sequential(*layers)
        missing = block.outputs - next(each.inputs for each in others if each.kind == "conv")
        before = missing // 2 if options["zero_pad"] == "both" else 0
        self.padding = (0, 0, 0, 0, before, missing - before)

    def forward(self, x):
        start = self.start(x)
        y = self.branch(start)
        if self.excitation is not None:
            y = y * self.excitation(y)
        if self.shortcut is None:
            return self.end(y)
        x = start if self.is_shared else x
        if self.projection is not None:
            x = self.projection(x)
        elif self.stride > 1 or any(self.padding):
            x = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], self.padding)
        return self.end(y.add_(x))
