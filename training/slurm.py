"""Several workers in a Slurm job step: one task, one worker, with the GPUs that Slurm gives it.

TensorFlow's own `SlurmClusterResolver` needs a GPU a task, shares GPUs out itself, and sorts the
nodes by name, where `node10` comes before `node9`, which is not the order of Slurm's ranks.
"""

import os
import re
from collections.abc import Mapping

import tensorflow as tf

FIRST_PORT, PORTS_A_JOB, JOBS = 10_000, 16, 1_250  # up to 29,999, below what systems give away


def slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Returns what tells this task of the job step who it is and where the others are.

    Raises:
        ValueError: If this is no task of a job step, or its tasks are not in blocks, node by node.
    """
    addresses, rank = slurm_workers(os.environ)
    gpus = len(tf.config.list_physical_devices("GPU"))  # starts nothing, unlike the logical ones
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=rank,
        rpc_layer="grpc",
        num_accelerators={"GPU": gpus},
    )


def slurm_workers(variables: Mapping[str, str]) -> tuple[list[str], int]:
    """Finds the workers of a job step.

    Args:
        variables: The environment of one of its tasks.

    Returns:
        The address of each worker, by rank, and this one's rank. The ports follow from the number
        of the job, so that two jobs on a node seldom meet.

    Raises:
        ValueError: If a variable is missing, or a rank is on another node than in a block
            distribution, which is Slurm's usual one.

    Example:

    >>> slurm_workers({
    ...     "SLURM_JOB_ID": "7",
    ...     "SLURM_PROCID": "2",
    ...     "SLURM_NODEID": "1",
    ...     "SLURM_STEP_NODELIST": "node[9-10]",
    ...     "SLURM_STEP_TASKS_PER_NODE": "2,1",
    ... })
    (['node9:10112', 'node9:10113', 'node10:10112'], 2)
    """
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
            for number in range(int(first), int(last or first) + 1):
                hosts.append(f"{prefix}{number:0{len(first)}d}{suffix}")
    return hosts


def _counts(text):
    """Returns the numbers in a list such as `2(x3),1`."""
    counts = []
    for part in text.split(","):
        count, _, times = part.rstrip(")").partition("(x")
        counts += [int(count)] * int(times or 1)
    return counts
