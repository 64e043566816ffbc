"""A contender's process, seen from the one that gives the turns."""

import collections
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from training.benchmark.contenders import COMMON_ENVIRONMENT, Contender
from training.benchmark.job import Setting

ROOT = Path(__file__).parents[2]
LINES_SHOWN = 8


class WorkerDied(ChildProcessError):
    """A contender's process that ended before its time. The message says what it printed last."""


class Worker:
    """A process that computes only when it is told to.

    Attributes:
        facts: What it says of itself.
    """

    def __init__(self, contender: Contender, setting: Setting):
        self._name = contender.name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`
        environment = {**os.environ, **COMMON_ENVIRONMENT, "KERAS_BACKEND": contender.backend}
        for name, value in contender.environment.items():
            if value is None:
                environment.pop(name, None)
            else:
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
