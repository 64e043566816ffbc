"""What no array of a Hugging Face network tells: its `config.json` is followed, or refused."""

import dataclasses
import functools
import json
import os

import pytest
from safetensors.numpy import load_file

import keras_resnets
from keras_resnets import convert_weights, model_spec, to_torch_state_dict

SPEC_1X1 = keras_resnets.ResNetSpec(
    block="bottleneck", repeats=(1, 1), widths=(4, 8), stride_on="1x1"
)
SIZE = {"input_shape": (None, None, 3)}


@functools.cache
def network(block):
    spec = keras_resnets.ResNetSpec(block=block, repeats=(1, 1), widths=(4, 8))
    return keras_resnets.build_model(spec, classes=3)


@pytest.fixture
def saved(tmp_path):
    """Saves a small bottleneck network as Hugging Face does, with given options."""

    def save(block="bottleneck", family="hugging_face", **options):
        path = tmp_path / "model.safetensors"
        to_torch_state_dict(network(block), path, family)
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"} | options))
        return path

    return save


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "3x3"),
        ({"downsample_in_bottleneck": False, "hidden_act": "relu"}, "3x3"),
        ({"downsample_in_bottleneck": True, "downsample_in_first_stage": False}, "1x1"),
        ({"model_type": "other", "downsample_in_bottleneck": True}, "3x3"),
    ],
)
def test_the_stride_is_followed(saved, options, expected):
    assert model_spec(convert_weights(saved(**options), **SIZE)).stride_on == expected


def test_a_basic_block_has_no_stride_to_place(saved):
    path = saved("basic", downsample_in_bottleneck=True)
    assert model_spec(convert_weights(path, **SIZE)).stride_on == "3x3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"downsample_in_first_stage": True}, r"stage=False in .*downsample_in_first_stage=True"),
        ({"hidden_act": "gelu"}, "hidden_act='relu' in its config.json; .* hidden_act='gelu'"),
        ({"hidden_act": ["relu"]}, r"hidden_act=\['relu'\]"),
    ],
)
def test_what_we_have_not_is_refused(saved, options, message):
    with pytest.raises(ValueError, match=message):
        convert_weights(saved(**options), **SIZE)


def test_a_model_or_an_argument_that_contradicts_it_is_refused(saved):
    path = saved(downsample_in_bottleneck=True)
    with pytest.raises(ValueError, match=r"stride_on='1x1'\. Received: .*'3x3'"):
        convert_weights(path, stride_on="3x3", **SIZE)
    path = saved(downsample_in_bottleneck=False)
    with pytest.raises(ValueError, match=r"has stride_on='3x3'.* Received: .*'1x1'"):
        keras_resnets.build_model(SPEC_1X1, classes=3, weights=path)


def test_a_factory_s_default_gives_way_to_it(saved):
    path = saved(downsample_in_bottleneck=True)
    spec = dataclasses.replace(SPEC_1X1, stride_on="3x3")
    with pytest.warns(UserWarning, match="net: stride_on is the file's, '1x1', not '3x3'"):
        model = keras_resnets.build_model(spec, classes=3, weights=path, name="net")
    assert model_spec(model) == SPEC_1X1


@pytest.mark.filterwarnings("error::UserWarning")
def test_without_it_the_stride_is_taken_for_transformers_default(saved):
    path = saved()
    path.with_name("config.json").unlink()
    for source in (path, load_file(path)):
        assert model_spec(convert_weights(source, **SIZE)).stride_on == "3x3"
        assert model_spec(convert_weights(source, stride_on="1x1", **SIZE)) == SPEC_1X1


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (2**20 + 1)], ids=range(5)
)
def test_what_is_no_configuration_is_refused(saved, content):
    path = saved()
    path.with_name("config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json beside `source`.*must be JSON"):
        convert_weights(path, **SIZE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_in_its_place_is_not_opened(saved):
    path = saved()
    path.with_name("config.json").unlink()
    os.mkfifo(path.with_name("config.json"))
    assert model_spec(convert_weights(path, **SIZE)).stride_on == "3x3"


def test_beside_another_family_s_file_it_is_no_matter(saved):
    path = saved(family="torchvision", hidden_act="gelu", downsample_in_bottleneck=True)
    assert model_spec(convert_weights(path, **SIZE)).stride_on == "3x3"
