"""The zoo's networks in PyTorch, for comparing speed."""

import torch
from torch import nn

from keras_resnets import ResNetSpec


class TorchResNet(nn.Module):
    """A residual or plain network from images to logits.

    Args:
        spec: The architecture; what it may vary is the block, repeats, widths, the stem and the
            shortcut options A, B and none.
        classes: Number of classes.

    Raises:
        ValueError: If the architecture has anything else.
    """

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
        channels = spec.widths[0]
        if spec.stem == "imagenet":
            layers = [_conv_norm(3, channels, 7, 2), nn.ReLU(inplace=True)]
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        else:
            layers = [_conv_norm(3, channels, 3, 1), nn.ReLU(inplace=True)]
        for stage, (repeats, width) in enumerate(zip(spec.repeats, spec.widths, strict=True)):
            for index in range(repeats):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(_Block(channels, width, stride, spec.block, spec.shortcut))
                channels = width * (4 if spec.block == "bottleneck" else 1)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, channels, width, stride, kind, shortcut):
        super().__init__()
        if kind == "basic":
            filters = width
            branch = [
                _conv_norm(channels, width, 3, stride),
                nn.ReLU(inplace=True),
                _conv_norm(width, width, 3, 1),
            ]
        else:
            filters = 4 * width
            branch = [
                _conv_norm(channels, width, 1, 1),
                nn.ReLU(inplace=True),
                _conv_norm(width, width, 3, stride),
                nn.ReLU(inplace=True),
                _conv_norm(width, filters, 1, 1),
            ]
        self.branch = nn.Sequential(*branch)
        self.shortcut, self.stride, self.missing = shortcut, stride, filters - channels
        is_identity = stride == 1 and not self.missing
        self.projection = (
            _conv_norm(channels, filters, 1, stride)
            if shortcut == "B" and not is_identity
            else None
        )

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


def _conv_norm(channels, filters, size, stride):
    return nn.Sequential(
        nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(filters),
    )
