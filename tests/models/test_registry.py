"""Every named network: its numbers against the literature, its layers, its gradients."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters, explain
from tests.backends import BACKEND
from tests.facts import (
    BOTTLENECK_DEPTHS,
    CIFAR,
    IMAGENET,
    IMAGENET_NAMES,
    NAMES,
    REPEATS,
    block_names,
    cifar_statistics,
    depth_of,
    projecting_blocks,
)
from tests.gradients import value_and_gradients
from tests.models.once import once

# One of each block, stem and kind. Deep networks tell no more about a backend than shallow ones.
EVERYWHERE = ["resnet18", "plainnet50", "resnet20", "plainnet20"]


@pytest.fixture(scope="module", params=NAMES if BACKEND == "tensorflow" else EVERYWHERE)
def network(request):
    """A network as its factory makes it by default, with its name; its weights have no values."""
    with keras.StatelessScope(initialize_variables=False):
        return request.param, keras_resnets.create_model(request.param)


# Where the factories' defaults are not the paper's choice.
DEVIATIONS = {
    "resnet18": ["shortcut"],
    **{name: ["stride of a bottleneck"] for name in ("resnet50", "resnet101", "resnet152")},
    "plainnet50": ["depth and width", "stride of a bottleneck"],
}


def default_shortcut(name):
    if name.startswith("plain"):
        return None
    return "B" if name in IMAGENET_NAMES else "A"


def check_cost(model, name):
    """Compares with as many digits of the multiply-adds as are known."""
    shortcut = default_shortcut(name)
    if name in IMAGENET_NAMES:
        unit, (trainable, total, macs) = 1e9, IMAGENET[name, shortcut]
    else:
        unit, (trainable, *_, macs) = 1e6, CIFAR[depth_of(name)]
        total = trainable + cifar_statistics(depth_of(name), shortcut)
    assert count_parameters(model) == (trainable, total)
    digits = len(macs.partition(".")[2])
    assert f"{count_macs(model) / unit:.{digits}f}" == macs
    assert model.count_params() == total  # Keras's own count


def check_projections(model, expected):
    projecting = [
        layer.name
        for layer in model.layers
        if layer.name.startswith("stage")
        and isinstance(layer.shortcut_layer, keras_resnets.layers.ProjectionShortcut)
    ]
    assert projecting == expected
    with_weights = {w.path.split("/")[0] for w in model.weights if "/projection/" in w.path}
    assert with_weights == set(expected)


def test_every_factory_is_listed():
    listed = keras_resnets.list_models()
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(listed) == sorted([*NAMES, "resnet1202"])
    assert set(keras_resnets.VARIANTS) == set(listed)
    factories = {
        name.lower()
        for name, value in vars(keras_resnets).items()
        if inspect.isfunction(value) and name.startswith(("ResNet", "PlainNet"))
    }
    assert factories == set(listed)


def test_list_models_filters():
    assert keras_resnets.list_models("plain*") == [n for n in NAMES if n.startswith("plain")]
    assert keras_resnets.list_models("ResNet?0") == ["resnet50", "resnet20"]
    assert keras_resnets.list_models("vgg*") == []
    with pytest.raises(TypeError, match=r"`pattern`.*pattern=18"):
        keras_resnets.list_models(18)


@pytest.mark.usefixtures("without_values")
def test_create_model_calls_the_factory():
    model = keras_resnets.create_model("ResNet20", classes=3, shortcut="C")
    assert model.name == "resnet20"
    assert model.output_shape == (None, 3)
    check_projections(model, block_names("resnet20"))


def test_create_model_names_the_nearest():
    with pytest.raises(ValueError, match=r"`name`.*Did you mean .*'resnet34'.*name='resnet43'"):
        keras_resnets.create_model("resnet43")
    with pytest.raises(TypeError, match=r"`name` must be a string.*name=34"):
        keras_resnets.create_model(34)
    with pytest.raises(TypeError, match="depth"):
        keras_resnets.create_model("resnet20", depth=20)


def test_costs(network):
    """Of their defaults. Other options are counted in tests/architecture/test_cost.py."""
    name, model = network
    check_cost(model, name)


@once
@pytest.mark.usefixtures("without_values")
@pytest.mark.parametrize("shortcut", ["A", "C"])
@pytest.mark.parametrize("name", ["resnet18", "resnet20"])
def test_which_blocks_project_with_other_shortcuts(name, shortcut):
    model = keras_resnets.create_model(name, shortcut=shortcut)
    check_projections(model, projecting_blocks(name, shortcut))


@once
@pytest.mark.soak  # its cost is checked by arithmetic, too
def test_resnet1202():
    model = keras_resnets.ResNet1202()
    check_cost(model, "resnet1202")
    assert keras_resnets.model_spec(model).depth == 1202
    assert model.output_shape == (None, 10)


def test_only_these_blocks_project(network):
    name, model = network
    check_projections(model, projecting_blocks(name, default_shortcut(name)))


@once
def test_deviations_from_the_paper(network):
    name, model = network
    found = [deviation.what for deviation in explain(model).deviations]
    assert found == DEVIATIONS.get(name, [])


def test_depth_counts_the_layers_with_weights(network):
    """The paper counts the convolutions of the branches and the classifier."""
    name, model = network
    kernels = [
        weight.path
        for weight in model.weights
        if weight.path.endswith("kernel") and "/projection/" not in weight.path
    ]
    assert len(kernels) == depth_of(name) == keras_resnets.model_spec(model).depth


def test_stage_shapes(network):
    """Table 1 for 224×224, section 4.2 for 32×32."""
    name, model = network
    if name in IMAGENET_NAMES:
        sizes, widths = (56, 28, 14, 7), (64, 128, 256, 512)
        classes, expansion = 1000, 4 if depth_of(name) in BOTTLENECK_DEPTHS else 1
        assert model.input_shape == (None, 224, 224, 3)
        assert model.get_layer("stem_conv").output.shape == (None, 112, 112, 64)
        assert model.get_layer("stem_pool").output.shape == (None, 56, 56, 64)
    else:
        sizes, widths, classes, expansion = (32, 16, 8), (16, 32, 64), 10, 1
        assert model.input_shape == (None, 32, 32, 3)
        assert model.get_layer("stem_conv").output.shape == (None, 32, 32, 16)
    for stage, (repeats, size, width) in enumerate(
        zip(REPEATS[depth_of(name)], sizes, widths, strict=True), 1
    ):
        for block in range(1, repeats + 1):
            output = model.get_layer(f"stage{stage}_block{block}").output
            assert output.shape == (None, size, size, width * expansion)
    assert model.get_layer("avg_pool").output.shape == (None, widths[-1] * expansion)
    assert model.output_shape == (None, classes)
    assert model.layers[-1].activation is keras.activations.softmax


def test_layers_are_flat_and_named(network):
    name, model = network
    stem = ["stem_conv", "stem_activation"]
    if name in IMAGENET_NAMES:
        stem.append("stem_pool")
    names = [layer.name for layer in model.layers]
    assert names[1:] == [*stem, *block_names(name), "avg_pool", "predictions"]
    assert model.name == name


@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_parameter_gets_a_gradient(name):
    """With two blocks in each stage, and few filters."""
    stages = len(REPEATS[depth_of(name)])
    spec = dataclasses.replace(
        keras_resnets.VARIANTS[name], repeats=(2,) * stages, widths=(4, 6, 8, 10)[:stages]
    )
    model = keras_resnets.build_model(spec, input_shape=(64, 64, 3), classes=10)
    x = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype("float32")
    labels = np.arange(len(x))

    def loss():
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(x, training=True))
        return keras.ops.mean(losses)

    value, gradients = value_and_gradients(loss, model.trainable_weights)
    assert np.isfinite(value)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient), f"no gradient reaches {weight.path}"
