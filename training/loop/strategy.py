"""Where to compute: devices, workers, and what happens when one is lost."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from training.options import ClusterName, StrategyName
from training.recipe.recipe import Recipe

FIRST_PORT, PORTS_A_JOB, JOBS = 10_000, 16, 1_250  # up to 29,999, below what systems give away


def slurm_workers(variables: Mapping[str, str]) -> tuple[list[str], int]:
    """Returns the addresses of a job step's workers, and the rank of this one."""
    needed = ("JOB_ID", "PROCID", "NODEID", "STEP_NODELIST", "STEP_TASKS_PER_NODE")
    missing = [f"SLURM_{name}" for name in needed if f"SLURM_{name}" not in variables]
    if missing:
        raise ValueError(
            "Several workers need the environment variable TF_CONFIG, or to be the tasks of a job "
            f"step that Slurm's srun began. Received: an environment without {', '.join(missing)}"
        )
    job, rank, node, nodes, tasks = (variables[f"SLURM_{name}"] for name in needed)
    port = FIRST_PORT + PORTS_A_JOB * (int(job) % JOBS)
    places = [
        (number, f"{host}:{port + task}")
        for number, (host, count) in enumerate(zip(_hosts(nodes), _counts(tasks), strict=True))
        for task in range(count)
    ]
    if places[int(rank)][0] != int(node):
        raise ValueError(
            "The tasks of a job step must fill one node after the other (srun "
            f"--distribution=block). Received: SLURM_PROCID={rank}, SLURM_NODEID={node}, "
            f"SLURM_STEP_TASKS_PER_NODE={tasks!r}"
        )
    return [address for _, address in places], int(rank)


def _hosts(text):
    """Returns the names in a list such as `a[01-03,7],b`."""
    hosts = []
    for prefix, ranges, suffix in re.findall(r"([^,\[]+)(?:\[([^\]]+)\]([^,]*))?", text):
        if not ranges:
            hosts.append(prefix)
            continue
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1)
            hosts += [f"{prefix}{number:0{len(first)}d}{suffix}" for number in numbers]
    return hosts


def _counts(text):
    """Returns the numbers in a list such as `2(x3),1`."""
    parts = (part.rstrip(")").partition("(x") for part in text.split(","))
    return [int(count) for count, _, times in parts for _ in range(int(times or 1))]


# What a collective operation ends with when a peer was killed, left, or does not answer.
_SIGNS_OF_LOSS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class LostWorker(ConnectionError):
    """Another worker of the run is gone."""


def make_gather(strategy: tf.distribute.Strategy) -> Callable[[int], list[int]]:
    """Returns a function that exchanges a number between all workers, which wait for each other."""
    if not _has_peers(strategy):
        return lambda number: [number]

    @tf.function
    def gathered(number):
        everyone = strategy.run(lambda: tf.reshape(number, [1]))
        return strategy.gather(everyone, axis=0)

    return lambda number: gathered(tf.constant(number, tf.int64)).numpy().tolist()


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the errors after the loss of a worker into one line."""
    try:
        yield
    except _SIGNS_OF_LOSS as error:
        if not _has_peers(strategy):
            raise
        reasons = [line.strip() for line in str(error).splitlines() if "aborted by" in line]
        raise LostWorker(
            "Another worker is gone, or failed, and this one cannot continue without it. Start "
            "all of them again: the run resumes from its last checkpoint. "
            f"Received: {type(error).__name__}" + (f": {reasons[0]}" if reasons else "")
        ) from error


def _has_peers(strategy):
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def make_strategy(
    name: StrategyName = "auto", cluster: ClusterName = "auto"
) -> tf.distribute.Strategy:
    """Returns the strategy of a name. TensorFlow connects workers only before it computes."""
    workers = _workers_in_tf_config()
    if name not in ("auto", "multi-worker"):
        if cluster != "auto":
            raise ValueError(
                "`cluster` has an effect only for several workers. "
                f"Received: cluster={cluster!r}, strategy={name!r}"
            )
        if workers > 1:
            raise ValueError(
                f"TF_CONFIG names {workers} workers, each of which would train alone. Unset it, or "
                f"use strategy='multi-worker'. Received: strategy={name!r}"
            )
    if name == "multi-worker" or cluster != "auto" or workers > 1:
        resolver = _resolver(cluster, workers)
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    if name == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        except (ValueError, OSError, tf.errors.OpError) as error:
            raise ValueError(
                "strategy='tpu' needs a TPU that this machine is attached to, and TensorFlow finds "
                f"none: {error} Received: strategy={name!r}"
            ) from error
        return tf.distribute.TPUStrategy(resolver)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.OneDeviceStrategy("/GPU:0" if gpus else "/CPU:0")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the run's files."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "", "chief"):
        return True
    is_first = (resolver.task_type, resolver.task_id) == ("worker", 0)
    return is_first and "chief" not in resolver.cluster_spec().jobs


def check_shares(recipe: Recipe, replicas: int) -> None:
    """Raises unless all replicas get equal shares of a batch."""
    accumulate = recipe.optimizer.accumulate
    if recipe.batch % (replicas * accumulate):
        parts = "the number of replicas"
        received = f"batch={recipe.batch}, replicas={replicas}"
        if accumulate > 1:
            parts += " times `optimizer.accumulate`"
            received += f", optimizer.accumulate={accumulate}"
        raise ValueError(f"`batch` must be a multiple of {parts}. Received: {received}")
    if recipe.evaluation.batch % replicas:
        raise ValueError(
            "`evaluation.batch` must be a multiple of the number of replicas. Received: "
            f"evaluation.batch={recipe.evaluation.batch}, replicas={replicas}"
        )


def _workers_in_tf_config():
    """Returns how many workers TF_CONFIG names; 0 if it is not set or names no cluster."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(text or "{}").get("cluster", {})
        return sum(len(cluster.get(job, ())) for job in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            "TF_CONFIG must be a JSON object with the cluster and this worker's task. "
            f"Received: TF_CONFIG={text!r}"
        ) from error


def _resolver(cluster, workers):
    if cluster == "slurm" or (cluster == "auto" and not workers):
        addresses, rank = slurm_workers(os.environ)
        return tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": addresses}),
            task_type="worker",
            task_id=rank,
            rpc_layer="grpc",
            # Physical devices start nothing, unlike the logical ones.
            num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        )
    if not workers:
        raise ValueError(
            "Several workers need the environment variable TF_CONFIG with a cluster in it. "
            f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}"
        )
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()
