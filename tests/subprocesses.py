"""Scripts that need a process of their own: settings that hold from a backend's start."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
NO_BACKEND = {name: f"raise SystemExit('imports {name}')" for name in ("keras", "tensorflow")}


def run_module(name, *arguments, **environment):
    """Runs `python -m name` from the repository's root; returns its last line, read as JSON."""
    result = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise AssertionError(f"{name} ended with {result.returncode}:\n{result.stderr[-4000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def run_with_stubs(command, stubs, folder, cwd=ROOT, **environment):
    """Runs `python -m command` where some modules are replaced by the code of others."""
    for name, code in stubs.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    path = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**os.environ, **path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
