"""The libraries that conversions are compared with, imported as far as they need to be.

torchvision's and timm's networks are plain Python. What fails without a build of torchvision for
the torch that is here is the registration of compiled operators, which no ResNet uses.
"""

import sys
import types

import pytest

# What timm calls rows of ours, and whose names they have.
OF_TIMM = {
    **{f"resnet{depth}d": f"resnet{depth}d" for depth in (18, 26, 34, 50, 101, 152, 200)},
    **{name: name for name in ("resnet26", "resnet200", "resnetblur50", "resnext50d_32x4d")},
    **{f"resnext{form}": f"resnext{form}" for form in ("50_32x4d", "101_32x4d", "101_32x8d")},
    "resnext101_64x4d": "resnext101_64x4d",
    **{f"wide_resnet{depth}_2": f"wideresnet{depth}_2" for depth in (50, 101)},
    **{f"seresnet{depth}": f"seresnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{f"seresnext{depth}_32x4d": f"seresnext{depth}_32x4d" for depth in (50, 101)},
    **{f"resnetrs{depth}": f"resnetrs{depth}" for depth in (50, 101, 152, 200)},
    **{f"resnetv2_{depth}": f"resnet{depth}v2" for depth in (18, 34, 50, 101, 152)},
    "resnetv2_50d": "resnet50dv2",
}


def import_torch():
    return pytest.importorskip("torch")


def import_torchvision():
    """Imports torchvision without its compiled operators, or skips the test."""
    torch = import_torch()
    if "torchvision" not in sys.modules:
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("_meta_registrations")
        if not hasattr(torch.ops.torchvision, "nms"):
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            import_torchvision.library = library  # the definition lasts as long as this
    return pytest.importorskip("torchvision")


def import_timm():
    import_torchvision()
    return pytest.importorskip("timm")


def randomize(module, seed=0):
    """Gives a torch module random weights and random statistics, and sets it to inference."""
    torch = import_torch()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.ndim > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.2, generator=generator)
            elif name.endswith("weight"):
                tensor.uniform_(0.4, 0.8, generator=generator)
    return module.eval()
