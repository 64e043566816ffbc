"""Where a run computes: one device, several, or several machines."""

import json
import os
from typing import Literal

import tensorflow as tf

StrategyName = Literal["auto", "one-device", "mirrored", "multi-worker", "tpu"]
ClusterName = Literal["auto", "slurm", "tf-config"]


def make_strategy(
    name: StrategyName = "auto", cluster: ClusterName = "auto"
) -> tf.distribute.Strategy:
    """Returns the strategy by its name.

    Args:
        name: `"auto"` takes several machines if `TF_CONFIG` names them, else all GPUs, else the
            CPU. `"one-device"` takes the first GPU or the CPU, `"mirrored"` all GPUs, or all
            logical CPU devices where there is no GPU.
        cluster: Where `"multi-worker"` learns of its peers: `"tf-config"` from that environment
            variable, `"slurm"` from Slurm's (which needs a GPU a task), `"auto"` from whichever
            is set.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: If several workers are asked for and nothing says where they are.
    """
    if name == "auto" and "TF_CONFIG" in os.environ:
        name = "multi-worker"
    gpus = tf.config.list_logical_devices("GPU")
    if name == "tpu":
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
        return tf.distribute.TPUStrategy(resolver)
    if name == "multi-worker":
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=_cluster(cluster))
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


def _cluster(name):
    if name == "auto":
        name = "tf-config" if "TF_CONFIG" in os.environ else "slurm"
    if name == "tf-config":
        if not json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster"):
            raise ValueError(
                "Several workers need the environment variable TF_CONFIG with a cluster in it. "
                f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}"
            )
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_JOB_ID" not in os.environ:
        raise ValueError(
            "Several workers need a Slurm job, or the environment variable TF_CONFIG. Neither is "
            "there."
        )
    return tf.distribute.cluster_resolver.SlurmClusterResolver()
