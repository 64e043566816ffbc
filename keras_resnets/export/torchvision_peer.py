"""torchvision's network in ONNX Runtime, to be compared with the exports of ours."""

import warnings

import numpy as np


def has_torchvision_peer(name):
    """Whether torchvision has a network of this name, and all that it takes to run it is here."""
    try:
        import onnxruntime  # noqa: F401
        import torchvision
    except (ImportError, RuntimeError):  # the latter where torchvision was built for another torch
        return False
    return name in torchvision.models.list_models(module=torchvision.models)


def torchvision_runner(name, size, folder):
    """Exports torchvision's network to ONNX as torchvision's users do.

    Args:
        name: A network of torchvision, such as `"resnet50"`.
        size: Height and width of the images in pixels.
        folder: A `pathlib.Path` where the file can stay as long as the runner is used.

    Returns:
        A function from a batch `(batch, height, width, 3)` to a function that runs the network on
        it. The batch is brought into torchvision's layout, `(batch, 3, height, width)`, before.
    """
    import onnxruntime
    import torch
    import torchvision

    path = str(folder / "torchvision.onnx")
    model = torchvision.models.get_model(name, weights=None).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, size, size),),
            path,
            input_names=["inputs"],
            output_names=["outputs"],
            dynamic_axes={"inputs": {0: "batch"}, "outputs": {0: "batch"}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def bind(batch):
        inputs = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        return lambda: session.run(["outputs"], {"inputs": inputs})

    return bind
