"""Measuring in turns: one contender after the other, and that several times over."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from training.benchmark.contenders import Contender
from training.benchmark.job import Setting
from training.benchmark.worker_process import Worker

TIMES_A_STEP = {"step": 1, "input": 8, "product": 4}


def measure(
    contenders: Sequence[Contender],
    setting: Setting,
    precisions: Sequence[str],
    steps: int,
    rounds: int,
    report: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Gives each contender a turn in each round, so that what the machine does besides hits all.

    Their processes stay alive between turns and wait for their input meanwhile, so that only one
    computes. The first turn, in which they compile, does not count.
    """
    workers: list[Worker] = []
    rows: list[dict[str, Any]] = []
    try:
        for contender in contenders:
            for precision in contender.precisions or precisions:
                report(f"starting {contender.name} in {precision}")
                mine = dataclasses.replace(setting, precision=precision, options=contender.options)
                worker = Worker(contender, mine)
                workers.append(worker)
                first = worker.take(1)
                row: dict[str, Any] = {
                    "name": contender.name,
                    "title": contender.title,
                    "kind": contender.kind,
                    "precision": precision,
                    "times": TIMES_A_STEP[contender.kind] * steps,
                    "seconds": [],
                    "cpu_seconds": [],
                    "values": [round(first["value"], 6)],
                }
                rows.append(row | worker.facts)
        for number in range(1, rounds + 1):
            load = os.getloadavg()[0]
            report(f"round {number} of {rounds} (load {load:.1f})")
            for worker, row in zip(workers, rows, strict=True):
                turn = worker.take(row["times"])
                row["seconds"].append(round(turn["seconds"], 6))
                row["cpu_seconds"].append(round(turn["cpu_seconds"], 6))
                row["values"].append(round(turn["value"], 6))
                row["peak_bytes"] = turn["peak_bytes"]
    finally:
        for worker in workers:
            worker.close()
    return rows
