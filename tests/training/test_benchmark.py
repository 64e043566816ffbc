"""The command `benchmark`: turns, processes that die, what is missing, and no TensorFlow."""

import contextlib
import dataclasses
import importlib
import os
import subprocess
import sys

import pytest

pytest.importorskip("tyro")

from tests.subprocesses import ROOT
from training.benchmark import measure as measuring
from training.benchmark.command import benchmark
from training.benchmark.contenders import OURS, Contender, Setting, contenders_for
from training.benchmark.results import read_results
from training.benchmark.worker import Job, Worker, WorkerDied

SETTING = Setting("resnet20", batch=4, image_size=8, classes=10)
# In each process: TensorFlow is not found, though it may be installed.
WITHOUT_TENSORFLOW = """
import importlib.machinery
find_spec = importlib.machinery.PathFinder.find_spec
def without(name, path=None, target=None):
    return None if name.split(".")[0] == "tensorflow" else find_spec(name, path, target)
importlib.machinery.PathFinder.find_spec = without
"""


def light_job(setting):
    """A job that needs no backend, so that its process starts at once."""
    return Job(lambda times: float(times), {"batch": setting.batch})


LIGHT = Contender("light", "", "step", f"{__name__}:light_job")


def run_training(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "COLUMNS": "150", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def no_tensorflow(tmp_path):
    """The environment of a process that finds no TensorFlow, nor its children."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW, encoding="utf-8")
    present = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), *([present] if present else [])])}


@pytest.mark.parametrize("is_dying", [False, True])
def test_contenders_take_turns_and_all_processes_end(is_dying, monkeypatch):
    log = []

    class FakeWorker:
        """Writes down what is asked of it."""

        def __init__(self, contender, setting):
            self._name = f"{contender.name} {setting.precision}"
            self.facts = {"images": setting.batch, "device": "CPU", "versions": {}}
            log.append(f"start {self._name}")

        def take(self, times):
            if is_dying and times > 1:
                raise WorkerDied("gone")
            log.append(f"{self._name} takes {times}")
            return {"seconds": 1.0, "cpu_seconds": 2.0, "value": 3.0, "peak_bytes": 4}

        def close(self):
            log.append(f"close {self._name}")

    monkeypatch.setattr(measuring, "Worker", FakeWorker)
    product = Contender("product", "", "product", "job", precisions=("bfloat16",))
    contenders = [Contender("ours", "", "step", "job"), product]
    turns = ["ours float32 takes 3", "product bfloat16 takes 12"]
    with pytest.raises(WorkerDied, match="gone") if is_dying else contextlib.nullcontext():
        rows = measuring.measure(contenders, SETTING, ["float32"], 3, 2, lambda text: None)
        assert [row["seconds"] for row in rows] == [[1.0, 1.0]] * 2  # not the first, to compile
        assert rows[0]["values"] == [3.0] * 3
    assert log == [
        *("start ours float32", "ours float32 takes 1"),
        *("start product bfloat16", "product bfloat16 takes 1"),
        *([] if is_dying else 2 * turns),
        *("close ours float32", "close product bfloat16"),
    ]


def test_a_process_takes_turns_until_it_is_closed():
    worker = Worker(LIGHT, SETTING)
    assert worker.facts == {"batch": 4}
    answer = worker.take(2)
    assert answer["value"] == 2.0
    assert answer["seconds"] > 0
    assert answer["peak_bytes"] > 2**20
    worker.close()
    assert worker._process.returncode == -9


def test_a_process_that_dies_says_why():
    with pytest.raises(WorkerDied, match=r"'light' ended with status 1(.|\n)*has no .*'no_job'"):
        Worker(dataclasses.replace(LIGHT, job=f"{__name__}:no_job"), SETTING)
    worker = Worker(LIGHT, SETTING)
    worker._process.kill()
    with pytest.raises(WorkerDied, match="the contender 'light' ended with status -9"):
        worker.take(1)


def test_each_contender_has_its_job_its_settings_and_what_it_needs():
    pytest.importorskip("tensorflow")
    for backend in OURS:
        first, *others = contenders_for(backend)
        assert first.name == "ours"
        assert {other.backend for other in others} <= {backend, "torch"}
        for job in {each.job for each in (first, *others) if "torch" not in each.job}:
            module, _, function = job.partition(":")
            assert callable(getattr(importlib.import_module(module), function))
    names = {contender.name: contender for contender in contenders_for("tensorflow")}
    assert names["ours"].environment == {"TF_ENABLE_ONEDNN_OPTS": "1"}
    assert names["keras"].environment == {"TF_ENABLE_ONEDNN_OPTS": None}
    assert names["keras-xla"].options == {"jit_compile": True}
    contender = Contender("a", "", "step", "job", module="no_such_module", models=("x",))
    assert contender.why_absent("y", "") == "there is none for y"
    assert contender.why_absent("x", "") == "no_such_module is not installed"
    assert "--photos" in names["photos-ours"].why_absent("x", "")
    assert names["photos-ours"].why_absent("x", "folder") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, r"`batch` must be at least 1\. Received: batch=0"),
        ({"rounds": 0}, r"`rounds` must be at least 1"),
        ({"model": "resnet21"}, r"`model` must be one of .*Received: model='resnet21'"),
        ({"contenders": ("our",)}, r"`contenders` must be some of ours.*'our'"),
        ({"contenders": ("applications",)}, "applications: there is none for resnet20"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(ValueError, match=message):
        benchmark(**arguments)


@pytest.mark.soak
def test_a_whole_benchmark_and_its_file(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    path = tmp_path / "results.json"
    size = {"batch": 4, "image_size": 8, "steps": 1, "rounds": 2}
    assert benchmark(**size, contenders=("memory-plain", "timm"), json_file=path) == 0
    results = read_results(path)
    (plain,) = results["rows"]
    assert (results["setting"]["batch"], plain["images"]) == (4, 32)
    assert len(plain["seconds"]) == 2
    assert len(set(plain["values"])) == 3  # other images in each turn
    assert [each["why"] for each in results["absent"]] == ["there is none for resnet20"]
    assert "channels last: there is none for resnet20" in capsys.readouterr().out


def test_without_tensorflow_commands_say_what_to_install_or_run(no_tensorflow, tmp_path):
    run = run_training("evaluate", ".", "--dataset", "digits", **no_tensorflow)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: All commands but benchmark and recipes")
    assert run_training("recipes", **no_tensorflow).returncode == 0
    run = run_training("benchmark", KERAS_BACKEND="tensorflow", **no_tensorflow)
    assert run.returncode == 2
    assert "KERAS_BACKEND must name one of tensorflow, jax, torch that is installed" in run.stderr
    page = tmp_path / "page.md"
    page.write_text("no place\n", encoding="utf-8")
    run = run_training("benchmark", "--render", page, **no_tensorflow)
    assert run.returncode == 2
    assert "page.md, which has none" in run.stderr


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow_the_benchmark_runs(backend, no_tensorflow, tmp_path):
    pytest.importorskip(backend)
    path = tmp_path / "results.json"
    size = ("--batch", "4", "--image-size", "8", "--steps", "1", "--rounds", "1")
    run = run_training(
        *("benchmark", *size, "--contenders", "ours", "torch", "--json", path),
        **{"KERAS_BACKEND": backend, **no_tensorflow},
    )
    assert run.returncode == 0, run.stderr
    results = read_results(path)
    ours = results["rows"][0]
    assert (ours["name"], ours["parameters"]) == ("ours", 269_722)
    assert backend in results["versions"]
    assert "tensorflow" not in results["versions"]
