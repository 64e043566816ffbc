"""Our weights under torch's names, for torchvision, timm and Hugging Face."""

import os
from pathlib import Path

import keras
import numpy as np

from keras_resnets.arguments import check_choice
from keras_resnets.weights.convert import check_model
from keras_resnets.weights.families import AKAMASTER, HUGGING_FACE, TIMM_V2, TORCHVISION
from keras_resnets.weights.keras_files import written_whole


def to_torch_state_dict(model, path=None, family="torchvision"):
    """Returns a model's weights as torch modules name and order them, and writes them to a file.

    torchvision's and timm's ResNets of the same depth load them with `strict=True`.

    Args:
        model: A model of the zoo.
        path: Path of a `.safetensors` file to write, or `None` for none.
        family: Whose names: `"torchvision"`, which are timm's too, `"timm_v2"` for networks with
            pre-activation, `"hugging_face"` or `"akamaster"`.

    Returns:
        A dictionary of NumPy arrays.

    Raises:
        ValueError: If the family has no such network, the model has other layers with weights, or
            the path does not end in `.safetensors`.
        TypeError: If an argument is of another type.
        OSError: If the file cannot be written.

    Example:

    >>> state_dict = keras_resnets.to_torch_state_dict(keras_resnets.ResNet18())
    >>> state_dict["layer2.0.downsample.0.weight"].shape
    (128, 64, 1, 1)
    """
    families = (TORCHVISION, TIMM_V2, HUGGING_FACE, AKAMASTER)
    torch_families = {known.name: known for known in families}
    known = torch_families[check_choice("family", family, torch_families)]
    if path is not None:
        _check_path(path)
    try:
        spec = _checked_spec(model, known)
    except ValueError as error:
        raise ValueError(f"{error}{_advice(model, torch_families)}") from error
    variables = {weight.path: weight for weight in model.weights}
    names = known.names(spec, include_top="predictions/kernel" in variables)
    arrays = {}
    for ours, theirs in names.items():
        array = keras.ops.convert_to_numpy(variables[ours])
        if known.classifies_by_convolution and ours == "predictions/kernel":
            array = array[None, None]
        arrays[theirs] = _in_torch_layout(array)
        if ours.endswith("/moving_variance"):  # torch has the count last in each normalization
            for variable in known.left_out:
                arrays[f"{theirs.rpartition('.')[0]}.{variable}"] = np.zeros((), "int64")
    if path is not None:
        _write(Path(path), arrays)
    return arrays


def _checked_spec(model, known):
    """Returns a model's spec; raises if the family has no such network."""
    spec = check_model(model, known)
    if spec.block == "bottleneck" and known.module_stride_on not in (None, spec.stride_on):
        raise ValueError(
            f"The {known.name} networks have stride_on={known.module_stride_on!r}, and would "
            "compute something else with these weights. Received: a model with "
            f"stride_on={spec.stride_on!r}"
        )
    if spec.output_stride is not None:
        raise ValueError(
            f"The {known.name} networks have no dilation, and would compute something else with "
            "these weights: give them by `set_weights` to a model without `output_stride`, and "
            "convert that. torchvision's bottleneck networks are then dilated as this one by their "
            "argument replace_stride_with_dilation. Received: a model with "
            f"output_stride={spec.output_stride}"
        )
    return spec


def _in_torch_layout(array):
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return np.ascontiguousarray(array.transpose(axes) if axes else array)


def _check_path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be None or a path. Received: path={path!r}")
    if Path(path).suffix != ".safetensors":
        raise ValueError(
            f"`path` must be None or end in .safetensors. Received: path={os.fspath(path)!r}"
        )
    if not Path(path).parent.is_dir():
        raise NotADirectoryError(
            f"`path` must lie in an existing folder. Received: path={os.fspath(path)!r}"
        )


def _write(path, arrays):
    """Writes a file that appears at its path only when it is whole."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    try:
        with written_whole(path) as unfinished:
            save_file(arrays, unfinished, metadata={"format": "pt"})  # Hugging Face asks for it
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"The file could not be written ({error}). Received: path={str(path)!r}"
        ) from error


def _advice(model, families):
    """Names the families that have such a network, if any has."""
    for family in families.values():
        try:
            _checked_spec(model, family)
        except (TypeError, ValueError):
            continue
        return f". Pass family={family.name!r} for the names of such a network"
    return ""
