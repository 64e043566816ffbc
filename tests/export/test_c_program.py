"""A SavedModel called from C: no Python is needed to serve it."""

import io
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_resnets
from keras_resnets import export_model
from tests.backends import BACKEND
from tests.export.networks import NAMES, classifier
from tests.subprocesses import ROOT

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(BACKEND != "tensorflow", reason="needs TensorFlow"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler"),
]


def operations(folder):
    """Returns the operations behind `serving_default`, which `saved_model_cli` prints."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    outputs = {key: info.name.split(":") for key, info in signature.outputs.items()}
    # As the program has them.
    assert outputs["top_names"][1] == "2"
    assert outputs["top_scores"][1] == "3"
    return signature.inputs["image_bytes"].name.split(":")[0], outputs["scores"][0]


def build(folder):
    """Runs the commands of docs/serving.md up to the compiler's; returns the program."""
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    [commands] = [block.split("saved_model_cli")[0] for block in blocks if "gcc" in block]
    (folder / "docs").symlink_to(ROOT / "docs")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    subprocess.run(
        ["sh", "-ec", commands], cwd=folder, env={**os.environ, "PATH": path}, check=True
    )
    return folder / "classify"


def test_a_c_program_prints_what_the_model_answers(tmp_path, rng):
    model = classifier()
    pixels = rng.integers(0, 256, size=(30, 40, 3), dtype="uint8")
    report = export_model(
        model, tmp_path / "m", signatures=("serving_default",), class_names=NAMES, top=3
    )
    program = build(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    arguments = [str(program), str(report.path), *operations(report.path)]
    # Without a path to any Python.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "PATH": os.devnull}
    run = subprocess.run(
        [*arguments, str(tmp_path / "photo.png")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(" ", 1) for line in run.stdout.splitlines()]
    [expected] = keras_resnets.classify(model, pixels, top=3, class_names=NAMES)
    assert [name for _, name in lines] == [prediction.name for prediction in expected]
    scores = [prediction.score for prediction in expected]
    np.testing.assert_allclose([float(score) for score, _ in lines], scores, atol=1e-5)
