"""Every named network: its numbers against the literature, its layers, its gradients."""

import dataclasses
import inspect
import math
import re

import keras
import numpy as np
import pytest

import docs.models
import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters, explain
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.spec import STEMS
from keras_resnets.models import named_networks
from tests.backends import BACKEND
from tests.facts import (
    BOTTLENECK_DEPTHS,
    CIFAR,
    CIFAR_V2,
    IMAGENET,
    IMAGENET_NAMES,
    NAMES,
    PUBLISHED_MILLIONS,
    REPEATS,
    TIMM,
    WIDER_NAMES,
    block_names,
    cifar_statistics,
    depth_of,
    projecting_blocks,
)
from tests.gradients import value_and_gradients
from tests.layer_checks import numpy, randomize
from tests.models.networks import images
from tests.models.once import once

# One of each block, stem and kind. Deep networks tell no more about a backend than shallow ones.
EVERYWHERE = ["resnet18", "plainnet50", "resnet20", "plainnet20"]
# One of each option.
WIDER_EVERYWHERE = ["resnet50dv2", "resnext50_32x4d", "wrn28_10", "resnetrs50", "resnetblur50"]


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
    assert sorted(listed) == sorted([*NAMES, "resnet1202", *WIDER_NAMES])
    assert list(keras_resnets.VARIANTS) == listed
    factories = [
        name.lower()
        for name, value in vars(named_networks).items()
        if inspect.isfunction(value) and name not in ("resnet", "plainnet")
    ]
    assert factories == listed
    public = {name.lower() for name in keras_resnets.models.__all__}
    assert public >= set(listed)


def test_list_models_filters():
    assert keras_resnets.list_models("plain*") == [n for n in NAMES if n.startswith("plain")]
    assert keras_resnets.list_models("ResNet?0") == ["resnet50", "resnet20"]
    assert keras_resnets.list_models("vgg*") == []
    with pytest.raises(TypeError, match=r"`pattern`.*pattern=18"):
        keras_resnets.list_models(18)


def test_list_models_of_a_family():
    plain, he = keras_resnets.list_models(family="plain"), keras_resnets.list_models("*", "resnet")
    assert plain == keras_resnets.list_models("plain*")
    assert {*plain, *he} == {*NAMES, "resnet26", "resnet200", "resnet1202"}
    rest = {
        "resnet_d": r"resnet\d+d",
        "v2": r"resnet\d+d?v2",
        "resnext": r"resnext\d+d?_\d+x\dd",
        "wide": r"wideresnet\d+_2|wrn\d+_\d+",
        "se": r"seresne.*",
        "rs": r"resnetrs\d+",
        "blur": r"resnetblur\d+",
    }
    for family, names in rest.items():
        expected = [name for name in WIDER_NAMES if re.fullmatch(names, name)]
        assert keras_resnets.list_models(family=family) == expected
        assert expected
    assert keras_resnets.list_models("*101*", family="rs") == ["resnetrs101"]
    for family in ("vgg", "", True):
        with pytest.raises(ValueError, match=rf"'resnet_d', 'v2', .*family={family!r}"):
            keras_resnets.list_models(family=family)


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


@once
def test_the_readme_has_the_table_of_the_models():
    assert docs.models.page() == docs.models.PAGE.read_text(encoding="utf-8")
    assert docs.models.table() in docs.models.page()


@once
@pytest.mark.parametrize("name", [*TIMM, *CIFAR_V2])
def test_parameters_and_multiply_adds_to_the_unit(name):
    spec, expected = keras_resnets.VARIANTS[name], (TIMM | CIFAR_V2)[name]
    stem, plan = STEMS[spec.stem], make_plan(spec)
    assert plan.cost(stem.image_size, 3, stem.classes) == (expected.trainable, expected.macs)
    shapes = plan.variable_shapes(3, stem.classes)
    statistics = [math.prod(shape) for path, shape in shapes.items() if "/moving_" in path]
    assert sum(statistics) == expected.statistics


@pytest.mark.parametrize("name", CIFAR_V2)
def test_the_parameters_are_as_many_as_published(name):
    trainable, statistics, _ = CIFAR_V2[name]
    assert round((trainable - statistics) / 1e6, 1) == PUBLISHED_MILLIONS[name]


@once
@pytest.mark.parametrize("name", keras_resnets.VARIANTS)
def test_the_docstring_says_what_a_network_costs(name):
    spec = keras_resnets.VARIANTS[name]
    stem = STEMS[spec.stem]
    cost = make_plan(spec).cost(stem.image_size, 3, stem.classes)
    [factory] = [each for key, each in vars(keras_resnets).items() if key.lower() == name]
    text, is_cifar = " ".join(inspect.getdoc(factory).split()), spec.stem == "cifar"
    macs = f"{cost.macs / 1e6:.2f}·10⁶" if is_cifar else f"{cost.macs / 1e9:.4f}·10⁹"
    assert f"{cost.parameters:,} parameters and {macs} multiply-adds" in text
    assert f"images of {stem.image_size}×{stem.image_size}×3 and {stem.classes} classes." in text
    assert "Source: [" in text


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


@once
@pytest.mark.parametrize("name", WIDER_NAMES)
def test_the_depth_of_the_wider_family(name):
    spec, depth = keras_resnets.VARIANTS[name], depth_of(name)
    assert spec.repeats == REPEATS[depth]
    # Zagoruyko & Komodakis count the projections of the second and third stage, too.
    assert spec.depth == depth - (2 if name.startswith("wrn") else 0)
    twin = keras_resnets.plain_twin(spec)
    assert twin == dataclasses.replace(spec, shortcut=None)
    lost = make_plan(spec).cost(224, 3, 10).parameters - make_plan(twin).cost(224, 3, 10).parameters
    projections = [layer for block in make_plan(spec).blocks() for layer in block.projection]
    assert lost == sum(
        layer.inputs * layer.outputs if layer.kind == "conv" else 2 * layer.outputs
        for layer in projections
    )


def shrunken(name, repeats, share):
    """A row with fewer blocks in a stage, fewer stages or fewer filters."""
    spec = keras_resnets.VARIANTS[name]
    widths = tuple(width // share for width in spec.widths)[: len(repeats)]
    return dataclasses.replace(spec, repeats=repeats, widths=widths)


def of_each_kind(names):
    """The first name of those that shrink to the same spec."""
    kinds = {}
    for name in names:
        stages = len(keras_resnets.VARIANTS[name].repeats)
        kinds.setdefault(shrunken(name, (2,) * stages, 4), name)
    return list(kinds.values())


@once
@pytest.mark.usefixtures("without_values")
@pytest.mark.parametrize("name", of_each_kind(WIDER_NAMES))
def test_the_wider_family_block_by_block(name):
    """Which blocks project, what they are called and which shapes they have."""
    stages = len(keras_resnets.VARIANTS[name].repeats)
    spec = shrunken(name, (2,) * stages, 1)
    model = keras_resnets.build_model(spec)
    blocks = block_names(name, spec.repeats)
    check_projections(model, [block for block in projecting_blocks(name, "B") if block in blocks])

    is_cifar = stages == 3
    sizes = (32, 16, 8) if is_cifar else (56, 28, 14, 7)
    width = (16 if is_cifar else 64) * int(name.split("_")[1] if name.startswith("wrn") else 1)
    expansion = 4 if depth_of(name) in BOTTLENECK_DEPTHS else 1
    for stage, size in enumerate(sizes):
        for block in (1, 2):
            output = model.get_layer(f"stage{stage + 1}_block{block}").output
            assert output.shape == (None, size, size, width * 2**stage * expansion)
    names = [layer.name for layer in model.layers[1:]]
    begin, end = names.index(blocks[0]), names.index(blocks[-1])
    assert names[begin : end + 1] == blocks
    assert all(name.startswith("stem_") for name in names[:begin])
    post = ["post_norm", "post_activation"] if spec.pre_activation else []
    assert names[end + 1 :] == [*post, "avg_pool", "predictions"]
    assert model.output_shape == (None, 10 if is_cifar else 1000)


@pytest.fixture(
    scope="module",
    params=of_each_kind(keras_resnets.VARIANTS)
    if BACKEND == "tensorflow"
    else EVERYWHERE + WIDER_EVERYWHERE,
)
def small(request):
    """Two stages of a row, with few filters and random weights: its spec and its model."""
    spec = shrunken(request.param, (2, 1), 4)
    model = keras_resnets.build_model(spec, input_shape=(32, 32, 3), classes=3, name="small")
    randomize(model)
    return spec, model


@once
def test_its_layers_cost_what_the_plan_says(small):
    spec, model = small
    plan, count = make_plan(spec), count_parameters(model)
    assert plan.cost(32, 3, 3) == (count.trainable, count_macs(model))
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    assert plan.variable_shapes(3, 3) == shapes


@once
def test_it_saves_and_reloads_to_the_same_outputs(small, tmp_path):
    spec, model = small
    model.save(tmp_path / "small.keras")
    again = keras.saving.load_model(tmp_path / "small.keras")
    assert keras_resnets.model_spec(again) == keras_resnets.model_spec(model) == spec
    x = images(2, 32, 32, 3)
    np.testing.assert_array_equal(numpy(again(x)), numpy(model(x)))


@once
def test_it_has_a_twin_and_folds(small):
    spec, model = small
    twin = keras_resnets.plain_twin(model)
    assert keras_resnets.model_spec(twin) == keras_resnets.plain_twin(spec)
    assert not any("/projection/" in weight.path for weight in twin.weights)
    x = images(2, 32, 32, 3)
    for network in (model, twin):
        folded = keras_resnets.fuse_batch_norm(network)
        assert len(folded.weights) < len(network.weights)
        np.testing.assert_allclose(numpy(folded(x)), numpy(network(x)), rtol=1e-3, atol=1e-5)


@once
def test_it_is_explained(small):
    assert explain(small[1]).deviations


def test_every_parameter_gets_a_gradient(small):
    spec, _ = small
    model = keras_resnets.build_model(spec, input_shape=(32, 32, 3), classes=10)
    x = images(2, 32, 32, 3)
    labels = np.arange(len(x))

    def loss():
        losses = keras.losses.sparse_categorical_crossentropy(labels, model(x, training=True))
        return keras.ops.mean(losses)

    value, gradients = value_and_gradients(loss, model.trainable_weights)
    assert np.isfinite(value)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(gradient), f"no gradient reaches {weight.path}"
