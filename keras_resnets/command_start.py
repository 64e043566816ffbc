"""What the command `keras-resnets` needs before Keras, and with it a backend, is imported."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Holds back what is written to stderr, by C++ code too, in the command's process.

    TensorFlow 2.21 announces oneDNN while it is imported, whatever `TF_CPP_MIN_LOG_LEVEL` says. By
    the time that a module of the command can run, its package has imported Keras; so the package
    itself asks here. In any other process nothing is touched. If an exception passes, what was held
    back is shown.
    """
    if not _is_command():
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _is_command():
    """Whether this process was started as `keras-resnets` or `python -m keras_resnets`."""
    started = getattr(sys, "argv", None) or [""]
    if started[0] == "-m":  # until Python knows the file that it runs
        return "keras_resnets" in sys.orig_argv
    return Path(started[0]).stem == "keras-resnets"
