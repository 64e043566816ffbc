"""Checkpoints that torch itself writes, as tools and people do, objects and all."""

import argparse
import collections
import dataclasses
import datetime
import enum
import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import convert_weights
from keras_resnets.files import WeightsFileError
from tests.subprocesses import ROOT
from tests.weights.states import random_state, torchvision_entries

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers
STATE = random_state(torchvision_entries("basic", (1, 1, 1, 1), (4, 4, 6, 6), 5))
TRUNK = {name: array for name, array in STATE.items() if not name.startswith("fc.")}


class Phase(enum.Enum):
    TRAIN = 1


class Config(dict):
    """As those of mmengine and others, which are dictionaries with attributes."""

    def __init__(self, **values):
        super().__init__(values)
        self.filename = pathlib.Path("config.py")


def tensors(arrays, prefix=""):
    return {f"{prefix}{name}": torch.from_numpy(array) for name, array in arrays.items()}


def optimizer():
    module = torch.nn.Linear(3, 2)
    adam = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    adam.step()
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=0.1, total_steps=10)
    return {"optimizer": adam.state_dict(), "lr_scheduler": schedule.state_dict()}


def random_generators():
    return {
        "torch": torch.get_rng_state(),
        "numpy": np.random.default_rng(0).bit_generator.state,
        "numpy_legacy": np.random.RandomState(0).get_state(),
        "python": __import__("random").getstate(),
    }


def channels_last():
    return {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in tensors(STATE).items()
    }


def shared_storage():
    """All parameters are windows on one storage, as of flattened modules."""
    flat = torch.cat([torch.from_numpy(array).flatten() for array in STATE.values()])
    state, start = {}, 0
    for name, array in STATE.items():
        state[name] = flat[start : start + array.size].view(array.shape)
        start += array.size
    return state


def child(name):
    """Returns the name below `Sequential(*module.children())`."""
    first, dot, rest = name.partition(".")
    places = {"conv1": 0, "bn1": 1} | {f"layer{stage}": stage + 3 for stage in range(1, 5)}
    return f"{places[first]}{dot}{rest}"


# What is saved, and what of it: the whole network, or its features.
SAVED = {
    "torchvision's references": (
        lambda: {
            "model": tensors(STATE),
            **optimizer(),
            "epoch": 3,
            "args": argparse.Namespace(lr=0.1, started=datetime.datetime(2026, 1, 2)),
            "model_ema": {"n_averaged": torch.tensor(3), **tensors(STATE, "module.")},
        },
        True,
    ),
    "torch's ImageNet example": (
        lambda: {
            "epoch": 90,
            "arch": "resnet18",
            "state_dict": tensors(STATE, "module."),
            "best_acc1": torch.tensor(0.7),
            **optimizer(),
        },
        True,
    ),
    "Lightning": (
        lambda: {
            "state_dict": tensors(STATE, "model."),
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best": torch.tensor(0.1)}},
            "hparams_name": "kwargs",
            "hyper_parameters": Config(lr=0.1, phase=Phase.TRAIN),
            "loops": {"fit_loop": {"state_dict": {}}},
            "optimizer_states": [optimizer()["optimizer"]],
        },
        True,
    ),
    "fastai's Learner": (
        lambda: {
            "model": tensors({child(name): array for name, array in TRUNK.items()}, "0."),
            "opt": {"state": [], "hypers": [{"lr": 0.1}]},
        },
        False,
    ),
    "MMPretrain": (
        lambda: {
            "meta": {"time": datetime.datetime(2026, 1, 2), "cfg": Config(a=1), "seed": 0},
            "state_dict": collections.OrderedDict(
                tensors(TRUNK, "backbone.")
                | tensors({name: STATE[name] for name in ("fc.weight", "fc.bias")}, "head.")
            ),
            "message_hub": {"history": collections.defaultdict(list, {"loss": [np.float64(0.5)]})},
        },
        True,
    ),
    "DINO": (
        lambda: {
            "student": tensors(TRUNK, "module.backbone."),
            "teacher": tensors(TRUNK, "backbone."),
            **optimizer(),
            "args": argparse.Namespace(arch="resnet50"),
            "dino_loss": {"center": torch.ones(1, 9)},
        },
        False,
    ),
    "VISSL": (
        lambda: {
            "phase_idx": 3,
            "classy_state_dict": {
                "base_model": {
                    "model": {"trunk": tensors(TRUNK, "_feature_blocks."), "heads": {}},
                    "meta": {"config": Config(x=1)},
                }
            },
        },
        False,
    ),
    "generators of random numbers": (
        lambda: {"net": tensors(STATE), "rng": random_generators(), (1, 2): "a key of two"},
        True,
    ),
    "compiled": (lambda: tensors(STATE, "_orig_mod.module."), True),
    "parameters": (
        lambda: {name: torch.nn.Parameter(tensor) for name, tensor in tensors(STATE).items()},
        True,
    ),
    "channels last": (channels_last, True),
    "one storage": (shared_storage, True),
    "in double precision": (
        lambda: {name: tensor.double() for name, tensor in tensors(STATE).items()},
        True,
    ),
    "beside complex numbers": (
        lambda: {"model": tensors(STATE), "spectrum": torch.ones(2, dtype=torch.complex64)},
        True,
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stream", [False, True], ids=["zip", "stream"])
@pytest.mark.parametrize("kind", SAVED)
def test_what_tools_save_is_converted(kind, stream, tmp_path):
    make, has_top = SAVED[kind]
    if stream and kind == "beside complex numbers":
        pytest.skip("where a storage of an unknown type ends, a stream does not say")
    path = tmp_path / "last.ckpt"
    torch.save(make(), path, _use_new_zipfile_serialization=not stream)
    model = convert_weights(path)
    expected = convert_weights(STATE if has_top else TRUNK)
    assert [weight.path for weight in model.weights] == [each.path for each in expected.weights]
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(
            *map(keras.ops.convert_to_numpy, (weight, other)), err_msg=weight.path
        )


class Tagged(torch.Tensor):
    """As DeepSpeed and others mark theirs."""


def test_parameters_with_attributes_and_tensors_of_classes_are_plain_ones(tmp_path):
    state = {name: torch.nn.Parameter(tensor) for name, tensor in tensors(STATE).items()}
    for parameter in state.values():
        parameter.ds_id = 1
    state["fc.bias"] = tensors(STATE)["fc.bias"].as_subclass(Tagged)
    torch.save(state, tmp_path / "tagged.pth")
    model = convert_weights(tmp_path / "tagged.pth")
    bias = keras.ops.convert_to_numpy(model.get_layer("predictions").bias)
    np.testing.assert_array_equal(bias, STATE["fc.bias"])


def tagged(tensor):
    tensor.tag = 1
    return tensor


@pytest.mark.parametrize(
    "make",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tagged(tensor.to_sparse()),
        lambda tensor: tensor.to(torch.complex64),
    ],
    ids=["sparse", "tagged", "complex"],
)
@pytest.mark.parametrize("name", ["fc.bias", "fc.weight", "layer1.0.bn1.weight"])
def test_a_tensor_that_cannot_be_read_is_missed_by_name(name, make, tmp_path):
    state = tensors(STATE)
    state[name] = make(state[name])
    torch.save(state, tmp_path / "sparse.pth")
    with pytest.raises(ValueError, match=f"misshapen: '{name}' is object"):
        convert_weights(tmp_path / "sparse.pth")


@pytest.mark.parametrize(
    "name",
    [
        *("resnetaa50", "resnetblur18", "resnetblur18.ra", "hf_hub:timm/resnetblur50.bt_in1k"),
        *("seresnetaa50d", "seresnextaa101d_32x8d"),
    ],
)
@pytest.mark.parametrize("is_in_file", [True, False])
def test_what_no_array_tells_is_told_by_its_name(name, is_in_file, tmp_path):
    path = tmp_path / ("last.pth.tar" if is_in_file else f"{name.rpartition('/')[2]}-0123abcd.pth")
    entries = {"arch": name} if is_in_file else {}
    torch.save({**entries, "state_dict": tensors(STATE)}, path)
    expected = "average" if "aa" in name else "blur"
    with pytest.warns(UserWarning, match=f"anti_alias='{expected}' is assumed because"):
        model = convert_weights(path)
    spec = keras_resnets.model_spec(model)
    assert spec.anti_alias == expected
    # A given model says what it is, and a factory that asks for it gets it without a word.
    plain = keras_resnets.build_model(dataclasses.replace(spec, anti_alias=None), classes=5)
    assert convert_weights(path, plain) is plain
    assert keras_resnets.model_spec(plain).anti_alias is None


def test_objects_under_a_name_of_weights_do_not_hide_the_weights(tmp_path):
    saved = {"model": argparse.Namespace(depth=18), "state_dict": tensors(STATE)}
    torch.save(saved, tmp_path / "both.pth")
    assert convert_weights(tmp_path / "both.pth").output_shape == (None, 5)


def test_a_whole_module_is_refused_with_what_helps(tmp_path):
    path = tmp_path / "whole.pth"
    module = torch.nn.Linear(2, 2)
    for saved in (module, {"model": module, "epoch": 1}, {"model": module, **optimizer()}):
        torch.save(saved, path)
        with pytest.raises(WeightsFileError, match=r"Linear' makes: a whole model.*state_dict\(\)"):
            convert_weights(path)


CASES = ROOT.parent / "shared" / "cases" / "make_checkpoints.py"
AVERAGES = {"model_and_ema.pth": "model_ema", "timm_ema.pth.tar": "state_dict_ema"}
NETWORKS = {"same": "plain", "ema": "ema", "head": "head"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not CASES.is_file(), reason="needs the shared cases")
def test_each_of_the_shared_cases_answers_as_it_should(tmp_path):
    subprocess.run([sys.executable, str(CASES), str(tmp_path)], check=True, capture_output=True)
    images = np.load(tmp_path / "images.npz")["images"]

    def differs(name, wanted, **options):
        """Returns how far the outputs are from those of the original, to the largest."""
        model = convert_weights(tmp_path / name, input_shape=(64, 96, 3), **options)
        values = keras.ops.convert_to_numpy(model(images))
        values = values.mean((1, 2)) if wanted == "features" else values
        [expected] = np.load(tmp_path / f"{wanted}.npz").values()
        return np.abs(values - expected).max() / (1 + np.abs(expected).max())

    logits = {"classifier_activation": "linear"}
    outcomes = json.loads((tmp_path / "expected.json").read_text())
    assert len(outcomes) == 12
    for name, outcome in outcomes.items():
        if outcome in NETWORKS:
            assert differs(name, NETWORKS[outcome], **logits) < 1e-4, name
        elif outcome.startswith("refused"):
            with pytest.raises(WeightsFileError, match="one part of a checkpoint"):
                convert_weights(tmp_path / name)
        elif outcome.startswith("a choice"):
            with pytest.warns(UserWarning, match="others are under"):
                assert differs(name, "plain", **logits) < 1e-4
            assert differs(name, "ema", entry=AVERAGES[name], **logits) < 1e-4
        else:
            with pytest.warns(UserWarning, match="encoder_q.*others are under.*encoder_k"):
                assert differs(name, "features") < 1e-4
