"""A process's signals, stderr and memory, what ends a run early, and how TensorFlow is imported."""

import contextlib
import ctypes
import importlib
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

SHOWN = 10_000  # bytes
# Parameters of glibc's `mallopt`, from malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
GREATEST_INT = 2**31 - 1


class Diverged(RuntimeError):
    """A loss, a gradient, a weight or an output of the network is not a finite number."""


class Stopped(Exception):
    """Ends a run at a place where it can be saved, because a signal asked for it."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number  # the exit status, by custom


class StopSignals:
    """Handles SIGTERM and SIGINT within a `with` block, unless the process ignores them.

    As long as there is nothing to save, a signal raises `SystemExit`, so that unfinished files are
    removed. It is raised again at the end of the block if the exception was lost, as in a callback
    of the garbage collector. After `hold`, signals are only noted.
    """

    def __init__(self):
        self.received: int | None = None  # number of the first signal
        self._is_holding = False
        self._handlers = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind, *exception):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.received is not None and kind is None and not self._is_holding:
            raise SystemExit(128 + self.received)

    def hold(self) -> None:
        """Lets signals wait from now on."""
        self._is_holding = True

    def _receive(self, number, frame):
        if self.received is None:
            self.received = number
        if not self._is_holding:
            raise SystemExit(128 + number)


@contextlib.contextmanager
def held_stderr(telling: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Holds back what is written to stderr, by C++ code too; shows its end if an exception passes.

    TensorFlow 2.21 announces oneDNN while it is imported, whatever `TF_CPP_MIN_LOG_LEVEL` says.
    After an exception of a kind in `telling`, which says all itself, nothing is shown.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except telling:
            raise
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(max(0, os.fstat(held.fileno()).st_size - SHOWN))
            os.write(2, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def keep_freed_memory() -> bool:
    """Lets glibc keep freed memory for the next step; elsewhere it changes nothing.

    By default it returns large blocks to the system, which clears them again in each step.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        [mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, GREATEST_INT)]
    )


def import_tensorflow() -> None:
    """Imports TensorFlow with the settings of all commands, and the zoo."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError(
            'All commands but benchmark and recipes need TensorFlow: python -m pip install ".[cpu]"'
        )
    if "tensorflow" not in sys.modules:  # it reads these only when it is imported
        # By default TensorFlow turns oneDNN on only for processors with AVX512-VNNI, though
        # training is faster with it on older ones too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with held_stderr():
        importlib.import_module("tensorflow")
        importlib.import_module("keras_resnets.public")
