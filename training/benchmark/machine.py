"""The machine in words, without its name."""

import os
import platform
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Returns the processor's model, the number of cores this process may use, and the load.

    The load is the average number of processes that computed in the last minute: what else the
    machine is busy with.
    """
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def usable_cores() -> int:
    """Returns on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor():
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
    found = [
        flag
        for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
        if flag in values.get("flags", "").split()
    ]
    return f"{text}, {' '.join(found)}" if found else text
