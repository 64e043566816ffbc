"""Each contender computes what it says: its network, its cost, and steps that learn."""

import dataclasses
import importlib.util

import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tomli_w")

from keras_resnets import ResNetSpec, build_model  # noqa: E402
from keras_resnets.architecture.plan import make_plan  # noqa: E402
from keras_resnets.layers import BatchNormalization  # noqa: E402
from keras_resnets.models import VARIANTS  # noqa: E402
from tests.backends import skip_without_16_bits  # noqa: E402
from training.benchmark import input_pipeline, steps  # noqa: E402
from training.benchmark.contenders import TIMM_NAMES, Setting, contenders_for  # noqa: E402
from training.benchmark.worker import Worker  # noqa: E402

TINY = Setting("resnet20", batch=8, image_size=8, classes=10)
CONTENDERS = {contender.name: contender for contender in contenders_for("tensorflow")}
# Of ResNet-20 and of the ResNet-8 that stands in for it here. ResNet-20 has 40.55 million
# multiply-adds at 32×32; at 8×8 those of the convolutions are a sixteenth, and the classifier's 640
# remain. Two blocks fewer a stage are 12 convolutions less of 4·4·9·64² or as many multiply-adds,
# and two times the 97,216 parameters by which ResNet-32 exceeds ResNet-20 a block.
MACS = {20: (40_551_040 - 640) // 16 + 640}
MACS[8] = MACS[20] - 12 * 2**2 * 9 * 64**2
PARAMETERS = {20: 269_722, 8: 269_722 - 2 * 97_216}


@pytest.fixture(autouse=True)
def this_process_is_no_worker(monkeypatch):
    """Undoes what a job changes for its whole process."""
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    original = BatchNormalization._has_fused_kernel
    monkeypatch.setattr(BatchNormalization, "_has_fused_kernel", original)


def setting_of(name, setting=TINY):
    return dataclasses.replace(setting, options=CONTENDERS[name].options)


@pytest.fixture
def small(monkeypatch):
    """A ResNet-8 under the name of ResNet-20."""
    row = dataclasses.replace(VARIANTS["resnet20"], repeats=(1, 1, 1))
    monkeypatch.setitem(VARIANTS, "resnet20", row)


def check_learning(job, depth=8):
    """Twenty small steps on one batch of eight images lower its loss, from about ln 10."""
    assert (job.facts["parameters"], job.facts["macs"]) == (PARAMETERS[depth], MACS[depth])
    assert job.facts["images"] == 8
    first = job.take(1)
    assert 1.0 < first < 6.0
    assert job.take(20) < 0.8 * first
    assert job.peak_bytes() > 2**20
    return first


def test_ours_and_keras_take_the_same_step_and_only_keras_own_norm_is_not_fused(small, monkeypatch):
    """From the same initial weights, for both set the same seed."""
    fused = []
    original = tf.raw_ops.FusedBatchNormV3
    monkeypatch.setattr(
        tf.raw_ops, "FusedBatchNormV3", lambda **given: fused.append(1) or original(**given)
    )
    ours = check_learning(steps.trainer_step(TINY))
    of_ours = len(fused)
    assert of_ours
    assert check_learning(steps.keras_step(setting_of("keras"))) == pytest.approx(ours, rel=1e-4)
    of_both = len(fused)
    assert of_both > of_ours
    steps.keras_step(setting_of("keras-norm")).take(1)
    assert len(fused) == of_both


def test_ours_trains_in_bfloat16(small):
    job = steps.trainer_step(dataclasses.replace(TINY, precision="bfloat16"))
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    check_learning(job)


@pytest.fixture
def torch_step():
    pytest.importorskip("torch")
    from training.benchmark import torch_step

    return torch_step


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_pytorchs_twin_is_the_same_network(precision, torch_step):
    setting = dataclasses.replace(setting_of("torch"), precision=precision)
    check_learning(torch_step.make_job(setting), 20)


def cost_of(torch_step, create, *arguments, side=224):
    """The parameters and multiply-adds of a network that is made without values."""
    with torch_step.torch.device("meta"):
        model = create(*arguments)
        macs = torch_step.count_macs(model, torch_step.torch.zeros(1, 3, side, side))
    return sum(parameter.numel() for parameter in model.parameters()), macs


@pytest.mark.parametrize(
    ("model", "parameters", "macs"),
    [
        ("resnet18", 11_689_512, 1.8141e9),
        ("resnet34", 21_797_672, 3.6638e9),
        ("resnet50", 25_557_032, 4.0892e9),
        ("plainnet34", 21_623_848, 3.6445e9),
        ("resnet56", 853_018, 125.49e6),
    ],
)
def test_pytorchs_twins_cost_what_the_networks_do(model, parameters, macs, torch_step):
    is_small = VARIANTS[model].stem == "cifar"
    side, classes = (32, 10) if is_small else (224, 1000)
    cost = cost_of(torch_step, torch_step.TorchResNet, VARIANTS[model], classes, side=side)
    assert cost == (parameters, pytest.approx(macs, rel=1e-4))


@pytest.mark.parametrize(
    ("options", "parameters", "macs"),
    [  # as timm's and torchvision's own modules have them
        ({"groups": 32, "width_per_group": 4}, 25_028_904, 4_230_479_872),
        ({"width_per_group": 128}, 68_883_240, 11_398_021_120),
        ({"se_ratio": 1 / 16}, 28_088_024, 4_091_699_200),
        ({"stem": "deep", "shortcut": "D"}, 25_576_264, 4_328_824_832),
        (
            {"stem": "deep_strided", "shortcut": "D", "se_ratio": 1 / 4},
            35_691_912,
            4_454_490_112,
        ),
        ({"pre_activation": True}, 25_549_352, 4_089_184_256),
    ],
)
def test_pytorchs_twins_of_the_wider_family_cost_what_others_do(
    options, parameters, macs, torch_step
):
    spec = dataclasses.replace(VARIANTS["resnet50"], **options)
    assert cost_of(torch_step, torch_step.TorchResNet, spec, 1000) == (parameters, macs)


BASIC = ResNetSpec(block="basic", repeats=(2, 1), widths=(8, 16))
BOTTLENECK = dataclasses.replace(BASIC, block="bottleneck")


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (BASIC, {"shortcut": None, "pre_activation": True}),
        (BASIC, {"shortcut": "A", "zero_pad": "both"}),
        (BASIC, {"shortcut": "A", "stem": "cifar", "pre_activation": True}),
        (BASIC, {"shortcut": "D", "anti_alias": "average"}),
        (BOTTLENECK, {"shortcut": "C", "stride_on": "1x1"}),
        (BOTTLENECK, {"shortcut": "D", "stem": "deep", "pre_activation": True}),
        (BOTTLENECK, {"stem": "deep_strided", "stem_width": 6, "se_ratio": 1 / 4}),
        (BOTTLENECK, {"groups": 2, "width_per_group": 48, "anti_alias": "blur"}),
    ],
)
def test_pytorchs_twin_computes_what_the_network_does(spec, options, torch_step):
    """With random weights and statistics, given layer by layer in the plan's order."""
    torch, generator = torch_step.torch, np.random.default_rng(0)
    spec = dataclasses.replace(spec, **options)
    model = build_model(
        spec, input_shape=(21, 19, 3), classes=3, classifier_activation=None, name="own"
    )
    for weight in model.weights:
        draw = generator.normal(0, 0.3, weight.shape)
        weight.assign(0.5 + abs(draw) if "variance" in weight.path else draw)
    twin = torch_step.TorchResNet(spec, 3).eval()
    kinds = torch.nn.Conv2d | torch.nn.BatchNorm2d | torch.nn.Linear
    layers = [layer for layer in twin.modules() if isinstance(layer, kinds)]
    theirs = [
        tensor
        for layer in layers
        for name, tensor in layer.state_dict(keep_vars=True).items()
        if name != "num_batches_tracked"
    ]
    paths = make_plan(spec).variable_shapes(3, 3)
    ours = {weight.path: weight.numpy() for weight in model.weights}
    with torch.no_grad():
        for tensor, path in zip(theirs, paths, strict=True):
            values = ours[path]
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[values.ndim]
            tensor.copy_(torch.from_numpy(values.transpose(axes).copy()))
    images = generator.normal(size=(2, 21, 19, 3)).astype("float32")
    outputs = twin(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(outputs, model(images), rtol=1e-4, atol=1e-4)
    cost = make_plan(spec).cost(21, 3, 3)
    square = torch.zeros(1, 3, 21, 21)
    assert sum(parameter.numel() for parameter in twin.parameters()) == cost.parameters
    assert torch_step.count_macs(twin, square) == cost.macs


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "gelu"},
        {"output_stride": 8},
        {"zero_init_residual": True},
        {"drop_path_rate": 0.1},
        {"dropout_rate": 0.1},
        {"pre_activation": "keras"},
    ],
)
def test_pytorchs_twin_refuses_what_it_lacks(options, torch_step):
    spec = dataclasses.replace(VARIANTS["resnet50"], **options)
    [(name, value)] = options.items()
    with pytest.raises(
        ValueError, match=rf"not support these options\. Received: {name}={value!r}"
    ):
        torch_step.TorchResNet(spec, 10)


@pytest.mark.peers
@pytest.mark.parametrize("model", [name for name in TIMM_NAMES if name in VARIANTS])
def test_timm_s_network_of_the_name_costs_the_same(model, torch_step):
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    create = torch_step.import_timm().create_model
    ours = make_plan(VARIANTS[model]).cost(224, 3, 1000)
    assert cost_of(torch_step, create, TIMM_NAMES[model]) == ours


@pytest.mark.slow
def test_on_jax_a_step_learns():
    pytest.importorskip("jax")
    (ours,) = (each for each in contenders_for("jax") if each.name == "ours")
    worker = Worker(ours, TINY)
    try:
        assert (worker.facts["parameters"], worker.facts["macs"]) == (PARAMETERS[20], MACS[20])
        assert "jax" in worker.facts["versions"]
        first = worker.take(1)["value"]
        assert worker.take(20)["value"] < 0.8 * first
    finally:
        worker.close()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_product_is_that_of_its_matrices(precision):
    if precision == "bfloat16":
        skip_without_16_bits()
    setting = dataclasses.replace(TINY, precision=precision, options={"side": 16})
    job = steps.product(setting)
    assert job.facts["operations"] == 2 * 16**3
    a, b = np.random.default_rng(0).standard_normal((2, 16, 16), dtype=np.float32)
    tolerance = 1e-5 if precision == "float32" else 0.05
    assert job.take(2) == pytest.approx(float(a[0] @ b[:, 0]), abs=tolerance)


@pytest.mark.parametrize(
    "name", ["memory-ours", "memory-plain", "photos-ours", "photos-plain", "photos-decode-fast"]
)
def test_batches_differ_and_are_normalized_where_they_are_not_just_decoded(name, request):
    photos = name.startswith("photos")
    folder = str(request.getfixturevalue("shared_data") / "photos") if photos else ""
    job = input_pipeline.make_job(setting_of(name, dataclasses.replace(TINY, photos=folder)))
    job.before()
    first, second = job.take(1), job.take(1)
    low, high = (0, 255) if "decode" in name else (-2.5, 2.7)
    assert low <= first <= high  # the mean of the batch
    assert first != second
    job.after()


def test_a_folder_without_photographs_is_refused(tmp_path):
    setting = dataclasses.replace(TINY, photos=str(tmp_path))
    with pytest.raises(ValueError, match=r"JPEG files\. Received: photos="):
        input_pipeline.make_job(setting_of("photos-ours", setting))
