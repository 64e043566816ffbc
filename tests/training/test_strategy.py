"""Where a run computes: what is chosen, and what contradicts."""

import json
import types

import pytest

tf = pytest.importorskip("tensorflow")

from training.loop.strategy import (  # noqa: E402
    check_shares,
    is_chief,
    make_strategy,
    slurm_workers,
)
from training.recipe.recipe import Evaluation, Optimizer, Recipe  # noqa: E402
from training.run import session  # noqa: E402

ADDRESSES = ["10.0.0.1:2222", "10.0.0.2:2222"]
STEP = {
    "SLURM_JOB_ID": "1251",
    "SLURM_PROCID": "0",
    "SLURM_NODEID": "0",
    "SLURM_STEP_NODELIST": "node9",
    "SLURM_STEP_TASKS_PER_NODE": "2",
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def workers(addresses, index):
    return json.dumps(
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    )


@pytest.fixture
def cluster(monkeypatch):
    """Two workers in TF_CONFIG; a strategy for them is noted and not made."""
    monkeypatch.setenv("TF_CONFIG", workers(ADDRESSES, 1))
    return noted(monkeypatch)


def noted(monkeypatch):
    made = []
    monkeypatch.setattr(
        tf.distribute,
        "MultiWorkerMirroredStrategy",
        lambda cluster_resolver: made.append(cluster_resolver) or "several workers",
    )
    return made


@pytest.mark.parametrize("name", ["auto", "one-device"])
def test_without_a_gpu_one_cpu_device_computes(name):
    made = make_strategy(name)
    assert isinstance(made, tf.distribute.OneDeviceStrategy)
    assert is_chief(made)


def test_a_tpu_that_is_not_there_is_named(monkeypatch):
    def connect():
        raise ValueError("Please provide a TPU Name to connect to.")

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", connect)
    with pytest.raises(ValueError, match=r"needs a TPU .* TPU Name .* Received: strategy='tpu'"):
        make_strategy("tpu")


def test_all_gpus_are_taken_where_there_are_several(monkeypatch):
    taken = []
    gpus = [tf.config.LogicalDevice(f"/device:GPU:{index}", "GPU") for index in range(2)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: gpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", taken.append)
    make_strategy("auto")
    make_strategy("mirrored")
    assert taken == [["/device:GPU:0", "/device:GPU:1"]] * 2


@pytest.mark.parametrize("name", ["auto", "multi-worker"])
@pytest.mark.parametrize("source", ["auto", "tf-config"])
def test_workers_are_taken_from_tf_config(cluster, name, source):
    assert make_strategy(name, source) == "several workers"
    assert cluster[0].cluster_spec().as_dict() == {"worker": ADDRESSES}
    assert cluster[0].task_id == 1


def test_one_worker_in_tf_config_is_no_cluster(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", workers(ADDRESSES[:1], 0))
    assert isinstance(make_strategy("auto"), tf.distribute.OneDeviceStrategy)


@pytest.mark.parametrize("name", ["one-device", "mirrored", "tpu"])
@pytest.mark.parametrize("source", ["slurm", "tf-config"])
def test_a_cluster_contradicts_what_has_no_workers(name, source):
    with pytest.raises(ValueError, match=rf"cluster='{source}', strategy='{name}'"):
        make_strategy(name, source)


@pytest.mark.parametrize("name", ["one-device", "mirrored", "tpu"])
def test_workers_in_tf_config_contradict_what_has_none(cluster, name):
    with pytest.raises(ValueError, match=rf"2 workers.*strategy='{name}'"):
        make_strategy(name)
    assert not cluster


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"cluster": 3}', '{"cluster": {"worker": 1}}'])
def test_a_tf_config_that_cannot_be_read_is_an_error(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must be a JSON object"):
        make_strategy()


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("multi-worker", "auto", "TF_CONFIG, or to be the tasks of a job step"),
        ("auto", "slurm", "without SLURM_JOB_ID, SLURM_PROCID"),
        ("auto", "tf-config", "TF_CONFIG=None"),
        ("multi-worker", "tf-config", "TF_CONFIG=None"),
    ],
)
def test_workers_that_nothing_names_are_an_error(monkeypatch, name, source, message):
    for variable in STEP:
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ValueError, match=message):
        make_strategy(name, source)


@pytest.mark.parametrize(("name", "source"), [("multi-worker", "auto"), ("auto", "slurm")])
def test_workers_are_taken_from_slurm(monkeypatch, name, source):
    made = noted(monkeypatch)
    for variable, value in {**STEP, "SLURM_PROCID": "1"}.items():
        monkeypatch.setenv(variable, value)
    make_strategy(name, source)
    # 1251 modulo 1,250 jobs, 16 ports each, from 10,000 on.
    assert made[0].cluster_spec().as_dict() == {"worker": ["node9:10016", "node9:10017"]}
    assert (made[0].task_type, made[0].task_id) == ("worker", 1)
    assert made[0].num_accelerators() == {"GPU": 0}


@pytest.mark.parametrize(
    ("nodes", "tasks", "hosts"),
    [
        ("a", "2", ["a", "a"]),
        ("a,b", "1(x2)", ["a", "b"]),
        ("node[9-11]", "1(x3)", ["node9", "node10", "node11"]),
        (
            "n[08-10,12]-ib,m",
            "2,1(x3),2",
            ["n08-ib", "n08-ib", "n09-ib", "n10-ib", "n12-ib", "m", "m"],
        ),
    ],
)
def test_slurm_lists_are_read_in_the_order_of_the_ranks(nodes, tasks, hosts):
    variables = {**STEP, "SLURM_STEP_NODELIST": nodes, "SLURM_STEP_TASKS_PER_NODE": tasks}
    addresses, rank = slurm_workers(variables)
    assert [address.partition(":")[0] for address in addresses] == hosts
    assert len(set(addresses)) == len(addresses)
    assert rank == 0


def test_ranks_that_do_not_fill_one_node_after_the_other_are_an_error():
    cyclic = {"SLURM_STEP_NODELIST": "a,b", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"}
    with pytest.raises(ValueError, match="--distribution=block"):
        slurm_workers({**STEP, **cyclic, "SLURM_PROCID": "1", "SLURM_NODEID": "1"})


@pytest.mark.parametrize(
    ("recipe", "replicas", "message"),
    [
        (Recipe(batch=128), 3, "batch=128, replicas=3"),
        (Recipe(batch=24, optimizer=Optimizer(accumulate=4)), 4, "replicas=4, .*accumulate=4"),
        (Recipe(batch=96, evaluation=Evaluation(batch=10)), 3, "evaluation.batch=10, replicas=3"),
    ],
)
def test_a_batch_that_the_replicas_cannot_share_is_an_error(recipe, replicas, message):
    with pytest.raises(ValueError, match=f"must be a multiple.*{message}"):
        check_shares(recipe, replicas)


def test_a_batch_is_checked_before_data_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr(
        session, "make_strategy", lambda *names: types.SimpleNamespace(num_replicas_in_sync=3)
    )
    monkeypatch.setattr(session, "open_source", lambda *arguments: pytest.fail("data were read"))
    with pytest.raises(ValueError, match="batch=128, replicas=3"):
        session.Session(Recipe(), tmp_path).run()
