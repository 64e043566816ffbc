"""What a command does to its process when it starts, and an import does not."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.subprocesses import NO_BACKEND, ROOT, run_with_stubs

# A module that, imported in place of another one, is struck by Ctrl-C. Where the signal is lost, or
# raises an exception, the process does not end by it.
STRUCK = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
IN_A_CALLBACK = f"""
import gc
def callback(phase, info):
    {STRUCK.replace(chr(10), "; ")}
gc.callbacks.append(callback)
gc.collect()
gc.callbacks.clear()
"""
TRAIN = ("training", "train", "digits", "--run-dir", "run")


@pytest.fixture
def interrupts():
    """Sets whether Ctrl-C is ignored, here and in processes started here; at first it is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("command", "stubs"),
    [
        (TRAIN, {"tyro": STRUCK}),
        (TRAIN, {"tensorflow": IN_A_CALLBACK}),
        (TRAIN, {"tensorflow": "", "keras": STRUCK}),
        (("training", "benchmark"), {"tensorflow": "raise ImportError", "rich": STRUCK}),
        (("training", "demo"), {"tensorflow": STRUCK}),
        (("keras_resnets", "list"), {"keras": STRUCK}),
        (("keras_resnets", "list"), {"keras": IN_A_CALLBACK}),
    ],
    ids=lambda value: " ".join(value),
)
def test_ctrl_c_during_the_imports_ends_the_process_at_once(command, stubs, tmp_path, interrupts):
    result = run_with_stubs(command, stubs, tmp_path)
    # By the signal, which a shell reports as 130; nothing is said, for the terminal shows ^C.
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("command", "stub"),
    [(TRAIN, "tyro"), (TRAIN, "tensorflow"), (("keras_resnets", "list"), "keras")],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_process_that_is_to_ignore_ctrl_c_ignores_it(command, stub, tmp_path, interrupts):
    """As `trap '' INT` tells it to, and `command &` in a script."""
    interrupts(signal.SIG_IGN)
    stubs = {stub: f"{STRUCK}raise ValueError('it went on')\n"}
    result = run_with_stubs(command, stubs, tmp_path)
    assert result.returncode > 0
    assert "it went on" in result.stderr


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("keras_resnets --help", 0, "COMMAND"),
        ("keras_resnets --version", 0, "0."),
        ("keras_resnets predict --help", 0, "IMAGE"),
        ("keras_resnets pedict", 2, "invalid choice"),
        ("keras_resnets describe --szie 3 resnet18", 2, "--szie"),
        ("keras_resnets predict no.jpg --model resnet18", 2, "No such file: 'no.jpg'"),
        ("keras_resnets describe no.keras", 2, "No such file: 'no.keras'"),
        ("keras_resnets describe resnet5O", 2, "Did you mean 'resnet56' or 'resnet50'"),
        ("keras_resnets convert torchvision/resnet50-v3", 2, "Did you mean 'torchvision/resnet50"),
        ("keras_resnets predict README.md --model resnet5O", 2, "'resnet50'"),
        ("keras_resnets predict README.md", 2, "required: --model"),
        ("keras_resnets export resnet20 x --weights cifar100", 2, "Did you mean 'cifar10'?"),
        (
            "keras_resnets predict README.md --model resnet20",
            2,
            "has new weights, which know nothing",
        ),
        ("keras_resnets export ResNet20 x", 2, "give a file or a preset as --weights"),
        ("keras_resnets export resnet18 x --class-names cifr10", 2, "Did you mean 'cifar10'?"),
        ("training evaluate README.md", 2, "`data.source` must be given for a file"),
        ("keras_resnets export cifar10 x", 2, "as in resnet20 --weights cifar10. Received"),
        ("keras_resnets benchmark resnet20 resnet2O", 2, "'resnet20'"),
        ("keras_resnets list resnet5O", 2, "'resnet50'"),
        ("keras_resnets export resnet18 x --class-names no.txt", 2, "No such file: 'no.txt'"),
        ("keras_resnets export resnet18 x --formats omnx", 2, "choose from 'saved_model', 'onnx'"),
        ("training --help", 0, "Trains by a recipe"),
        ("training", 2, "Trains by a recipe"),
        ("training trian digits", 2, "Did you mean 'train'?"),
        ("training predict a.jpg", 2, "is a command of `keras-resnets`"),
        ("training recipes", 0, "cifar10_fast"),
        ("training recipes digits", 0, "learning_rate"),
        ("training train --help", 0, "--run-dir"),
        ("training train digits --run-dir x --lr 1", 2, "--optimizer.learning-rate"),
        ("training train digits --run-dir x --batch many", 2, "many"),
        ("training train digits --run-dir x --model.name resnet21", 2, "Did you mean"),
        ("training train digits --run-dir x --model.shortcut E", 2, "shortcut"),
        ("training train digits --run-dir x --optimizer.momentum 2", 2, "must be in [0, 1)"),
        ("training train digits --run-dir x --model.weights no.keras", 2, "existing path"),
        ("training train digits --run-dir x --data.source folder:no", 2, "existing folder"),
        ("training train digits --run-dir x --data.source folder:TMP", 2, "--data.test-share 0.2"),
        (
            "training train digits --run-dir x --data.source folder:TMP/a",
            2,
            "the folder above",
        ),
        (
            "training data digits --data.test-share 0.2 --data.source folder:TMP/a",
            2,
            "the folder above",
        ),
        ("training train digits --run-dir x --data.source folder:~no-one/x", 2, "existing folder"),
        ("training data digits --data.source folder:TMP", 2, "pass `--data.test-share 0.2`"),
        (
            "training data digits --data.source folder:TMP/one --data.test-share 0.2",
            2,
            "at least two classes to tell apart",
        ),
        ("keras_resnets predict . --model resnet20", 2, "IMAGE must be a file: name those in"),
        ("keras_resnets predict . --model resnet20 --top 0", 2, "must be a positive integer, not"),
        ("keras_resnets describe resnet18 --size -1", 2, "must be a positive integer, not '-1'"),
        ("keras_resnets convert resnet20 . --classes many", 2, "positive integer, not 'many'"),
        ("keras_resnets convert resnet20 a.onnx", 2, "DEST must end in .keras, .weights.h5"),
        ("keras_resnets convert resnet20 a.pth", 2, "by `safetensors.torch.load_file`. Received"),
        ("keras_resnets convert resnet20 no/a.keras", 2, "DEST must lie in an existing folder"),
        ("training train digitz --run-dir x", 2, "digits"),
        ("training evaluate no", 2, "existing path"),
        ("training validate --dataset folder:no", 2, "existing folder"),
        ("training validate --dataset folder:TMP/a", 2, "name the folder above it"),
        ("training train digits --run-dir TMP/run --seed 1", 2, "seed: 0 before, 1 now"),
        ("training publish no --name x --note x", 2, "existing path"),
    ],
)
def test_help_and_mistakes_do_not_wait_for_a_backend(command, status, words, tmp_path):
    for folder in ("a", "run", "one/cat"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("a", "one/cat"):
        (tmp_path / folder / "1.jpg").touch()
    shutil.copy(ROOT / "training" / "recipes" / "digits.toml", tmp_path / "run" / "recipe.toml")
    result = run_with_stubs(command.replace("TMP", str(tmp_path)).split(), NO_BACKEND, tmp_path)
    shown = " ".join((result.stdout + result.stderr).replace("│", " ").split())
    assert (result.returncode, words in shown) == (status, True), shown


# A `sitecustomize` that strikes by Ctrl-C at the first import after that of some module.
STRIKING = """
import os, signal, sys
seen = []
def strike(event, arguments):
    if event == "import" and seen:
        os.kill(os.getpid(), signal.SIGINT)
    if event == "import" and arguments[0] == {after!r}:
        seen.append(arguments[0])
sys.modules.pop("contextlib", None)
sys.addaudithook(strike)
"""


@pytest.mark.parametrize("after", ["keras_resnets.command_start", "argparse", "tempfile"])
def test_ctrl_c_at_the_start_shows_no_traceback(after, tmp_path, interrupts):
    stubs = {"sitecustomize": STRIKING.format(after=after)}
    result = run_with_stubs(("keras_resnets", "list", "resnet20"), stubs, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("command", "package", "pip"),
    [
        ("keras_resnets list", "ml_dtypes", "pip install ml_dtypes"),
        ("keras_resnets list", "safetensors", "pip install safetensors"),
        ("keras_resnets list", "keras", "pip install keras"),
        ("keras_resnets list", "tensorflow", "pip install tensorflow-cpu"),
        ("training recipes", "tyro", "pip install tyro"),
        ("training recipes", "rich", "pip install rich"),
    ],
)
def test_a_package_that_is_missing_is_named_in_a_line(command, package, pip, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    absent = f"No module named {package!r}"
    stub = {package: f"raise ModuleNotFoundError({absent!r}, name={package!r})"}
    result = run_with_stubs(command.split(), stub, tmp_path)
    assert result.returncode
    line = result.stderr.removesuffix("\n")
    assert "\n" not in line
    assert "error: " in line
    assert repr(package) in line
    assert pip in line


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_without_runs_cleans_up_and_ends(number, is_lost, monkeypatch, interrupts):
    """Even if the exception is lost, as in a callback of the garbage collector."""
    pytest.importorskip("tensorflow")
    from training import commands
    from training.__main__ import main

    before, is_clean = signal.getsignal(number), []

    def index(folder: str = ""):
        with contextlib.suppress(SystemExit) if is_lost else contextlib.nullcontext():
            try:
                signal.raise_signal(number)
            finally:
                is_clean.append(True)
        return 0

    monkeypatch.setattr(commands, "index", index)
    with pytest.raises(SystemExit) as ended:
        main(["index"])
    assert ended.value.code == 128 + number
    assert is_clean == [True]
    assert signal.getsignal(number) == before


IMPORT_ALL = """
import contextlib, importlib, os, pkgutil, signal, sys
import keras, tensorflow  # they may set variables of their own

def state():
    return dict(os.environ), {number: signal.getsignal(number) for number in signal.valid_signals()}

before = state()
import keras_resnets, training
for package in (keras_resnets, training):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        # The benchmark's modules for other backends can be imported only beside those.
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module.name)
assert {"keras_resnets.cli.main", "training.__main__", "training.run.session"} <= set(sys.modules)
assert state() == before
"""


def test_imports_change_neither_the_environment_nor_signal_handlers():
    pytest.importorskip("tensorflow")
    pytest.importorskip("tyro")
    unset = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, env=environment, check=True)
