"""Keeping a library's chatter off the terminal."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

SHOWN = 10_000  # bytes


@contextlib.contextmanager
def held_stderr(telling: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Holds back what is written to stderr, by C++ code too; shows its end if an exception passes.

    TensorFlow 2.21 announces oneDNN while it is imported, whatever `TF_CPP_MIN_LOG_LEVEL` says.
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
