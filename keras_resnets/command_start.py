"""What the command `keras-resnets` needs before Keras, and with it a backend, is imported."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Holds back what C++ code writes to stderr in the command's process; Python's comes through.

    TensorFlow 2.21 announces oneDNN while it is imported, whatever `TF_CPP_MIN_LOG_LEVEL` says;
    beside another backend Keras imports it late. By the time that a module of the command can run,
    its package has imported Keras; so the package itself asks here, too. In any other process
    nothing is touched. If an exception passes, what was held back is shown.
    """
    if not _is_command():
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    pythons, descriptor = sys.stderr, os.dup(2)
    with (
        tempfile.TemporaryFile() as held,
        open(descriptor, "w", 1, pythons.encoding, pythons.errors, closefd=False) as terminal,
    ):
        os.dup2(held.fileno(), 2)
        sys.stderr = terminal
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(descriptor, held.read())
            raise
        finally:
            sys.stderr = pythons
            os.dup2(descriptor, 2)
    os.close(descriptor)


def _is_command():
    """Whether this process was started as `keras-resnets` or `python -m keras_resnets`."""
    started = Path((getattr(sys, "argv", None) or [""])[0])
    if started.name == "-m":  # until Python knows the file that it runs
        return "keras_resnets" in sys.orig_argv
    return started.stem == "keras-resnets" or started.parts[-2:] == ("keras_resnets", "__main__.py")
