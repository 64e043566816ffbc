"""A researcher's comparison, by the commands of the docs."""

import subprocess
import sys

import pytest

from tests.subprocesses import ROOT

pytestmark = pytest.mark.soak


def test_four_runs_are_swept_and_compared(tmp_path):
    pytest.importorskip("tyro")
    line = [sys.executable, "-m", "training", "sweep", "digits", "--run-dir", tmp_path / "twins"]
    line += ["--model.name", "resnet20", "plainnet20", "--seed", "0", "1", "--length", "3 epochs"]
    for complete in (0, 4):  # the second time every run is
        run = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr[-2000:]
        assert run.stdout.count("This run is complete") == complete
    page = (tmp_path / "twins" / "compare.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(("| resnet20", "| plainnet20"))]
    assert len(rows) == 2
    assert all("| 2 |" in row and "±" in row for row in rows)
    assert "| `model.name` |" in page
