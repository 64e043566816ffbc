"""The train function on two devices and in two processes, against one device."""

import json
import os

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from tests.backends import skip_without_16_bits
from tests.subprocesses import run_module
from tests.training.workers import finish_workers, start_processes, start_workers

MODULE = "tests.training.distributed_training"

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """What one device, and two logical ones, made of the same batches."""
    folder = tmp_path_factory.mktemp("archives")
    return folder, run_module(MODULE, str(folder), "one-device", "mirrored")


def variables_of(folder, name):
    with np.load(folder / f"{name}.npz") as archive:
        return [archive[key] for key in archive.files]


def distance(ones, others):
    return np.sqrt(sum(np.square(a - b).sum() for a, b in zip(ones, others, strict=True)))


def assert_equal_variables(ones, others, moved, tolerance):
    """Compares how far they are apart with how far they moved, all together."""
    assert distance(ones, others) < tolerance * moved


def assert_equal_facts(one, two, loss_tolerance):
    assert one["steps"] == two["steps"] == 5
    assert all(facts[name] for facts in (one, two) for name in ("finite", "observed"))
    assert one["loss"] == pytest.approx(two["loss"], rel=loss_tolerance)
    assert two["apart"] == 0.0


# Half a batch runs through other kernels than a whole one, which round elsewhere. A gradient has
# been rounded some 24 times, in 12 operations forwards and backwards; in 5 steps 120 times.
# Independent, they add up to 11 units of rounding (measured: 10); but where a sum is near 0,
# ReLU's gradient turns a rounding into a jump, so that several times as many are allowed.
ROUNDINGS = 60


@pytest.mark.parametrize(
    ("case", "unit"), [("whole", 2**-24), ("in parts", 2**-24), ("float16", 2**-11)]
)
def test_two_devices_with_synchronized_norms_do_what_one_does(one_process, case, unit):
    folder, facts = one_process
    if unit > 2**-24:
        skip_without_16_bits()
    one, two = f"one-device-{case}", f"mirrored-{case}"
    assert_equal_facts(facts[one], facts[two], ROUNDINGS * unit)
    if unit == 2**-24:
        assert facts[one]["correct"] == facts[two]["correct"]
    assert_equal_variables(
        variables_of(folder, one),
        variables_of(folder, two),
        facts[one]["moved"],
        ROUNDINGS * unit,
    )
    # What a mistake makes of it, such as norms that are not synchronized, is seen beside that.
    local, whole = variables_of(folder, "mirrored-local"), variables_of(folder, "one-device-whole")
    assert distance(local, whole) > ROUNDINGS * unit * facts["one-device-whole"]["moved"]


@pytest.mark.parametrize("strategy", ["one-device", "mirrored"])
def test_an_overflow_on_one_replica_leaves_the_step_out_on_all(one_process, strategy):
    skip_without_16_bits()
    _, facts = one_process
    float16 = facts[f"{strategy}-float16"]
    assert not float16["second_step_changed"]
    assert float16["third_step_changed"]
    assert float16["scale"] == 512.0  # half of what it was
    assert float16["apart"] == 0.0
    assert facts[f"{strategy}-whole"]["second_step_changed"]


def test_replicas_that_do_not_synchronize_their_norms_still_keep_equal_statistics(one_process):
    assert one_process[1]["mirrored-local"]["apart"] == 0.0


def test_each_replica_draws_for_itself_what_it_drops(one_process):
    assert set(one_process[1]["kept"]) == {0.0, 1.0, 2.0}  # 1 never if they drew alike


def test_replicas_can_be_compiled(one_process):
    folder, facts = one_process
    assert_equal_facts(facts["mirrored-local"], facts["mirrored-compiled"], 1e-5)
    local = variables_of(folder, "mirrored-local")
    compiled = variables_of(folder, "mirrored-compiled")
    assert_equal_variables(local, compiled, facts["mirrored-local"]["moved"], ROUNDINGS * 2**-24)


def test_optimizers_and_schedules_take_the_steps_of_one_device_on_two(one_process):
    results = one_process[1]["optimizers"]
    assert len(results) == 2
    for name, (difference, one, two) in results.items():
        assert difference < 1e-6, name
        assert one == two
    assert results["sgd, plateau"][1] == pytest.approx([0.1, 0.5, 0.0])  # it fell once
    assert results["lamb, until, float16"][1][1] == 1.0  # it was over


@pytest.mark.parametrize("cluster", ["tf-config", "slurm"])
def test_two_workers_with_synchronized_norms_do_what_one_device_does(
    one_process, tmp_path, cluster
):
    folder, facts = one_process
    folders = [tmp_path / "0", tmp_path / "1"]
    for each in folders:
        each.mkdir()
    arguments = [[str(each), "multi-worker"] for each in folders]
    if cluster == "tf-config":
        processes = start_workers(*arguments, module=MODULE)
    else:
        step = {
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_NODEID": "0",
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_STEP_TASKS_PER_NODE": "2",
        }
        ranks = [{**step, "SLURM_PROCID": str(rank)} for rank in range(2)]
        processes = start_processes(arguments, ranks, MODULE)
    for each, (status, output, errors) in zip(folders, finish_workers(processes), strict=True):
        assert status == 0, errors
        worker = json.loads(output.splitlines()[-1])["multi-worker-whole"]
        assert_equal_facts(facts["one-device-whole"], worker, 1e-5)
        assert worker["correct"] == facts["one-device-whole"]["correct"]
        one = variables_of(folder, "one-device-whole")
        two = variables_of(each, "multi-worker-whole")
        assert_equal_variables(one, two, facts["one-device-whole"]["moved"], ROUNDINGS * 2**-24)
