"""Checkpoints as tools and people save them: where the weights are, under which names, with what.

Arrays of a saved object that is a dictionary of dictionaries are named "entry/entry/name".
"""

import dataclasses
import re

import keras
import numpy as np
import pytest

import keras_resnets
from docs import families
from keras_resnets import convert_weights
from keras_resnets.weights.recognition import recognize
from tests.weights.states import random_state, torchvision_entries

CLASSES = 5
STATE = random_state(torchvision_entries("bottleneck", (1, 2, 1, 1), (4, 4, 6, 6), CLASSES))
OTHER = random_state(torchvision_entries("bottleneck", (1, 2, 1, 1), (4, 4, 6, 6), CLASSES), seed=1)
TRUNK = {name: array for name, array in STATE.items() if not name.startswith("fc.")}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 64, 96, 3)).astype("float32")
ONE = np.ones(3, "float32")


def under(prefix, arrays):
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def renamed(arrays, *rules):
    for pattern, replacement in rules:
        arrays = {re.sub(pattern, replacement, name): array for name, array in arrays.items()}
    return arrays


def outputs(source, **options):
    """Returns the pooled features of the network in a source, and its scores if it has any."""
    model = convert_weights(source, input_shape=IMAGES.shape[1:], **options)
    names = [layer.name for layer in model.layers]
    maps = model.get_layer("stage4_block1").output
    features = keras.Model(model.input, keras.ops.mean(maps, (1, 2)))(IMAGES)
    scores = keras.ops.convert_to_numpy(model(IMAGES)) if "predictions" in names else None
    return keras.ops.convert_to_numpy(features), scores


@pytest.fixture(scope="module")
def expected():
    return {"raw": outputs(STATE), "other": outputs(OTHER)}


SEQUENTIAL = (
    *((r"^conv1\b", "0"), (r"^bn1\b", "1")),
    *((rf"^layer{stage}\b", f"{stage + 3}") for stage in range(1, 5)),
)
DETECTRON2 = (
    (r"^fc\.", "linear."),
    (r"^(conv1\b.*)", r"stem.\1"),
    (r"^bn1\.", "stem.conv1.norm."),
    (r"\.bn(\d)\.", r".conv\1.norm."),
    (r"downsample\.0", "shortcut"),
    (r"downsample\.1", "shortcut.norm"),
    *((rf"^layer{stage}\b", f"res{stage + 1}") for stage in range(1, 5)),
)
HEAD = {name: STATE[name] for name in ("fc.weight", "fc.bias")}
MLP = {"fc.0.weight": np.ones((24, 24)), "fc.0.bias": np.ones(24), "fc.2.weight": np.ones((8, 24))}
# Of each kind: its arrays, those of which network are taken, the entry, and what is left out.
FORMS = {
    "bare": (STATE, "raw", "", ()),
    "DataParallel": (under("module.", STATE), "raw", "module", ()),
    "a training script": (
        under("state_dict/module.", STATE) | {"optimizer/state/0/exp_avg": ONE},
        *("raw", "state_dict.module", ()),
    ),
    "Lightning": (
        under("state_dict/model.", STATE) | {"state_dict/criterion.weight": ONE},
        *("raw", "state_dict.model", ("criterion.weight",)),
    ),
    "Lightning, with metrics and a teacher": (
        under("state_dict/net.", STATE)
        | under("state_dict/teacher.", OTHER)
        | {"state_dict/val_acc.correct": ONE, "state_dict/val_acc.total": ONE},
        *("raw", "state_dict.net", ("val_acc.correct", "val_acc.total")),
    ),
    "compiled, averaged": (under("_orig_mod.module.", STATE), "raw", "_orig_mod.module", ()),
    "AveragedModel": (
        {"n_averaged": np.array(3), **under("module.", STATE)},
        *("raw", "module", ("n_averaged",)),
    ),
    "torchvision's references": (
        under("model_ema/module.", OTHER) | under("model/", STATE),
        *("raw", "model", ()),
    ),
    "timm's trainer": (
        under("state_dict_ema/", OTHER) | under("state_dict/", STATE),
        *("raw", "state_dict", ()),
    ),
    "MoCo, version 1": (
        under("state_dict/module.encoder_q.", STATE)
        | under("state_dict/module.encoder_k.", OTHER)
        | {"state_dict/module.queue": np.ones((24, 9)), "state_dict/module.queue_ptr": ONE},
        *("raw", "state_dict.module.encoder_q"),
        ("module.queue", "module.queue_ptr", *under("module.encoder_q.", HEAD)),
    ),
    "MoCo, version 2": (
        under("module.encoder_k.", OTHER) | under("module.encoder_q.", TRUNK | MLP),
        *("raw", "module.encoder_q", tuple(under("module.encoder_q.", MLP))),
    ),
    "DINO": (
        under("student/module.backbone.", TRUNK)
        | under("teacher/backbone.", OTHER)
        | {"student/module.head.mlp.0.weight": np.ones((9, 24)), "epoch/x": ONE},
        *("raw", "student.module.backbone", ("module.head.mlp.0.weight",)),
    ),
    "BYOL": (
        under("online_encoder.", renamed(TRUNK, *SEQUENTIAL)) | {"projector.0.weight": ONE},
        *("raw", "online_encoder", ("projector.0.weight",)),
    ),
    "SimCLR": (under("backbone.", TRUNK | MLP), "raw", "backbone", tuple(under("backbone.", MLP))),
    "VISSL": (
        under("classy_state_dict/base_model/model/trunk/_feature_blocks.", TRUNK),
        *("raw", "classy_state_dict.base_model.model.trunk._feature_blocks", ()),
    ),
    "fastai": (
        under("model/0.", renamed(TRUNK, *SEQUENTIAL)) | {"model/1.4.weight": np.ones((9, 48))},
        *("raw", "model.0", ("1.4.weight",)),
    ),
    "a Sequential of the children": (renamed(TRUNK, *SEQUENTIAL), "raw", "", ()),
    "MMPretrain": (
        under("state_dict/", under("backbone.", TRUNK) | under("head.", HEAD)),
        *("raw", "state_dict", ()),
    ),
    "MMDetection": (
        under("state_dict/backbone.", TRUNK) | {"state_dict/neck.fpn_convs.0.conv.weight": ONE},
        *("raw", "state_dict.backbone", ("neck.fpn_convs.0.conv.weight",)),
    ),
    "pretrainedmodels": (renamed(STATE, (r"^fc\.", "last_linear.")), "raw", "", ()),
    "Detectron2": (
        under("model/backbone.bottom_up.", renamed(STATE, *DETECTRON2))
        | {"model/proposal_generator.rpn_head.conv.weight": ONE, "model/pixel_mean": ONE},
        *("raw", "model.backbone.bottom_up"),
        ("proposal_generator.rpn_head.conv.weight", "pixel_mean"),
    ),
    "torchvision's detection": (
        under("backbone.body.", TRUNK) | {"rpn.head.conv.weight": ONE, "roi_heads.box.bias": ONE},
        *("raw", "backbone.body", ("rpn.head.conv.weight", "roi_heads.box.bias")),
    ),
    "torchvision's segmentation": (
        under("backbone.", TRUNK) | {"classifier.0.weight": ONE, "aux_classifier.4.bias": ONE},
        *("raw", "backbone", ("classifier.0.weight", "aux_classifier.4.bias")),
    ),
    "a network without its head, beside another": (
        under("backbone.", TRUNK) | {"classifier.weight": np.ones((3, 24))},
        *("raw", "backbone", ("classifier.weight",)),
    ),
    "a head behind a dropout": (
        TRUNK | {"fc.1.weight": HEAD["fc.weight"], "fc.1.bias": HEAD["fc.bias"]},
        *("raw", "", ()),
    ),
    "a head alone in a Sequential": (
        TRUNK | {"fc.0.weight": HEAD["fc.weight"], "fc.0.bias": HEAD["fc.bias"]},
        *("raw", "", ()),
    ),
    "a projection without a bias": (
        TRUNK | {"fc.0.weight": HEAD["fc.weight"]},
        *("raw", "", ("fc.0.weight",)),
    ),
    "a head of several layers": (TRUNK | MLP, "raw", "", tuple(MLP)),
    "a normalization before the head": (
        TRUNK | {"fc.0.weight": ONE, "fc.1.weight": HEAD["fc.weight"], "fc.1.bias": ONE},
        *("raw", "", ("fc.0.weight", "fc.1.weight", "fc.1.bias")),
    ),
}
WITH_A_CLASSIFIER = {
    *("bare", "DataParallel", "a training script", "Lightning", "compiled, averaged"),
    *("Lightning, with metrics and a teacher", "AveragedModel", "torchvision's references"),
    *("timm's trainer", "MMPretrain", "pretrainedmodels", "Detectron2"),
    *("a head behind a dropout", "a head alone in a Sequential"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_the_network_is_found_and_computes_the_same(form, expected):
    arrays, which, entry, left_out = FORMS[form]
    reports = []
    features, scores = outputs(arrays, stride_on="3x3", report=reports.append)
    [report] = reports
    assert (report.entry, set(report.left_out)) == (entry, set(left_out))
    for present, wanted in zip((features, scores), expected[which], strict=True):
        if present is not None:
            np.testing.assert_allclose(present, wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())
    assert (scores is not None) == (form in WITH_A_CLASSIFIER)


def said(arrays, **options):
    with pytest.warns(UserWarning, match="net: ") as caught:
        convert_weights(arrays, name="net", **options)
    return [str(warning.message).removeprefix("net: ") for warning in caught]


def test_what_was_chosen_and_left_out_is_said():
    arrays, *_ = FORMS["Lightning, with metrics and a teacher"]
    assert said(arrays) == [
        "the weights are those under 'state_dict.net'; others are under 'state_dict.teacher': "
        "`convert_weights` takes them by `entry`, `keras-resnets convert` by --entry.",
        "left out, for they are not of the network: 'val_acc.correct', 'val_acc.total'.",
    ]
    assert said(arrays, entry="net")[0] == "the weights are those under 'state_dict.net'."
    many = TRUNK | HEAD | {f"queue{number}": ONE for number in range(6)}
    assert said(many)[0].endswith("'queue2', 'queue3' and 2 more.")


@pytest.mark.parametrize(
    "form", ["bare", "DataParallel", "a training script", "a head behind a dropout"]
)
def test_nothing_is_said_of_what_everybody_does(form, recwarn):
    convert_weights(FORMS[form][0])
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("form", "entry", "which"),
    [
        ("torchvision's references", "model_ema", "other"),
        ("torchvision's references", "model_ema.module", "other"),
        ("torchvision's references", "model", "raw"),
        ("timm's trainer", "state_dict_ema", "other"),
        ("timm's trainer", "state_dict", "raw"),
        ("MoCo, version 1", "encoder_k", "other"),
        ("MoCo, version 1", "state_dict/module.encoder_q", "raw"),
        ("DINO", "teacher", "other"),
    ],
)
def test_an_entry_chooses(form, entry, which, expected):
    features, _ = outputs(FORMS[form][0], entry=entry)
    wanted = expected[which][0]
    np.testing.assert_allclose(features, wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())


def test_an_entry_that_is_not_there_is_an_error_that_names_those_that_are():
    arrays, *_ = FORMS["torchvision's references"]
    with pytest.raises(ValueError, match=r"`source`: 'model', 'model_ema\.module', .*entry='ema'"):
        convert_weights(arrays, entry="ema")
    with pytest.raises(ValueError, match="names of a network in `source`: None"):
        convert_weights(STATE, entry="model")
    with pytest.raises(TypeError, match="`entry` must be a string"):
        convert_weights(STATE, entry=3)


def test_a_classifier_without_a_bias_computes_without_one():
    source = TRUNK | {"fc.weight": HEAD["fc.weight"]}
    features, logits = outputs(source, classifier_activation="linear")
    np.testing.assert_allclose(logits, features @ HEAD["fc.weight"].T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        *("layer5.0.conv1.weight", "layer1.0.se.fc1.weight", "layer2.0.attn.conv.weight"),
        *("conv2.weight", "bn2.weight", "norm.weight", "fc_norm.weight", "attnpool.k_proj.weight"),
        *("stem.0.weight", "fc.scale", "module.conv1.weight", "pos_embed", "Layer5.0.weight"),
        *("hidden.weight", "ca.fc1.weight", "gem.p", "bottleneck.weight", "res5.0.weight"),
        *("neck.weight", "proj.weight", "projection.0.weight", "mean"),
    ],
)
def test_what_could_be_of_the_network_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"surplus: '{name}'"):
        convert_weights(STATE | {name: ONE})
    prefixed = under("state_dict/model.", STATE | {name: ONE})
    with pytest.raises(ValueError, match=f"surplus: '(state_dict/)?model.{name}'"):
        convert_weights(prefixed)


@pytest.mark.parametrize("missing", ["layer3.0.bn2.running_var", "bn1.weight", "fc.weight"])
def test_below_a_prefix_an_array_that_is_missing_is_named(missing):
    arrays = {name: array for name, array in STATE.items() if name != missing}
    with pytest.raises(ValueError, match=rf"missing: '{missing}'"):
        convert_weights(under("state_dict/model.", arrays))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_arrays_of_other_types_and_orders_are_read_exactly(dtype):
    arrays = {name: array.astype(dtype) for name, array in STATE.items()}
    turned = {
        name: np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
        if array.ndim == 4  # as `channels_last` lays them
        else array
        for name, array in arrays.items()
    }
    model = convert_weights(turned)
    back = keras_resnets.to_torch_state_dict(model)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array.astype("float32"), err_msg=name)


def test_of_two_networks_the_whole_one_is_taken_and_the_other_s_names_are_no_surplus():
    part = {name: TRUNK[name] for name in ("conv1.weight", "layer1.0.conv1.weight")}
    reports = []
    with pytest.warns(UserWarning, match="those under 'encoder'; others are under 'decoder'"):
        convert_weights(under("decoder.", part) | under("encoder.", TRUNK), report=reports.append)
    assert reports[0].other_entries == ("decoder",)
    with pytest.warns(UserWarning, match="those under no entry; others are under 'embedding_net'"):
        convert_weights(STATE | under("embedding_net.", OTHER))
    with pytest.warns(UserWarning, match="left out.*'epoch_loss'") as caught:
        convert_weights(STATE | under("aux.", OTHER) | {"epoch_loss": ONE}, entry="aux")
    assert "others are under" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("entry", "is_average"),
    [
        *(("cinema", False), ("semantic", False), ("monkey_model", False), ("swap_net", False)),
        *(("shadow_params", True), ("avg_model", True), ("model_ema", True), ("encoder_k", True)),
    ],
)
def test_an_average_comes_after_what_it_is_of(entry, is_average):
    arrays = under(f"{entry}/", OTHER) | under("later/", STATE)
    chosen = said(arrays)[0].split("'")[1]
    assert chosen == ("later" if is_average else entry)


def test_a_bias_that_is_not_there_is_said():
    source = TRUNK | {"fc.weight": HEAD["fc.weight"]}
    assert said(source) == ["there is no 'fc.bias', and the classifier's bias is zero."]


def test_a_network_without_its_last_blocks_or_projections_is_no_whole_one():
    whole = random_state(torchvision_entries("basic", (2, 2, 2, 2), (4, 4, 6, 6), 5))
    trunk = {name: array for name, array in whole.items() if not name.startswith("fc.")}
    cut = {name: array for name, array in trunk.items() if not name.startswith("layer4.1.")}
    with pytest.warns(UserWarning, match="2, 2, 2, 1 basic blocks, as no published one"):
        convert_weights(cut)
    bare = {name: array for name, array in trunk.items() if "downsample" not in name}
    with pytest.raises(ValueError, match=r"missing: 'layer2\.0\.downsample"):
        convert_weights(bare)


@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_torch_wraps_within_a_network_is_unwrapped(prefix, expected):
    wrapped = {
        f"{prefix}{name}".replace("layer1.", "layer1._fsdp_wrapped_module.").replace(
            "layer2.0.", "layer2.0._checkpoint_wrapped_module."
        ): array
        for name, array in STATE.items()
    }
    features, _ = outputs(wrapped)
    np.testing.assert_allclose(features, expected["raw"][0], rtol=1e-4, atol=1e-4)


BOTTLENECK = {"block": "bottleneck", "repeats": (2, 1, 1, 1), "widths": (16, 32, 48, 64)}
DEEP = {"stem": "deep", "shortcut": "D"}


@pytest.mark.parametrize(
    ("options", "family"),
    [
        ({"groups": 4, "width_per_group": 8}, "torchvision"),
        ({"width_per_group": 128}, "torchvision"),
        (DEEP, "torchvision"),
        ({"stem": "deep"}, "torchvision"),
        ({"stem": "deep_strided", "shortcut": "D", "se_ratio": 0.25}, "torchvision"),
        ({"se_ratio": 1 / 16, "groups": 2}, "torchvision"),
        ({"stem_width": 24}, "torchvision"),
        ({"pre_activation": True}, "timm_v2"),
        ({"pre_activation": True, "stem": "cifar"}, "timm_v2"),
        ({"groups": 2, "width_per_group": 6}, "torchvision"),  # whose channels are rounded down
        ({"se_ratio": 0.29648}, "torchvision"),
        ({"se_ratio": 0.1}, "torchvision"),
        ({"se_ratio": 0.6}, "torchvision"),
        ({"se_ratio": 1 / 16, "block": "basic", "widths": (8, 16, 24, 32)}, "torchvision"),
        ({"pre_activation": True, **DEEP}, "timm_v2"),
    ],
)
def test_a_network_of_the_wider_family_is_recognized_by_its_arrays(options, family):
    spec = keras_resnets.ResNetSpec(**BOTTLENECK | options)
    model = keras_resnets.build_model(spec, input_shape=(64, 64, 3), classes=5)
    state = keras_resnets.to_torch_state_dict(model, family=family)
    found = convert_weights(under("model.", state), input_shape=(64, 64, 3))
    assert dataclasses.replace(keras_resnets.model_spec(found), se_ratio=spec.se_ratio) == spec
    images = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(found(images), model(images), rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("torchvision", {"pre_activation": True}, "pre_activation=False"),
        ("timm_v2", {}, "pre_activation=True"),
        ("timm_v2", {"pre_activation": True, "shortcut": "D"}, "shortcut='B'"),
        ("timm_v2", {"pre_activation": True, "stem": "deep"}, "shortcut='D'"),
        ("timm_v2", {"pre_activation": True, "se_ratio": 0.25}, "se_ratio=None"),
        ("timm_v2", {"pre_activation": True, "stem": "deep_strided"}, "stem='imagenet' or"),
        ("hugging_face", {"groups": 2}, "groups=1"),
        ("hugging_face", {"stem": "deep"}, "stem='imagenet' or 'cifar'"),
        ("hugging_face", {"shortcut": "D"}, "shortcut='B'"),
        ("hugging_face", {"anti_alias": "blur"}, "anti_alias=None"),
    ],
)
def test_what_a_family_does_not_have_is_refused_by_name(family, options, message):
    spec = keras_resnets.ResNetSpec(**BOTTLENECK, **options)
    with pytest.raises(ValueError, match=rf"networks have {message}.*Received: a model with"):
        keras_resnets.to_torch_state_dict(keras_resnets.build_model(spec), family=family)


def state_of(**options):
    spec = keras_resnets.ResNetSpec(**BOTTLENECK | options)
    return keras_resnets.to_torch_state_dict(keras_resnets.build_model(spec, classes=5))


def test_a_model_that_is_given_decides_which_preprocessing_is_known():
    spec = keras_resnets.ResNetSpec(**BOTTLENECK, anti_alias="blur")
    model = keras_resnets.build_model(spec, classes=5)
    with pytest.warns(UserWarning, match=r"have anti_alias=None, this one 'blur'"):
        convert_weights(state_of(), model)
    assert keras_resnets.model_preprocessing(model) is None


def test_a_part_of_a_network_with_a_deep_stem_is_refused():
    whole = state_of(stem="deep", shortcut="D")
    part = {name: array for name, array in whole.items() if not name.startswith(("layer4", "fc"))}
    with pytest.raises(ValueError, match="a whole network, of 4 stages"):
        convert_weights(part)


def test_a_network_that_another_family_could_not_have_is_read():
    """Without projections, and so with option A, no stage could be narrower than the stem."""
    options = {"block": "basic", "stem": "cifar", "stem_width": 32}
    found = convert_weights(state_of(**options, repeats=(1,) * 3, widths=(16, 32, 64)))
    assert keras_resnets.model_spec(found).stem_width == 32


def test_ratios_of_the_same_arrays_are_one_network(tmp_path):
    usual = keras_resnets.ResNetSpec(**BOTTLENECK, se_ratio=1 / 16)
    original = keras_resnets.build_model(usual, classes=5)
    keras_resnets.to_torch_state_dict(original, tmp_path / "se.safetensors")
    for ratio in (0.063, 0.06):  # 16 and 8 of the third stage's 192 channels
        spec = dataclasses.replace(usual, se_ratio=ratio)
        if ratio == 0.06:
            with pytest.raises(ValueError, match=r"has se_ratio=0\.0625: "):
                keras_resnets.build_model(spec, weights=tmp_path / "se.safetensors")
        else:
            model = keras_resnets.build_model(spec, weights=tmp_path / "se.safetensors")
            np.testing.assert_array_equal(model.get_weights()[0], original.get_weights()[0])


def test_what_could_be_of_a_network_within_another_is_refused():
    inner = under("net.backbone.", OTHER | {"layer1.0.se.fc.weight": ONE})
    with pytest.raises(ValueError, match=r"surplus: 'net\.backbone\.layer1\.0\.se"):
        convert_weights(under("net.", STATE) | inner, entry="backbone")


def test_names_of_one_array_are_refused_be_it_in_a_wrapper():
    doubled = under("net.", STATE) | under("net._orig_mod.", OTHER)
    with pytest.raises(ValueError, match="each array once"):
        convert_weights(doubled)


def test_a_classifier_of_nothing_allocates_nothing():
    vast = np.broadcast_to(np.zeros((1, 0), "float32"), (2**40, 0))
    with pytest.raises(ValueError, match=r"no 'fc\.bias' of rank 1"):
        convert_weights(TRUNK | {"fc.weight": vast})


def test_of_repositories_with_fc_nothing_is_known_of_the_images():
    entries = torchvision_entries("basic", (1, 1, 1), (4, 6, 8), 5)
    state = random_state({name: shape for name, shape in entries.items() if "downs" not in name})
    state["conv1.weight"] = state["conv1.weight"][:, :, :3, :3]
    reports = []
    with pytest.warns(UserWarning, match="resnet8: ") as caught:
        model = convert_weights(state, report=reports.append)
    assert (model.output_shape, reports[0].spec.shortcut) == ((None, 5), "A")
    assert keras_resnets.model_preprocessing(model) is None
    text = " ".join(str(warning.message) for warning in caught)
    assert "no preprocessing is noted" in text
    assert "pad zero channels on both sides" in text


def test_very_many_networks_are_refused_at_once():
    kernel = np.zeros((1, 1, 1, 1), "float32")
    names = ("conv1.weight", "layer1.0.conv1.weight")
    arrays = {f"p{number}.{name}": kernel for number in range(3000) for name in names}
    with pytest.raises(ValueError, match=r"at most 16 networks\. Received: 3,000"):
        convert_weights(arrays)


def test_the_report_says_what_was_done():
    arrays, *_ = FORMS["Lightning"]
    reports = []
    with pytest.warns(UserWarning, match="left out"):
        convert_weights(arrays, classes=2, report=reports.append)
    [report] = reports
    assert report.family == "torchvision"
    assert report.spec == recognize(STATE).spec
    assert report.changed == ("the classifier of 2 classes begins anew, for the source has 5",)
    assert report.preprocessing == keras_resnets.Preprocessing.imagenet()
    lines = dict(line.split(": ", 1) for line in str(report).splitlines())
    assert lines["network"] == "17 layers, 1, 2, 1, 1 bottleneck blocks, shortcuts of option B"
    assert lines["entry"] == "state_dict.model"
    assert lines["left out"] == "criterion.weight"
    assert lines["other entries"] == "none"
    assert "published networks of torchvision" in lines["preprocessing"]


def test_the_page_has_the_table_of_the_families():
    assert families.page() == families.PAGE.read_text(encoding="utf-8")
