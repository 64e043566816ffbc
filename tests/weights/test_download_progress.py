"""What a download writes on the way."""

import io
import sys

from keras_resnets.weights.download_progress import DownloadProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_lines_come_by_tenths(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with DownloadProgress("a.pth", 2_000_000) as progress:
        for done in range(0, 2_000_001, 50_000):
            progress.show(done)
    lines = written.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[1] == "a.pth  0.2 of 2.0 MB   10%"
    assert lines[-1] == "a.pth  2.0 of 2.0 MB  100%"


def test_a_terminal_s_line_is_drawn_over(monkeypatch):
    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    clock = iter(range(100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with DownloadProgress("resnet152-394f9c45.pth", 241_000_000) as progress:
        progress.show(0)
        progress.show(241_000_000)
    first, last = written.getvalue().strip().split("\r")[-2:]
    assert f"[{'#' * 24}]" in last
    assert f"[{' ' * 24}]" in first
    assert len(last) <= 80
    assert written.getvalue().endswith("\n")


def test_without_a_size_the_amount_is_said(monkeypatch):
    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    with DownloadProgress("a.pth", None) as progress:
        progress.show(1_500_000)
    assert written.getvalue() == "\ra.pth  1.5 MB\n"
