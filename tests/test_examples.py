"""What the documentation shows runs, and prints what it says."""

import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re

import keras
import numpy as np
import pytest

import keras_resnets
from tests.backends import requires_tensorflow
from tests.subprocesses import ROOT

BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Builds what takes a while.
SLOW = {"keras_resnets.models.factories"}
CHECKPOINT = ROOT.parent / "shared" / "data" / "torch_cifar" / "resnet20-12fca82f.th"
PACKAGES = {"docs/serving.md": ("ai_edge_litert", "onnxruntime", "tf2onnx")}
MODULES = [
    pytest.param(module.name, marks=pytest.mark.slow if module.name in SLOW else ())
    for module in pkgutil.walk_packages(keras_resnets.__path__, "keras_resnets.")
]


@pytest.fixture
def eager_training(monkeypatch):
    """Lets `fit` and `predict` run their few batches eagerly: tracing takes longer."""
    always = property(lambda model: True, lambda model, value: None)
    monkeypatch.setattr(keras.Model, "run_eagerly", always)


@requires_tensorflow
@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings(name):
    module = importlib.import_module(name)
    known = {"keras_resnets": keras_resnets, "keras": keras, "np": np}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    printed = io.StringIO()
    for test in doctest.DocTestFinder().find(module, extraglobs=known):
        runner.run(test, out=printed.write)
    assert runner.failures == 0, printed.getvalue()


@pytest.mark.parametrize(
    "name", ["keras_resnets", "keras_resnets.layers", "keras_resnets.analysis"]
)
def test_every_public_name_has_an_example(name):
    module = importlib.import_module(name)
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.ismodule(thing) or not callable(thing) or inspect.isabstract(thing):
            continue
        if public.lower() in keras_resnets.VARIANTS:  # the example of one serves its kin
            continue
        assert ">>> " in (inspect.getdoc(thing) or ""), f"{name}.{public}"


@requires_tensorflow
@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/converting.md",
        "docs/from_keras_applications.md",
        "docs/from_pytorch.md",
        "docs/index.md",
        "docs/preprocessing.md",
        pytest.param("docs/serving.md", marks=pytest.mark.peers),
        pytest.param(
            "docs/weights.md",
            marks=pytest.mark.skipif(not CHECKPOINT.exists(), reason="the checkpoint is not here"),
        ),
    ],
)
def test_the_snippets_of_a_page_print_what_stands_below_them(page, tmp_path, monkeypatch):
    for package in PACKAGES.get(page, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    if CHECKPOINT.exists():
        (tmp_path / CHECKPOINT.name).symlink_to(CHECKPOINT)
    text = (ROOT / page).read_text(encoding="utf-8")
    namespace: dict = {}
    printed, end, ran = None, None, 0
    for block in BLOCK.finditer(text):
        language, body = block.groups()
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(body, page, "exec"), namespace)
            printed, end, ran = output.getvalue(), block.end(), ran + 1
        elif printed is not None and not text[end : block.start()].strip():
            assert printed.rstrip() == body.rstrip()
            printed = None
    assert ran >= 2


def test_the_files_that_the_architecture_page_names_are_there():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    files = [path.as_posix() for path in ROOT.rglob("*.py")]
    names = set(re.findall(r"`([\w/]+\.py)`", text))
    assert len(names) > 10
    assert not {name for name in names if not any(file.endswith(f"/{name}") for file in files)}
