"""How much memory a conversion takes: the file and the model once, and little beside."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnets.weights.convert import match
from keras_resnets.weights.recognition import recognize
from tests.subprocesses import ROOT
from tests.weights.states import torchvision_entries

CODE = """
import resource, sys
from keras_resnets import ResNetSpec, build_model, convert_weights

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

# What TensorFlow takes of itself is no matter.
build_model(ResNetSpec(block="basic", repeats=(1,), widths=(4,)))
before = peak()
convert_weights(sys.argv[1], input_shape=(64, 64, 3))
print(peak() - before)
"""


def test_the_values_are_made_one_at_a_time():
    entries = torchvision_entries("basic", (2, 2, 2, 2))
    checkpoint = recognize(
        {name: np.broadcast_to(np.float32(0.5), shape) for name, shape in entries.items()}
    )
    names = checkpoint.family.names(checkpoint.spec, include_top=True)
    shapes = {}
    for path, name in names.items():
        shape = entries[name]
        if path.endswith("/kernel"):
            shape = shape[2:] + shape[1::-1] if len(shape) == 4 else shape[::-1]
        shapes[path] = shape
    largest = 4 * 512 * 512 * 3 * 3
    tracemalloc.start()
    try:
        values, _ = match(checkpoint, checkpoint.spec, shapes)
        assert sum(value.nbytes for _, value in values) == 4 * (11_689_512 + 2 * 4_800)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * largest
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_a_file_takes_twice_its_size_and_200_mb(tmp_path):
    path = tmp_path / "wide.safetensors"  # 215 MB in few arrays
    entries = torchvision_entries("bottleneck", (1, 1), widths=(1024, 1024))
    save_file({name: np.ones(shape, "float32") for name, shape in entries.items()}, path)
    taken = subprocess.run(
        [sys.executable, "-c", CODE, str(path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(taken) <= 2 * path.stat().st_size + 200e6
