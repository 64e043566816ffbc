"""The command `benchmark`: what it measures, and how it is shown."""

import json

import keras
import pytest

from keras_resnets.cli import main
from keras_resnets.export import Timing, time_formats
from keras_resnets.export.speed import has_torchvision_peer, torchvision_runner
from tests.backends import requires_tensorflow
from tests.export.networks import classifier
from tests.weights.peers import import_torchvision


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    classifier().save(path)
    return str(path)


def test_each_way_has_its_turn_in_every_round():
    seen = []

    def peer(name):
        return lambda batch: lambda: seen.append((name, batch.shape))

    timings = time_formats(
        classifier(), (), batches=(1, 3), rounds=2, peers={"a": peer("a"), "b": peer("b")}
    )
    # Two rounds of a turn each, and a turn is two runs.
    for_one, for_three = ([(name, (batch, 16, 16, 3)) for name in "aabb" * 2] for batch in (1, 3))
    assert seen == for_one + for_three
    assert [(t.name, t.batch) for t in timings] == [
        (name, batch) for batch in (1, 3) for name in ("keras", "a", "b")
    ]
    assert all(0 < timing.least <= timing.median for timing in timings)


def test_the_table_compares_with_the_fastest_that_is_exact(monkeypatch, capsys, model_file):
    seconds = {"keras": 0.03, "saved_model": 0.02, "onnx": 0.01, "litert_int8": 0.005}
    timings = [
        Timing(name, batch, batch * each, batch * each / 2)
        for batch in (1, 2)
        for name, each in seconds.items()
    ]
    monkeypatch.setattr("keras_resnets.export.time_formats", lambda *arguments: timings)
    assert main(["benchmark", model_file, "--batches", "1", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-6:] for line in lines[-4:]] == [
        ["30.0", "15.0", "3.00", "60.0", "30.0", "3.00"],
        ["20.0", "10.0", "2.00", "40.0", "20.0", "2.00"],
        ["10.0", "5.0", "1.00", "20.0", "10.0", "1.00"],
        ["5.0", "2.5", "0.50", "10.0", "5.0", "0.50"],
    ]


def test_a_network_of_a_name_is_compared_by_its_logits(monkeypatch):
    given = []
    monkeypatch.setattr(
        "keras_resnets.export.time_formats",
        lambda model, *arguments: given.append(model) or [Timing("keras", 1, 1.0, 1.0)],
    )
    assert main(["benchmark", "resnet20", "--batches", "1"]) == 0
    assert given[0].layers[-1].activation is keras.activations.linear


def test_a_model_of_two_inputs_is_not_timed():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    pair = keras.Model(inputs, keras.layers.Add()(inputs), name="pair")
    with pytest.raises(ValueError, match=r"one input.*'pair' with .* \[\(4,\), \(4,\)\]"):
        time_formats(pair, ())


@requires_tensorflow
def test_the_figures_are_written_too(capsys, tmp_path, model_file):
    path = tmp_path / "figures.json"
    arguments = ["--formats", "saved_model", "--batches", "2", "--rounds", "1"]
    assert main(["benchmark", model_file, *arguments, "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    figures = json.loads(path.read_text(encoding="utf-8"))
    assert [(each["name"], each["batch"]) for each in figures["timings"]] == [
        ("keras", 2),
        ("saved_model", 2),
    ]
    assert figures["measured_on"] in printed
    for each in figures["timings"]:
        assert f"{1000 * each['median']:.1f}" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--formats", "tflite"], "litert"),
        (["--batches", "0"], "--batches: it must be a positive integer, not '0'"),
        (["--rounds", "0"], "--rounds: it must be a positive integer, not '0'"),
        (["--json", "no/folder/figures.json"], "no/folder/figures.json"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, expected, capsys, model_file):
    assert main(["benchmark", model_file, *arguments]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert expected in line
    assert captured.out == ""


@pytest.mark.peers
def test_torchvisions_network_runs_in_onnx_runtime(tmp_path, rng):
    import_torchvision()
    assert has_torchvision_peer("resnet18")
    assert not has_torchvision_peer("resnet20")
    images = rng.normal(size=(3, 64, 64, 3)).astype("float32")
    [outputs] = torchvision_runner("resnet18", 64, tmp_path)(images)()
    assert outputs.shape == (3, 1000)
