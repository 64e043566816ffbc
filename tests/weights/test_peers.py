"""Parity with torchvision's, timm's and Hugging Face's own modules, in both directions."""

import dataclasses

import numpy as np
import pytest

import keras_resnets
from keras_resnets import convert_weights, to_torch_state_dict
from keras_resnets.architecture.plan import make_plan
from keras_resnets.weights.families import FAMILIES
from tests.weights.peers import OF_TIMM, import_timm, import_torch, import_torchvision, randomize

pytestmark = pytest.mark.peers

SIZES = [(225, 225), (160, 192)]
WIDTHS = (8, 16, 24, 32)
REPEATS = (1, 2, 1, 2)
DEPTHS = (18, 34, 50, 101, 152)
ANY_SIZE = {"input_shape": (None, None, 3), "classifier_activation": "linear"}


def assert_same_logits(module, model, logits_of=lambda outputs: outputs, sizes=SIZES):
    """Compares on odd sizes, with images of more than one kind in a batch."""
    torch = import_torch()
    generator = np.random.default_rng(1)
    for height, width in sizes:
        images = generator.normal(size=(2, height, width, 3)).astype("float32")
        with torch.no_grad():
            outputs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        expected = logits_of(outputs).numpy()
        assert np.std(expected) > 0.01
        logits = model.predict_on_batch(images)
        assert np.abs(logits - expected).max() <= 1e-4 * (1 + np.abs(expected).max())


def torch_tensors(arrays):
    torch = import_torch()
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def small_torchvision(block):
    resnet = import_torchvision().models.resnet
    kind = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}[block]
    return randomize(resnet.ResNet(kind, list(REPEATS), num_classes=11))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_torchvision_s_networks(block):
    module = small_torchvision(block)
    model = convert_weights(module.state_dict(), **ANY_SIZE)
    assert_same_logits(module, model)

    other = small_torchvision(block)
    randomize(other, seed=5)
    other.load_state_dict(torch_tensors(to_torch_state_dict(model)), strict=True)
    assert_same_logits(other, model)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_torchvision_s_dilated_networks_by_the_way_that_the_error_names(output_stride):
    resnet = import_torchvision().models.resnet
    spec = keras_resnets.ResNetSpec(block="bottleneck", repeats=REPEATS)
    options = {"classes": 11, "input_shape": (None, None, 3), "classifier_activation": None}
    dilated = keras_resnets.build_model(
        dataclasses.replace(spec, output_stride=output_stride), **options
    )
    with pytest.raises(ValueError, match="replace_stride_with_dilation"):
        to_torch_state_dict(dilated)
    natural = keras_resnets.build_model(spec, **options)
    natural.set_weights(dilated.get_weights())

    module = resnet.ResNet(
        resnet.Bottleneck,
        list(REPEATS),
        num_classes=11,
        replace_stride_with_dilation=[False, output_stride == 8, True],
    ).eval()
    module.load_state_dict(torch_tensors(to_torch_state_dict(natural)), strict=True)
    assert_same_logits(module, dilated)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_timm_s_networks(block):
    timm = import_timm()
    resnet = timm.models.resnet
    kind = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}[block]
    module = randomize(resnet.ResNet(kind, REPEATS, num_classes=11))
    model = convert_weights(module.state_dict(), **ANY_SIZE)
    assert_same_logits(module, model)
    module.load_state_dict(torch_tensors(to_torch_state_dict(model)), strict=True)


def family_of(name):
    wanted = "timm_v2" if "v2" in name else "torchvision"
    [family] = [family for family in FAMILIES if family.name == wanted]
    return family


@pytest.mark.parametrize("name", OF_TIMM)
def test_the_wider_family_has_exactly_timm_s_names_and_costs(name):
    torch, timm = import_torch(), import_timm()
    with torch.device("meta"):
        module = timm.create_model(name)
    spec = keras_resnets.VARIANTS[OF_TIMM[name]]
    expected = {name for name in module.state_dict() if "num_batches_tracked" not in name}
    assert set(family_of(name).names(spec, include_top=True).values()) == expected
    trainable = sum(parameter.numel() for parameter in module.parameters())
    assert make_plan(spec).cost(224, 3, 1000).parameters == trainable


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("resnet18d", "resnet50d", "resnext50_32x4d", "seresnet18")),
        *((name, {}) for name in ("resnext50d_32x4d", "seresnext50_32x4d", "resnetrs50")),
        *((name, {}) for name in ("resnetv2_18", "resnetv2_50", "resnetv2_50d", "wide_resnet50_2")),
        *(
            (name, {"anti_alias": "blur"})
            for name in ("resnetblur18", "resnetblur50", "resnetblur50d")
        ),
        ("resnetaa50d", {"anti_alias": "average"}),
    ],
)
def test_networks_of_the_wider_family(name, options):
    torch, timm = import_torch(), import_timm()
    module = randomize(timm.create_model(name, layers=(1, 2, 1, 1), num_classes=11))
    state = module.state_dict()
    if options:  # which no array tells
        spec = dataclasses.replace(keras_resnets.model_spec(convert_weights(state)), **options)
        head = {"classes": 11, "classifier_activation": None}
        model = keras_resnets.build_model(spec, input_shape=(None, None, 3), **head)
        convert_weights(state, model)
    else:
        model = convert_weights(state, **ANY_SIZE)
    # timm's average pooling drops a last odd row, for which its own shortcut does not fit.
    sizes = [(96, 64) if "aa" in name else (97, 70)]
    assert_same_logits(module, model, sizes=sizes)
    back = to_torch_state_dict(model, family=family_of(name).name)
    randomize(module, seed=5)
    module.load_state_dict(torch_tensors(back), strict=True)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize("import_peer", [import_torchvision, import_timm])
@pytest.mark.parametrize("depth", DEPTHS)
def test_all_depths_have_exactly_the_peer_s_names(import_peer, depth):
    torch, peer = import_torch(), import_peer()
    with torch.device("meta"):
        factory = peer.create_model if hasattr(peer, "create_model") else peer.models.get_model
        module = factory(f"resnet{depth}")
    [family] = [family for family in FAMILIES if family.name == "torchvision"]
    spec = keras_resnets.VARIANTS[f"resnet{depth}"]
    expected = {name for name in module.state_dict() if "num_batches_tracked" not in name}
    assert set(family.names(spec, include_top=True).values()) == expected


@pytest.mark.parametrize(
    ("block", "in_bottleneck"), [("basic", False), ("bottleneck", False), ("bottleneck", True)]
)
def test_hugging_face_s_networks(block, in_bottleneck, tmp_path):
    import_torchvision()  # which transformers looks for, and which may not have its operators
    transformers = pytest.importorskip("transformers")
    expansion = 4 if block == "bottleneck" else 1
    config = transformers.ResNetConfig(
        embedding_size=WIDTHS[0],
        hidden_sizes=[expansion * width for width in WIDTHS],
        depths=list(REPEATS),
        layer_type=block,
        downsample_in_bottleneck=in_bottleneck,
        num_labels=11,
    )
    module = randomize(transformers.ResNetForImageClassification(config))
    module.save_pretrained(tmp_path)  # with the stride in its config.json
    model = convert_weights(tmp_path / "model.safetensors", **ANY_SIZE)
    assert_same_logits(module, model, lambda outputs: outputs.logits)

    back = torch_tensors(to_torch_state_dict(model, family="hugging_face"))
    module.load_state_dict(back, strict=True)
    assert_same_logits(module, model, lambda outputs: outputs.logits)

    options = {"stride_on": "1x1"} if in_bottleneck else {}
    backbone = convert_weights(module.resnet.state_dict(), input_shape=(None, None, 3), **options)
    assert_same_logits(
        module.resnet, backbone, lambda outputs: outputs.last_hidden_state.permute(0, 2, 3, 1)
    )


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.slow
def test_torchvision_s_full_networks_through_a_file(depth, tmp_path):
    load_file = pytest.importorskip("safetensors.torch").load_file
    module = randomize(import_torchvision().models.get_model(f"resnet{depth}"))
    model = convert_weights(module.state_dict(), **ANY_SIZE)
    assert_same_logits(module, model)
    to_torch_state_dict(model, tmp_path / "net.safetensors")
    randomize(module, seed=5)
    module.load_state_dict(load_file(tmp_path / "net.safetensors"), strict=True)
    assert_same_logits(module, model)
