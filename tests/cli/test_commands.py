"""The commands, called in this process: what they print, write and refuse."""

import dataclasses
import json
import pathlib
import re
import types

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import keras_resnets
from keras_resnets import PRESETS, Preprocessing
from keras_resnets.cli import main
from keras_resnets.cli.open_model import open_model
from keras_resnets.export import ExportError
from keras_resnets.weights.keras_model import load_keras_file
from tests.weights.states import random_state, torchvision_entries


@pytest.fixture(autouse=True)
def small_resnet20(monkeypatch):
    """ResNet-20 is a ResNet-8 here, which is built and written in less time."""
    row = dataclasses.replace(keras_resnets.VARIANTS["resnet20"], repeats=(1, 1, 1))
    monkeypatch.setitem(keras_resnets.VARIANTS, "resnet20", row)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file of a small network under torchvision's names, of three classes."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_file(random_state(torchvision_entries("basic", (1, 1), (8, 16), classes=3)), path)
    return path


@pytest.fixture(scope="module")
def converted(checkpoint):
    """The same as a .keras file."""
    path = checkpoint.with_name("small.keras")
    assert main(["convert", str(checkpoint), str(path)]) == 0
    return path


@pytest.fixture
def image(tmp_path, rng):
    path = tmp_path / "image.png"
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), "uint8")).save(path)
    return path


def fails(capsys, *arguments):
    """Runs a command that must fail, and returns its one line."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    return line


def test_list_shows_every_network_and_preset_in_80_columns(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    first = [line.split()[0] for line in lines if line]
    assert set(first) >= {*keras_resnets.list_models(), *PRESETS}
    [resnet34] = [line.split() for line in lines if line.startswith("resnet34 ")]
    assert resnet34 == ["resnet34", "21,797,672", "3.6638", "GMAC", "224×224×3"]
    [v2] = [line.split() for line in lines if line.startswith("torchvision/resnet50-v2")]
    assert v2[1:] == ["80.9", "95.4", "232,", "224,", "bilinear", "BSD-3-Clause"]


def test_list_by_a_pattern(capsys):
    assert main(["list", "*18"]) == 0
    printed = capsys.readouterr().out
    assert "plainnet18" in printed
    assert "timm/resnet18-a1" in printed
    assert "resnet34" not in printed
    assert "No network matches" in fails(capsys, "list", "vgg*")


def test_list_a_family(capsys):
    assert main(["list", "*50*", "--family", "resnext"]) == 0
    table, _, presets = capsys.readouterr().out.partition("\n\n")
    lines = [line.split() for line in table.splitlines()]
    assert [line[0] for line in lines] == ["model", "resnext50_32x4d", "resnext50d_32x4d"]
    assert "torchvision/resnext50_32x4d-v2" in presets
    assert lines[1][1:] == ["25,028,904", "4.2305", "GMAC", "224×224×3"]
    assert lines[2][1:] == ["25,048,136", "4.4701", "GMAC", "224×224×3"]  # a deep stem
    line = fails(capsys, "list", "resnet18", "--family", "rs")
    assert "No network of the family 'rs' matches" in line
    assert "Did you mean 'resnetrs" in line
    assert main(["list", "--family", "vgg"]) == 2
    assert "'resnet_d', 'v2'" in capsys.readouterr().err


def test_describe_a_network_by_its_name(capsys):
    assert main(["describe", "plainnet20", "--layers"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "20 layers, 3, 3, 3 basic blocks, no shortcuts" in printed
    assert "40,551,040" in printed  # the paper's depth 20: 40.55·10⁶
    assert "plainnet20 is a network of He et al., 2015." in printed
    assert "Preprocessing: none is noted" in printed
    lines = [line.split() for line in printed.splitlines()]
    assert ["stem_conv/conv", "32×32×16", "432", "442,368"] in lines  # 3·3·3·16 · 32·32
    assert ["predictions", "10", "650", "640"] in lines  # 64·10 + 10
    convolutions = [line for line in lines if line and line[0].endswith("/conv")]
    assert len(convolutions) == 19  # 20 weight layers with the classifier


def test_describe_names_the_options_of_the_wider_family(tmp_path, capsys):
    options = {"pre_activation": True, "anti_alias": "blur", "se_ratio": 0.25, "stem_width": 8}
    keras_resnets.ResNet20(shortcut="D", dropout_rate=0.3, **options).save(tmp_path / "own.keras")
    assert main(["describe", str(tmp_path / "own.keras")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "basic blocks, shortcuts of option D; stem='cifar', stem_width=8, pre" in printed
    for name, value in {**options, "dropout_rate": 0.3}.items():
        assert f"{name}={value!r}" in printed
    for point in ("order in a block", "anti-aliasing", "squeeze and excitation", "stem width"):
        assert f"- {point}: " in printed


def test_describe_a_file(converted, capsys):
    assert main(["describe", str(converted)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "resize 256, crop 224, interpolation bilinear" in printed
    assert "shortcuts of option B" in printed
    assert "departs from He et al., 2015 in:" in printed


def test_describe_a_network_that_takes_any_size(tmp_path, capsys):
    keras_resnets.ResNet20(include_top=False).save(tmp_path / "backbone.keras")
    for size, shown in (("--size", "64"), "64×64×16"), ((), "32×32×16"):
        assert main(["describe", str(tmp_path / "backbone.keras"), *size]) == 0
        assert f"stem    {shown}" in capsys.readouterr().out
    assert "takes 32. Received: --size 64" in fails(capsys, "describe", "resnet20", "--size", 64)


def test_describe_prints_nothing_of_what_is_no_network(tmp_path, capsys):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "other.keras")
    assert "must have blocks of this package" in fails(capsys, "describe", tmp_path / "other.keras")


def test_convert_to_keras_and_back_gives_the_same_arrays(checkpoint, converted, tmp_path):
    model = load_keras_file(converted)
    assert keras_resnets.model_preprocessing(model) == Preprocessing.imagenet()
    back = tmp_path / "back.safetensors"
    assert main(["convert", str(converted), str(back)]) == 0
    arrays, original = load_file(back), load_file(checkpoint)
    assert {name for name in arrays if "num_batches" not in name} == original.keys()
    for name, array in original.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_convert_to_weights_alone(checkpoint, tmp_path):
    path = tmp_path / "small.weights.h5"
    assert main(["convert", str(checkpoint), str(path)]) == 0
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1, 1), widths=(8, 16))
    model = keras_resnets.build_model(spec, weights=path, classes=3)
    bias = keras.ops.convert_to_numpy(model.get_layer("predictions").bias)
    np.testing.assert_array_equal(bias, load_file(checkpoint)["fc.bias"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small.weights.h5"]


def test_convert_says_which_options_a_file_of_weights_loses(tmp_path, capsys):
    keras_resnets.ResNet20(zero_pad="both").save(tmp_path / "both.keras")
    for dest, notes in (
        ("both.weights.h5", ["note: a .weights.h5 file does not say zero_pad='both'; a .keras"]),
        ("again.keras", []),
    ):
        assert main(["convert", str(tmp_path / "both.keras"), str(tmp_path / dest)]) == 0
        lines = capsys.readouterr().err.splitlines()
        assert [line[: len(note)] for line, note in zip(lines, notes, strict=True)] == notes


def test_a_network_of_other_blocks_is_written_as_weights(tmp_path, capsys):
    ordered = keras_resnets.layers.OrderedBlock
    model = keras_resnets.with_blocks(keras_resnets.ResNet20(), ordered, order="original")
    model.save(tmp_path / "ordered.keras")
    arguments = [str(tmp_path / name) for name in ("ordered.keras", "ordered.weights.h5")]
    assert main(["convert", *arguments]) == 0
    assert capsys.readouterr().err == ""


def test_convert_notes_another_preprocessing_and_another_head(checkpoint, tmp_path, capsys):
    path = tmp_path / "other.keras"
    arguments = ["--classes", "5", "--resize", "235", "--interpolation", "bicubic"]
    assert main(["convert", str(checkpoint), str(path), *arguments]) == 0
    assert capsys.readouterr().err.startswith("note: resnet6: the classifier of 5 classes begins")
    model = load_keras_file(path)
    assert model.output_shape == (None, 5)
    expected = Preprocessing.imagenet(resize=235, interpolation="bicubic")
    assert keras_resnets.model_preprocessing(model) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pth", "a.keras"], "No such file: 'nowhere.pth'"),
        (["CHECKPOINT", "a.onnx"], "DEST must end in .keras, .weights.h5, .safetensors"),
        (["CHECKPOINT", "nowhere/a.keras"], "existing folder"),
        (["CHECKPOINT", "there.keras"], "without --overwrite"),
        (["CHECKPOINT", "a.keras", "--family", "akamaster"], "belongs to .safetensors"),
        (["CHECKPOINT", "a.keras", "--weights", "there.keras"], "belongs to a network's name"),
        (["CHECKPOINT", "a.keras", "--crop", "300"], "`crop` must fit"),
        (["resnet20", "a.keras", "--classes", "5"], "belongs to a checkpoint of another library"),
        (["resnet20", "a.keras", "--crop", "40"], r"32×32 for 'resnet20'.*makes them 40×40"),
        (["grey.keras", "a.keras", "--crop", "40"], "three channels.*Received: {'crop': 40}"),
        (["resnet20", "a.safetensors"], "torchvision networks have shortcut='B'"),
        (["there.keras", "a.keras"], "must be a zip archive"),
        (["there.weights.h5", "a.keras"], "does not say of which network"),
    ],
)
def test_what_convert_refuses_is_one_line(
    arguments, message, checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    present = ["there.keras", "there.weights.h5"]
    for name in present:
        (tmp_path / name).write_bytes(b"no model")
    if arguments[0] == "grey.keras":
        keras_resnets.ResNet20(input_shape=(32, 32, 1)).save("grey.keras")
        present.insert(0, "grey.keras")
    line = fails(capsys, "convert", *[checkpoint if a == "CHECKPOINT" else a for a in arguments])
    assert line.startswith("keras-resnets")
    assert re.search(message, line), line
    assert sorted(path.name for path in tmp_path.iterdir()) == present


def test_without_dest_it_goes_to_the_current_folder_and_replaces_nothing(
    checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "elsewhere" / "net.pth.tar"
    source.parent.mkdir()
    source.write_bytes(checkpoint.read_bytes())
    (tmp_path / "net.keras").write_bytes(b"no model")
    assert "--overwrite. Received: 'net.keras'" in fails(capsys, "convert", source)
    assert main(["convert", str(source), "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("Wrote net.keras: resnet6")
    assert load_keras_file(tmp_path / "net.keras").output_shape == (None, 3)


def test_untrained_weights_are_called_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "resnet20", "new.weights.h5"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("note: the weights are new ones, untrained")
    weights = ["--weights", "new.weights.h5"]
    assert main(["convert", "resnet20", "again.weights.h5", *weights]) == 0
    assert capsys.readouterr().err == ""


def test_weights_alone_are_given_a_preprocessing(tmp_path, image, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    keras_resnets.ResNet20().save_weights("w.weights.h5")
    line = fails(capsys, "predict", image, "--model", "resnet20", "--weights", "w.weights.h5")
    assert "keras-resnets convert resnet20 noted.keras --weights w.weights.h5 --resize 32`" in line
    assert "set_preprocessing" not in line
    weights = ["--weights", "w.weights.h5"]
    assert main(["convert", "resnet20", "noted.keras", *weights, "--resize", "36"]) == 0
    [note] = capsys.readouterr().err.splitlines()
    assert "ImageNet's mean and deviation are noted" in note
    noted = keras_resnets.model_preprocessing(load_keras_file("noted.keras"))
    assert noted == Preprocessing.imagenet(36, 32)


def test_predict_as_json_is_classify(converted, image, capsys):
    arguments = ["predict", str(image), str(image), "--model", str(converted), "--json"]
    assert main([*arguments, "--top", "2"]) == 0
    answers = json.loads(capsys.readouterr().out)
    expected = keras_resnets.classify(
        load_keras_file(converted), image, top=2, class_names=["class 0", "class 1", "class 2"]
    )
    assert [answer["image"] for answer in answers] == [str(image)] * 2
    for answer in answers:
        found = [keras_resnets.Prediction(**each) for each in answer["predictions"]]
        assert [each[:2] for each in found] == [each[:2] for each in expected[0]]
        # Two images are a batch of another size: other kernels, whose sums round in another order.
        # Some 20 layers of float32 sums, of 1.2e-7 each, move a logit of 5 by 1.2e-5 at most.
        scores = [each.score for each in expected[0]]
        assert [each.score for each in found] == pytest.approx(scores, rel=2e-5)


def test_predict_prints_names_from_a_file_with_bars(converted, image, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text(f"Köln\n{'long ' * 20}\nthird\n", encoding="utf-8")
    arguments = ["predict", str(image), "--model", str(converted), "--class-names", str(names)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    heading, *rows = captured.out.splitlines()
    assert heading == str(image)
    assert len(rows) == 3
    assert max(map(len, rows)) <= 80
    assert {row.split()[0] for row in rows} == {"Köln", "long", "third"}
    assert "█" in rows[0]
    assert captured.err == ""


def test_predict_without_names_says_how_to_give_them(converted, image, capsys):
    assert main(["predict", str(image), "--model", str(converted)]) == 0
    captured = capsys.readouterr()
    assert "class 1" in captured.out
    assert captured.err.startswith("note: the model carries no class names")
    assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IMAGE", "--model", "resnet20"], "new weights, which know nothing"),
        (["nowhere.png", "--model", "MODEL"], "No such file.*nowhere.png"),
        (["IMAGE", "--model", "MODEL", "--class-names", "cifar10"], "3 classes.*10 names"),
        (["IMAGE", "--model", "MODEL", "--class-names", "nowhere.txt"], "nowhere.txt"),
        (["IMAGE", "--model", "MODEL", "--class-names", "IMAGE"], "in UTF-8.*image.png"),
    ],
)
def test_what_predict_refuses_is_one_line(
    arguments, message, checkpoint, image, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    places = {"IMAGE": image, "MODEL": checkpoint}
    line = fails(capsys, "predict", *[places.get(argument, argument) for argument in arguments])
    assert re.search(message, line), line


def test_what_has_several_inputs_or_outputs_is_converted_and_one_line_elsewhere(
    tmp_path, image, capsys
):
    net, more = keras_resnets.ResNet20(), keras.Input((4,))
    features = net.get_layer("stage3_block1").output
    keras.Model(net.input, [net.output, features], name="two").save(tmp_path / "two.keras")
    joined = keras.layers.Concatenate()([net(net.input), more])
    keras.Model([net.input, more], joined, name="pair").save(tmp_path / "pair.keras")
    for name, sizes in (
        ("two", "images 32×32×3 to 10 and 8×8×64 numbers"),
        ("pair", "images 32×32×3 and 4 to 14 numbers"),
    ):
        assert main(["convert", str(tmp_path / f"{name}.keras"), str(tmp_path / "c.keras")]) == 0
        assert capsys.readouterr().out == f"Wrote {tmp_path / 'c.keras'}: {name}, from {sizes}.\n"
        (tmp_path / "c.keras").unlink()
    line = fails(capsys, "describe", tmp_path / "pair.keras")
    assert "one input, a batch of images. Received: 'pair' with inputs of the shapes" in line
    line = fails(capsys, "predict", image, "--model", tmp_path / "pair.keras")
    assert "must be a classifier, with one input and one row of scores an image" in line


def test_help_shows_what_a_command_does_and_its_defaults(capsys):
    assert main(["export", "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "the exit status is then 1." in printed
    assert "(default: images of random discs" in printed


def test_a_size_is_noted_of_a_model_that_scales_its_images_itself(tmp_path, image, capsys):
    pixels = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    source, noted = tmp_path / "whole.keras", tmp_path / "noted.keras"
    keras_resnets.ResNet20(input_tensor=scaled).save(source)
    assert main(["convert", str(source), str(noted), "--resize", "36"]) == 0
    expected = Preprocessing(resize=36, crop=(32, 32), value_range=(0, 255))
    assert keras_resnets.model_preprocessing(load_keras_file(noted)) == expected
    capsys.readouterr()
    assert main(["describe", str(source)]) == 0
    assert "by layers of the model itself" in capsys.readouterr().out
    # Its weights alone are another model: no advice to note a normalization of another kind.
    assert main(["predict", str(image), "--model", "resnet20", "--weights", str(source)]) == 2
    note, line = capsys.readouterr().err.splitlines()
    assert "scales its images itself, by the layer" in note
    assert f"give the whole model, `--model {source}`" in line
    assert "--resize" not in line


def test_one_unit_without_names_has_two_classes(tmp_path, image, capsys):
    model = keras_resnets.ResNet20(classes=1, classifier_activation="sigmoid")
    keras_resnets.set_preprocessing(model, Preprocessing.imagenet(32, 32))
    model.save(tmp_path / "one.keras")
    assert main(["predict", str(image), "--model", str(tmp_path / "one.keras"), "--json"]) == 0
    [answer] = json.loads(capsys.readouterr().out)
    scores = {each["name"]: each["score"] for each in answer["predictions"]}
    assert scores.keys() == {"class 0", "class 1"}
    assert sum(scores.values()) == pytest.approx(1)


def test_a_network_by_its_name_has_the_options_of_its_weights_unless_it_is_another_network(
    tmp_path, image, capsys, monkeypatch
):
    plain = dataclasses.replace(keras_resnets.VARIANTS["resnet20"], shortcut=None)
    monkeypatch.setitem(keras_resnets.VARIANTS, "plainnet20", plain)
    path = tmp_path / "projections.safetensors"
    keras_resnets.to_torch_state_dict(keras_resnets.ResNet20(shortcut="B"), path, "akamaster")
    keras_resnets.ResNet20(zero_pad="both").save(tmp_path / "both.keras")
    for file, note in (
        (tmp_path / "both.keras", "zero_pad is the file's, 'both', not 'end'"),
        (path, "shortcut is the file's, 'B', not 'A'"),
    ):
        assert main(["describe", "resnet20", "--weights", str(file)]) == 0
        assert f"note: resnet20: {note}.\n" in capsys.readouterr().err
        line = fails(capsys, "predict", image, "--model", "plainnet20", "--weights", file)
        kind = "'A'" if file.suffix == ".keras" else "'B'"
        assert f"the file's network has shortcut={kind}, not shortcut=None" in line
        assert f"in place of the name. Received: 'plainnet20' and --weights {file}" in line


@pytest.mark.parametrize("file", ["three.keras", "three.weights.h5", "three.safetensors"])
def test_weights_of_other_classes_open_with_them_where_the_file_names_them(
    file, tmp_path, image, capsys
):
    path = tmp_path / file
    model = keras_resnets.ResNet20(classes=3, zero_pad="both" if "tensors" in file else "end")
    if path.suffix == ".safetensors":
        keras_resnets.to_torch_state_dict(model, path, "akamaster")
    else:
        (model.save if path.suffix == ".keras" else model.save_weights)(path)
    if file != "three.weights.h5":
        assert open_model("resnet20", path).output_shape == (None, 3)
        return
    for command in (("predict", image, "--model", "resnet20"), ("describe", "ResNet20")):
        line = fails(capsys, *command, "--weights", path)
        assert "one of as many classes as resnet20 has by default: " in line
        assert "has 3. Such a file opens by `keras_resnets.create_model" in line
        assert line.rstrip().endswith(f"Received: 'resnet20' and --weights {path}")


def test_one_of_several_networks_is_converted_and_what_was_done_is_said(tmp_path, capsys):
    raw = random_state(torchvision_entries("basic", (1, 1), (4, 6), 2))
    average = random_state(torchvision_entries("basic", (1, 1), (4, 6), 2), seed=1)
    path, dest = tmp_path / "last.ckpt", tmp_path / "average.keras"
    of_both = {f"model.{name}": array for name, array in raw.items()}
    save_file(of_both | {f"ema.{name}": array for name, array in average.items()}, path)
    assert main(["convert", str(path), str(dest), "--entry", "ema", "--verbose"]) == 0
    said = capsys.readouterr()
    assert "entry: ema\nother entries: model\nleft out: none\n" in said.out
    assert "note: resnet6: the weights are those under 'ema'.\n" in said.err
    bias = load_keras_file(dest).get_layer("predictions").bias
    np.testing.assert_array_equal(bias, average["fc.bias"])
    for option in (["--entry", "ema"], ["--verbose"]):
        line = fails(capsys, "convert", dest, tmp_path / "other.keras", *option)
        assert f"`{option[0]}` belongs to a checkpoint of another library" in line


def test_the_folder_of_a_run_becomes_a_file_for_torch(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    model = keras_resnets.ResNet18(input_shape=(32, 32, 3), classes=3)
    model.save(tmp_path / "run" / "model.keras")
    path = tmp_path / "tuned.safetensors"
    assert main(["convert", str(tmp_path / "run"), str(path)]) == 0
    arrays, expected = load_file(path), keras_resnets.to_torch_state_dict(model)
    assert arrays.keys() == expected.keys()
    assert arrays["fc.weight"].shape == (3, 512)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])


def test_layers_for_images_of_0_to_1_are_refused_in_the_same_words_by_all(tmp_path, image, capsys):
    pixels = keras.Input((32, 32, 3))
    scaled = keras.layers.Normalization(mean=[0.5] * 3, variance=[0.06] * 3)(pixels)
    path = tmp_path / "norm01.keras"
    keras_resnets.ResNet20(input_tensor=scaled).save(path)
    rule = "A model that scales its images itself must do so from grey levels 0 to 255: put"
    assert rule in fails(capsys, "predict", image, "--model", path)
    size = ("--resize", "36", "--crop", "32")
    assert rule in fails(capsys, "convert", path, tmp_path / "out.keras", *size)
    assert main(["describe", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Preprocessing: {rule}" in said
    assert "by layers of the model itself" not in said


@pytest.fixture
def exporting(monkeypatch):
    """In place of `export_model`: notes its calls, and answers as it is told."""
    calls = types.SimpleNamespace(made=[], error=None, keeps=True)

    def export_model(model, path, **options):
        calls.made.append((model.output_shape, path, options))
        file = types.SimpleNamespace(
            format="onnx", path=pathlib.Path(path) / "1" / "model.onnx", size=46_800_000
        )
        file.difference, file.agreement = 2.4e-7, None
        report = types.SimpleNamespace(path=pathlib.Path(path) / "1", files=(file,))
        if calls.error is not None:
            raise ExportError(calls.error, report if calls.keeps else None)
        return report

    monkeypatch.setattr("keras_resnets.export.export_model", export_model)
    return calls


def test_export_passes_its_arguments_on(converted, image, exporting, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    options = ["--formats", "saved_model", "onnx", "--images", str(image)]
    options += ["--class-names", str(tmp_path / "names.txt")]
    assert main(["export", str(converted), "out", *options]) == 0
    [(shape, path, given)] = exporting.made
    assert (shape, path) == ((None, 3), "out")
    assert given == {
        "formats": ("saved_model", "onnx"),
        "class_names": ["a", "b", "c"],
        "images": [str(image)],
    }
    wrote, _, header, row = capsys.readouterr().out.splitlines()
    assert wrote == f"Wrote {pathlib.Path('out') / '1'}"
    assert header.split() == ["format", "file", "MB", "difference"]  # no class was compared
    assert row.split() == ["onnx", "model.onnx", "46.8", "2.4e-07"]


@pytest.mark.parametrize("keeps", [True, False])
def test_export_of_which_a_format_fails(keeps, converted, exporting, capsys):
    exporting.error, exporting.keeps = "'onnx' differs by 1e-3\nand more", keeps
    assert main(["export", str(converted), "out"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "keras-resnets: error: 'onnx' differs by 1e-3 and more\n"
    assert ("Wrote" in captured.out) == ("model.onnx" in captured.out) == keeps
    assert exporting.made[0][2]["class_names"] is None


def test_an_exported_model_is_not_taken_for_a_run(tmp_path, image, capsys):
    (tmp_path / "saved_model.pb").touch()
    line = fails(capsys, "predict", image, "--model", tmp_path)
    assert "give the run, file or preset that it was exported from" in line
    assert line.endswith(f"Received: {str(tmp_path)!r}")


def test_an_unknown_command_and_none(capsys):
    assert "invalid choice: 'train'" in fails(capsys, "train")
    assert "required: COMMAND" in fails(capsys)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("one\n  two"), 2, "keras-resnets: error: one two"),
        (OSError(), 2, "keras-resnets: error: OSError"),
        (KeyboardInterrupt(), 130, "keras-resnets: stopped"),
    ],
)
def test_how_a_command_ends(monkeypatch, capsys, error, status, line):
    def run(arguments):
        raise error

    monkeypatch.setattr("keras_resnets.cli.networks.list_command", run)
    assert main(["list"]) == status
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("name", ["\x1b[31mred", "x" * 200_000])
def test_an_array_s_name_is_shown_without_effect_and_cut(name, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    save_file(random_state(torchvision_entries("basic", (1,), (4,), 2) | {name: (1,)}), path)
    assert main(["convert", str(path), str(tmp_path / "model.keras")]) == 2
    printed = capsys.readouterr().err
    assert "surplus: '" in printed
    assert printed.removesuffix("\n").isprintable()
    assert len(printed) < 1000


def test_an_error_s_text_of_whatever_source_is_printable(tmp_path, capsys):
    path = str(tmp_path / "\x1b[31mred.keras")
    assert main(["describe", path]) == 2
    assert capsys.readouterr().err.removesuffix("\n").isprintable()


def test_the_folder_of_a_run_that_is_not_complete_is_told_from_others(tmp_path, capsys):
    (tmp_path / "recipe.toml").touch()
    assert main(["describe", str(tmp_path)]) == 2
    assert (
        "The run must be complete; the command that began it resumes it" in capsys.readouterr().err
    )
