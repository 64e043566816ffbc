"""The zoo's networks in PyTorch, for comparing speed."""

import torch
from torch import nn

from keras_resnets import ResNetSpec
from keras_resnets.architecture.plan import make_plan


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
            raise ValueError(f"PyTorch's twin has no such options. Received: spec={spec}")
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
