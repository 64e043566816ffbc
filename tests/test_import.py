"""What an import needs, and who may import whom."""

import subprocess
import sys

import pytest

from docs.pictures.rooms import imported_modules
from tests.subprocesses import ROOT

PACKAGE = ROOT / "keras_resnets"
SOURCES = sorted(PACKAGE.rglob("*.py"))
BACKENDS = {"tensorflow", "jax", "jaxlib", "torch"}
# A room may import those before it, and itself.
ORDER = ["command_start", "arguments", "files", "layers", "architecture", "preprocessing"]
ORDER += ["weights", "models", "analysis", "export", "public", "cli", "__main__"]
# The same of the trainer's rooms.
EARLIER = {"recipe": set(), "data": {"recipe"}, "optim": {"recipe"}}
EARLIER["loop"] = {"recipe", "data", "optim"}
EARLIER["run"] = {*EARLIER["loop"], "loop"}
EARLIER["studies"] = EARLIER["benchmark"] = {*EARLIER["run"], "run"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_in_one_direction_only_and_no_backend_at_module_level(path):
    found = imported_modules(path, within_functions=False)
    assert not {name.split(".")[0] for name in found} & BACKENDS
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    allowed = ORDER[: ORDER.index(room) + 1]
    for name in imported_modules(path):
        assert name.split(".")[0] != "training"
        if name.startswith("keras_resnets."):
            assert name.split(".")[1] in allowed, name


@pytest.mark.parametrize("room", EARLIER)
def test_so_do_the_trainer_s_rooms(room):
    others = EARLIER.keys() - EARLIER[room] - {room}
    for path in (ROOT / "training" / room).rglob("*.py"):
        for name in imported_modules(path):
            assert not any(f"{name}.".startswith(f"training.{other}.") for other in others), name


def test_no_files_import_each_other_in_a_circle():
    """Imports within functions count too."""
    paths = [path for top in ("keras_resnets", "training") for path in (ROOT / top).rglob("*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    # A package is its `__init__`, which `from package import name` imports.
    modules = dict(zip([name.removesuffix(".__init__") for name in names], paths, strict=True))
    left = {
        module: {name for name in imported_modules(path) if name in modules.keys() - {module}}
        for module, path in modules.items()
    }
    while free := {module for module, needed in left.items() if not needed & left.keys()}:
        left = {module: needed for module, needed in left.items() if module not in free}
    assert not left


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "HOME": "", "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
    )


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_without_a_backend_the_error_says_what_to_install(backend, tmp_path):
    block = f"""
import sys
import importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {sorted(BACKENDS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import keras_resnets
"""
    run = run_python(block, KERAS_BACKEND=backend, KERAS_HOME=str(tmp_path))
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: keras_resnets needs a backend for Keras")
    assert repr(backend) in last
    assert "pip install tensorflow-cpu" in last
    assert "KERAS_BACKEND" in last


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import PackageNotFoundError, version

    import keras_resnets

    try:
        assert version("keras-resnets") == keras_resnets.__version__
    except PackageNotFoundError:
        pytest.skip("not installed, only imported")
