"""Measuring in turns: one contender after the other, and that several times over."""

import dataclasses
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.benchmark.contenders import TIMES_A_STEP, Contender, Setting
from training.benchmark.worker import Worker


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


def describe_machine() -> dict[str, object]:
    """Returns the machine in words, without its name, and how many processes it was computing."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _processor():
    """Returns the processor's name, and what it can compute that decides over kernels."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        values.setdefault(name.strip(), value.strip())
    text = values.get("model name", platform.machine())
    if "cpu family" in values:
        text += f", family {values['cpu family']}, model {values['model']}"
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
    flags = " ".join(flag for flag in known if flag in values.get("flags", "").split())
    return f"{text}, {flags}" if flags else text
