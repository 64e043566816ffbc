"""A training step in PyTorch as it should be written: channels last, and autocast for bfloat16."""

import contextlib

import torch
from torch import nn

from keras_resnets import ResNetSpec
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import VARIANTS
from training.benchmark.contenders import Setting
from training.benchmark.steps import random_examples
from training.benchmark.worker import Job, process_peak_bytes


def make_job(setting: Setting) -> Job:
    """Returns training steps of the zoo's twin in PyTorch, or of timm's model of the same name.

    Options: `network`, `"torch"` or `"timm"`.
    """
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    versions = {"torch": torch.__version__}
    if setting.options["network"] == "timm":
        import timm

        model = timm.create_model(setting.model, num_classes=setting.classes)
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


class TorchResNet(nn.Module):
    """A residual or plain network from images to logits."""

    def __init__(self, spec: ResNetSpec, classes: int):
        super().__init__()
        plain_spec = ResNetSpec(
            block=spec.block,
            repeats=spec.repeats,
            widths=spec.widths,
            stem=spec.stem,
            shortcut=spec.shortcut,
        )
        if spec != plain_spec or spec.shortcut == "C":
            raise ValueError(
                f"The PyTorch twin does not support these options. Received: spec={spec}"
            )
        plan = make_plan(spec)
        layers = [_conv_norm(plan.stem), nn.ReLU(inplace=True)]
        if plan.pool_stride > 1:
            layers.append(nn.MaxPool2d(3, stride=plan.pool_stride, padding=1))
        layers += [_Block(block, spec.shortcut) for block in plan.blocks()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(plan.features, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, block, shortcut):
        super().__init__()
        layers = []
        for convolution in block.branch:
            layers += [_conv_norm(convolution), nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*layers[:-1])
        self.shortcut, self.stride = shortcut, block.arguments["strides"]
        self.missing = block.branch[-1].outputs - block.branch[0].inputs
        self.projection = None if block.projection is None else _conv_norm(block.projection)

    def forward(self, x):
        branch = self.branch(x)
        if self.shortcut is None:
            return branch.relu_()
        if self.projection is not None:
            x = self.projection(x)
        elif self.stride > 1 or self.missing:
            x = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.missing))
        return branch.add_(x).relu_()


def _conv_norm(convolution):
    _, _, size, inputs, outputs, stride = convolution
    return nn.Sequential(
        nn.Conv2d(inputs or 3, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )
