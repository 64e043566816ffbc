"""A training step in PyTorch as it should be written: channels last, and autocast for bfloat16."""

import contextlib

import torch
from torch import nn

from keras_resnets.architecture.spec import VARIANTS
from training.benchmark.examples import random_examples
from training.benchmark.job import Job, Setting, process_peak_bytes
from training.benchmark.torch_twin import TorchResNet


def make_job(setting: Setting) -> Job:
    """Returns training steps of the zoo's twin in PyTorch, or of timm's model of the same name.

    Options: `network`, `"twin"` or `"timm"`.
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
