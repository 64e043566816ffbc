"""A contender's process, from both of its sides.

`python -m training.benchmark.worker JOB SETTING` makes its job, says so, and then does it as often
as each line of its standard input says. Every answer is one line of JSON on what was its standard
output; all else that is printed goes to standard error.
"""

import collections
import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.benchmark.contenders import Contender, Setting

ROOT = Path(__file__).parents[2]
LINES_SHOWN = 8
# Read by a backend when it is imported, so each contender has a process with its own.
COMMON_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    # Else the first process would take a GPU's whole memory from the others.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def process_peak_bytes() -> int:
    """Returns the most memory that this process has held, on Linux or macOS."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@dataclasses.dataclass(frozen=True)
class Job:
    """Something that can be done again and again.

    `take` does it a number of times, waits for the end, and returns a number that depends on the
    work, such as the last loss. `facts` are what the results say of it: `images` or `operations` of
    one time; for a network `parameters` (trainable ones) and `macs` (multiply-adds for one image);
    `device` and `versions`.
    """

    take: Callable[[int], float]
    facts: dict[str, Any]
    before: Callable[[], object] = lambda: None  # a turn, untimed
    after: Callable[[], object] = lambda: None  # a turn, untimed: ends what would go on computing
    peak_bytes: Callable[[], int] = process_peak_bytes  # an accelerator's, or this process's


class WorkerDied(ChildProcessError):
    """A contender's process ended too early. The message says what it printed last."""


class Worker:
    """A process that computes only when it is told to. Its `facts` are those of its job."""

    def __init__(self, contender: Contender, setting: Setting):
        self._name = contender.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`
        environment = {**os.environ, **COMMON_ENVIRONMENT, "KERAS_BACKEND": contender.backend}
        for name, value in contender.environment.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
        setting_json = json.dumps(dataclasses.asdict(setting))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "training.benchmark.worker", contender.job, setting_json],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.facts = self._answer()

    def take(self, times: int) -> dict[str, Any]:
        """Lets it have a turn."""
        with contextlib.suppress(BrokenPipeError):  # if it has ended, its answer will tell
            print(times, file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()  # closes its pipes
        self._errors.close()

    def _answer(self):
        line = next(iter(self._process.stdout or ()), "")
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace")
        last = "\n  ".join(collections.deque(text.splitlines(), LINES_SHOWN))
        self.close()
        raise WorkerDied(
            f"The process of the contender {self._name!r} ended with status {status}. It printed "
            f"last:\n  {last}"
        )


def main(job_name: str, setting: Setting) -> None:
    """Answers until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, _, function = job_name.partition(":")
    job = getattr(importlib.import_module(module), function)(setting)
    print(json.dumps(job.facts), file=answers)
    for line in sys.stdin:
        job.before()
        started, cpu_started = time.perf_counter(), time.process_time()
        value = job.take(int(line))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        job.after()
        answer = {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,  # of all threads
            "value": value,
            "peak_bytes": job.peak_bytes(),
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main(sys.argv[1], Setting(**json.loads(sys.argv[2])))
