"""Options that no array shows: a `.keras` file of a network with others is refused."""

import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import Preprocessing, build_model, model_preprocessing, model_spec
from keras_resnets.files import WeightsFileError
from keras_resnets.weights.keras_files import OptionError
from tests.layer_checks import numpy
from tests.models.networks import TINY, load_weights_file

BASIC = dataclasses.replace(TINY, shortcut="A")
BOTTLENECK = dataclasses.replace(TINY, block="bottleneck")
DEEP = dataclasses.replace(BOTTLENECK, repeats=(1, 1, 1), widths=(4, 6, 8))


def build(spec, size=16, **arguments):
    return build_model(spec, input_shape=(size, size, 3), classes=2, **arguments)


def check_same_answers(*models):
    image = np.random.default_rng(0).uniform(size=(1, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(*(numpy(model(image)) for model in models))


@pytest.mark.parametrize(
    ("spec", "option", "value"),
    [
        (dataclasses.replace(BASIC, zero_pad="both"), "zero_pad", "end"),
        (BASIC, "shortcut", "B"),
        (BASIC, "shortcut", None),
        (dataclasses.replace(BASIC, activation="tanh"), "activation", "elu"),
        (dataclasses.replace(BOTTLENECK, stride_on="1x1"), "stride_on", "3x3"),
        (DEEP, "output_stride", 2),
    ],
)
def test_another_option_is_refused_unless_it_is_passed(spec, option, value, tmp_path):
    path = tmp_path / "net.keras"
    saved = build(dataclasses.replace(spec, **{option: value}))
    saved.save(path)
    other = f"{option}={value!r}"
    with pytest.raises(
        OptionError, match=f"has {other}: pass {other}, or open.*load_model"
    ) as raised:
        build(spec, weights=path)
    own = 4 if option == "output_stride" else getattr(spec, option)
    assert str(raised.value).endswith(f"Received: weights={str(path)!r}, {option}={own!r}")
    check_same_answers(build(model_spec(saved), weights=path), saved)


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (BASIC, {"zero_pad": "both"}),
        (TINY, {"shortcut": "A", "zero_pad": "both"}),
        (BASIC, {"activation": "elu"}),
        (BOTTLENECK, {"stride_on": "1x1"}),
    ],
)
def test_options_at_their_default_give_way_to_the_file_s(spec, options, tmp_path):
    saved = build(dataclasses.replace(spec, **options), name="saved")
    saved.save(tmp_path / "model.keras")
    notes = [
        f"net: {option} is the file's, {value!r}, not {getattr(spec, option)!r}."
        for option, value in options.items()
    ]
    with pytest.warns(UserWarning, match="is the file's") as caught:
        loaded = build(spec, weights=tmp_path, name="net")  # of a run's folder, too
    assert [str(warning.message) for warning in caught] == notes
    assert {warning.filename for warning in caught} == {__file__}
    assert model_spec(loaded) == model_spec(saved)
    check_same_answers(loaded, saved)


def test_options_of_another_network_s_blocks_are_not_looked_at(tmp_path):
    """What differs first is its class, or its place, and not an option that one could pass."""
    path = tmp_path / "net.keras"
    gated = keras_resnets.with_blocks(build(BASIC), keras_resnets.layers.GatedBlock, shortcut="B")
    gated.save(path)
    with pytest.raises(WeightsFileError, match="the first layer that differs is 'stage2_block1/p"):
        build(BASIC, weights=path)
    inner = build(dataclasses.replace(TINY, shortcut="B"), name="inner")
    keras.Sequential([keras.Input((16, 16, 3)), inner, keras.layers.Dense(3)]).save(path)
    with pytest.raises(WeightsFileError, match="the first layer that differs is 'stem_conv/conv'"):
        build(BASIC, weights=path)


@pytest.mark.parametrize("weights", ["model.keras", "akamaster.safetensors"])
def test_what_a_factory_was_not_told_is_the_file_s_and_what_it_was_told_is_not(weights, tmp_path):
    """Its own default, which is not a spec's, gives way; a spec's own, when passed, does not."""
    path = tmp_path / weights
    saved = keras_resnets.ResNet20(shortcut="B")
    keras_resnets.set_preprocessing(saved, Preprocessing(resize=32, crop=32))
    if path.suffix == ".keras":
        saved.save(path)
    else:
        keras_resnets.to_torch_state_dict(saved, path, "akamaster")
    with pytest.warns(UserWarning, match="resnet20: shortcut is the file's, 'B', not 'A'"):
        loaded = keras_resnets.ResNet20(weights=path)
    assert model_spec(loaded).shortcut == "B"
    with pytest.raises(OptionError, match="has shortcut='B': pass shortcut='B'"):
        keras_resnets.ResNet20(weights=path, shortcut="A")
    padded = keras_resnets.ResNet20(zero_pad="both")
    padded.save(tmp_path / "model.keras")
    with pytest.raises(OptionError, match="has zero_pad='both': pass zero_pad='both'"):
        keras_resnets.ResNet20(weights=tmp_path / "model.keras", zero_pad="end")


def test_what_is_no_part_of_the_weights_may_differ(tmp_path):
    training = {"drop_path_rate": 0.1, "zero_init_residual": True}
    changed = dataclasses.replace(DEEP, output_stride=2, **training)
    build(DEEP).save(tmp_path / "net.keras")
    build(changed, weights=tmp_path / "net.keras")
    build(dataclasses.replace(DEEP, **training)).save(tmp_path / "net.keras")
    build(DEEP, weights=tmp_path / "net.keras")


def test_other_blocks_and_their_options_are_refused_and_nothing_is_loaded(tmp_path):
    path = tmp_path / "net.keras"
    ordered = keras_resnets.layers.OrderedBlock
    plain = build(BASIC)
    keras_resnets.with_blocks(plain, ordered, order="activation_before_addition").save(path)
    before = plain.get_weights()
    with pytest.raises(OptionError, match=r"class='OrderedBlock': open.*class='BasicBlock'"):
        load_weights_file(plain, path)
    np.testing.assert_equal(plain.get_weights(), before)
    original = keras_resnets.with_blocks(plain, ordered, order="original")
    with pytest.raises(OptionError, match=r"order='activation_before_addition'.*order='original'"):
        load_weights_file(original, path)


def test_a_network_within_a_model_is_compared_too(tmp_path):
    def around(spec):
        inner = build(spec, name="inner")
        return keras.Sequential([keras.Input((16, 16, 3)), inner, keras.layers.Dense(3)])

    padded = around(dataclasses.replace(BASIC, zero_pad="both"))
    padded.save(tmp_path / "net.keras")
    load_weights_file(padded, tmp_path / "net.keras")
    with pytest.raises(OptionError, match="zero_pad='both'"):
        load_weights_file(around(BASIC), tmp_path / "net.keras")


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    """The file of a network."""
    path = tmp_path_factory.mktemp("basic") / "net.keras"
    build(BASIC).save(path)
    return path


@pytest.fixture
def rewritten(basic, tmp_path):
    """Writes the file anew with another configuration, and returns its path."""

    def rewrite(change):
        path = tmp_path / "net.keras"
        with zipfile.ZipFile(basic) as archive, zipfile.ZipFile(path, "w") as copy:
            for name in archive.namelist():
                content = archive.read(name)
                copy.writestr(name, change(content) if name == "config.json" else content)
        return path

    return rewrite


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"{", b"[{", "configuration is no JSON"),
        (b'"end"', b"[" * 100_000, "configuration is no JSON"),
        (b'"end"', b'"%s"' % (b"x" * 1000), r"zero_pad='x+\.\.\."),
        (b'"end"', b'{"a": [1]}', r"zero_pad=\{'a': \[1\]\}"),
        (b'ing": null', b'ing": {"smell": 3}', r"note a preprocessing.*'smell'.*weights="),
    ],
)
def test_a_configuration_that_is_not_sound_is_refused(rewritten, old, new, message):
    path = rewritten(lambda content: content.replace(old, new))
    with pytest.raises(WeightsFileError, match=message) as raised:
        build(BASIC, weights=path)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("option", ["activation", "zero_pad", "shortcut"])
@pytest.mark.parametrize(
    "value",
    [
        3,
        ["relu"],
        {"class_name": "Dense", "module": 3, "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "config": {"units": 4}},
        {"class_name": "__tensor__", "config": {}},
        {"class_name": "TextVectorization", "module": "keras.layers", "config": {}},
    ],
)
def test_nothing_is_built_of_an_option_that_is_no_plain_value(
    rewritten, option, value, monkeypatch
):
    def change(content):
        configuration = json.loads(content)
        for layer in configuration["config"]["layers"]:
            if "shortcut" in layer["config"]:
                layer["config"][option] = value
        return json.dumps(configuration)

    looked_up = []  # by what would build a layer of its configuration
    look_up = keras.activations.get
    monkeypatch.setattr(keras.activations, "get", lambda it: looked_up.append(it) or look_up(it))
    with pytest.raises(OptionError, match=f"the file's network has {option}="):
        build(BASIC, weights=rewritten(change))
    assert not any(isinstance(each, (dict, list)) for each in looked_up)


@pytest.mark.parametrize("layers", [3, [3, {"config": 3}, {"registered_name": 3}]])
def test_one_without_layers_says_nothing(rewritten, layers):
    path = rewritten(lambda content: json.dumps({"config": {"layers": layers}}))
    assert model_preprocessing(build(BASIC, weights=path)) is None


def test_the_preprocessing_is_taken_over_for_the_size_of_the_model_s_images(tmp_path):
    path = tmp_path / "net.keras"
    saved = build(BASIC)
    noted = Preprocessing(resize=20, crop=16, mean=0.25, std=0.5)
    keras_resnets.set_preprocessing(saved, noted)
    saved.save(path)
    assert model_preprocessing(build(BASIC, weights=path)) == noted
    larger = model_preprocessing(build(BASIC, size=32, weights=path))
    assert larger == dataclasses.replace(noted, resize=40, crop=(32, 32))


def test_a_class_that_is_no_text_is_no_layer_that_scales(rewritten):
    path = rewritten(lambda content: content.replace(b'"Classifier"', b'["Rescaling"]'))
    build(BASIC, weights=path)
