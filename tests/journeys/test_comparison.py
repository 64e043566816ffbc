"""A researcher's comparison, by the commands of the docs."""

import subprocess
import sys

import pytest

from tests.subprocesses import ROOT

pytestmark = pytest.mark.soak


def test_four_runs_are_swept_and_compared(tmp_path):
    pytest.importorskip("tyro")
    line = [
        *(sys.executable, "-m", "training", "sweep", "digits", "--run-dir", "runs/twins"),
        *("--model.name", "resnet20", "plainnet20", "--seed", "0", "1", "--length", "3 epochs"),
    ]
    environment = {"cwd": ROOT, "capture_output": True, "text": True, "check": False}
    line[line.index("runs/twins")] = str(tmp_path / "twins")
    swept = subprocess.run(line, **environment)
    assert swept.returncode == 0, swept.stderr[-2000:]
    again = subprocess.run(line, **environment)  # every run is complete
    assert again.returncode == 0
    assert again.stdout.count("This run is complete") == 4
    page = (tmp_path / "twins" / "compare.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(("| resnet20", "| plainnet20"))]
    assert len(rows) == 2
    assert all("| 2 |" in row and "±" in row for row in rows)
    assert "| `model.name` |" in page
