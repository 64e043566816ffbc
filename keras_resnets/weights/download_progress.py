"""How far a download is: a line that moves on a terminal, plain lines elsewhere."""

import sys
import time

# The longest name of a preset's file then fits into 80 columns.
WIDTH = 24
# Seconds between two drawings on a terminal.
INTERVAL = 0.1


class DownloadProgress:
    """Writes to stderr how much of a file has come; a context manager.

    Args:
        name: What is downloaded.
        total: Its size in bytes; `None` if it is not known.
    """

    def __init__(self, name, total):
        self.name = name
        self.total = total
        self.is_terminal = sys.stderr.isatty()
        self._drawn_at = float("-inf")
        self._written_tenth = -1

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.is_terminal:
            sys.stderr.write("\n")

    def show(self, done):
        """Notes that `done` bytes are there; a line is written only now and then."""
        if self.is_terminal:
            is_end = done == self.total
            if is_end or time.monotonic() - self._drawn_at >= INTERVAL:
                self._drawn_at = time.monotonic()
                sys.stderr.write(f"\r{self._line(done)}")
        elif self.total and done * 10 // self.total > self._written_tenth:
            self._written_tenth = done * 10 // self.total
            sys.stderr.write(f"{self._line(done)}\n")
        sys.stderr.flush()

    def _line(self, done):
        if not self.total:
            return f"{self.name}  {_megabytes(done)} MB"
        share = min(done / self.total, 1.0)
        amount = f"{_megabytes(done)} of {_megabytes(self.total)} MB  {share:4.0%}"
        if not self.is_terminal:
            return f"{self.name}  {amount}"
        filled = round(WIDTH * share)
        return f"{self.name}  [{'#' * filled}{' ' * (WIDTH - filled)}]  {amount}"


def _megabytes(size):
    return f"{size / 1e6:.1f}"
