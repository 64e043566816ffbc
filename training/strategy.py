"""Where a run computes: one device, several, or several machines."""

import json
import os
from typing import Literal

import tensorflow as tf

from training.recipe import Recipe
from training.slurm import slurm_resolver

StrategyName = Literal["auto", "one-device", "mirrored", "multi-worker", "tpu"]
ClusterName = Literal["auto", "slurm", "tf-config"]


def make_strategy(
    name: StrategyName = "auto", cluster: ClusterName = "auto"
) -> tf.distribute.Strategy:
    """Returns the strategy by its name.

    Call it before anything else computes: TensorFlow connects several workers at its start only.

    Args:
        name: `"auto"` takes several workers if `TF_CONFIG` or `cluster` names them, else all GPUs,
            else the CPU. `"one-device"` takes the first GPU or the CPU; `"mirrored"` all GPUs, or
            all logical CPU devices where there is no GPU; `"multi-worker"` all GPUs of each worker,
            or its CPU; `"tpu"` the TPU that this machine is attached to.
        cluster: Where a worker learns of its peers: `"tf-config"` from that environment variable,
            `"slurm"` from those of the job step it is a task of. `"auto"` takes `TF_CONFIG` where
            it is set, and else, for `"multi-worker"` alone, Slurm.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: If the arguments contradict each other or `TF_CONFIG`, several workers are asked
            for and nothing says where they are, or there is no TPU.

    Example:

    >>> make_strategy("one-device").num_replicas_in_sync
    1
    """
    workers = _workers_in_tf_config()
    if name not in ("auto", "multi-worker"):
        if cluster != "auto":
            raise ValueError(
                "`cluster` has an effect for several workers only. "
                f"Received: cluster={cluster!r}, strategy={name!r}"
            )
        if workers > 1:
            raise ValueError(
                f"TF_CONFIG names {workers} workers, each of which would train for itself. Unset "
                f"it, or take strategy='multi-worker'. Received: strategy={name!r}"
            )
    if name == "multi-worker" or cluster != "auto" or workers > 1:
        resolver = _resolver(cluster)
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
    """Returns whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )


def check_shares(recipe: Recipe, replicas: int) -> None:
    """Raises unless every replica gets as many examples of a batch as any other.

    Args:
        recipe: Its batches, of training and of evaluation, count.
        replicas: How many devices share each batch, over all workers.

    Raises:
        ValueError: If a batch does not divide.

    Example:

    >>> check_shares(Recipe(batch=120), replicas=8)
    >>> check_shares(Recipe(batch=120), replicas=3)
    Traceback (most recent call last):
    ...
    ValueError: `evaluation.batch` must be a multiple of the number of replicas. Received: \
evaluation.batch=512, replicas=3
    """
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
    """Returns how many workers TF_CONFIG names: 0 if it is not set, or names no cluster."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(text or "{}").get("cluster", {})
        return sum(len(cluster.get(job, ())) for job in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            "TF_CONFIG must be a JSON object with the cluster and this worker's task. "
            f"Received: TF_CONFIG={text!r}"
        ) from error


def _resolver(cluster):
    if cluster == "slurm" or (cluster == "auto" and not _workers_in_tf_config()):
        return slurm_resolver()
    if not _workers_in_tf_config():
        raise ValueError(
            "Several workers need the environment variable TF_CONFIG with a cluster in it. "
            f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}"
        )
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()
