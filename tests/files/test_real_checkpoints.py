"""The published CIFAR checkpoints, in the stream format of torch before 1.6."""

import hashlib

import numpy as np
import pytest

from keras_resnets.files import read_arrays
from tests.subprocesses import ROOT

FOLDER = ROOT.parent / "shared" / "data" / "torch_cifar"


# The parameters are those of the facts sheet; the values are what torch itself reads.
@pytest.mark.parametrize(
    ("file_name", "depth", "parameters", "first_weight", "first_bias", "first_variance", "sum_"),
    [
        (
            "resnet20-12fca82f.th",
            20,
            269_722,
            [-0.13818146288394928, -0.1624176800251007, 0.8207383155822754],
            [0.19355906546115875, -0.3431008756160736, 0.11120541393756866],
            [2.2049126625061035, 3.6240038871765137],
            -0.04562738863751292,
        ),
        (
            "resnet56-4bfd9763.th",
            56,
            853_018,
            [-0.21604876220226288, -0.536896288394928, -0.556312084197998],
            [0.13465537130832672, -0.2430870682001114, 0.10410260409116745],
            [1.982783555984497, 3.550461530685425],
            -0.008035663631744683,
        ),
    ],
    ids=["resnet20", "resnet56"],
)
def test_a_checkpoint_has_the_published_architecture(
    file_name, depth, parameters, first_weight, first_bias, first_variance, sum_
):
    path = FOLDER / file_name
    if not path.is_file():
        pytest.skip("the shared checkpoints are not here")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest[:8] == path.stem.partition("-")[2]

    arrays = read_arrays(path)

    assert {name: array.shape for name, array in arrays.items()} == published_shapes(depth)
    assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}
    trained = [array.size for name, array in arrays.items() if "running" not in name]
    assert sum(trained) == parameters
    assert arrays["module.conv1.weight"].ravel()[:3].tolist() == first_weight
    assert arrays["module.linear.bias"][:3].tolist() == first_bias
    assert arrays["module.bn1.running_var"][:2].tolist() == first_variance
    total = arrays["module.linear.weight"].sum(dtype=np.float64)
    np.testing.assert_allclose(total, sum_, rtol=1e-9)


def published_shapes(depth):
    """{name: shape} of a CIFAR network of depth 6n + 2 with shortcuts of option A."""
    shapes = {}

    def convolution(name, *shape):
        shapes[f"module.{name}.weight"] = shape

    def normalization(name, channels):
        for array in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"module.{name}.{array}"] = (channels,)

    convolution("conv1", 16, 3, 3, 3)
    normalization("bn1", 16)
    before = 16
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range((depth - 2) // 6):
            prefix = f"layer{stage}.{block}"
            convolution(f"{prefix}.conv1", width, before, 3, 3)
            normalization(f"{prefix}.bn1", width)
            convolution(f"{prefix}.conv2", width, width, 3, 3)
            normalization(f"{prefix}.bn2", width)
            before = width
    shapes["module.linear.weight"] = (10, 64)
    shapes["module.linear.bias"] = (10,)
    return shapes
