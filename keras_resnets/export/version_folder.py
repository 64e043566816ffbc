"""A folder that appears whole, under the next number, or not at all."""

import contextlib
import signal
import tempfile
import threading
from pathlib import Path

from keras_resnets.arguments import check_positive_int


def choose_version(path, version):
    """Returns the folder of a version: of the given one, or of the one after the last.

    Raises:
        FileExistsError: If the version is there already.
        NotADirectoryError: If `path` is a file.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"`path` must be a folder. Received: path={str(path)!r}")
    present = path.iterdir() if path.is_dir() else ()
    numbers = [int(child.name) for child in present if child.name.isdecimal()]
    if version is None:
        return path / str(max(numbers, default=0) + 1)
    if check_positive_int("version", version) in numbers:
        raise FileExistsError(
            f"`version` must be a new one. Received: version={version}, path={str(path)!r}"
        )
    return path / str(version)


def take_version(unfinished, path, version):
    """Renames a finished folder to that of its version, and returns that.

    Where another export has taken the number in the meantime, it is the next one.

    Raises:
        FileExistsError: If the version was given, and another export has taken it.
    """
    while True:
        folder = choose_version(path, version)
        try:
            return unfinished.rename(folder)
        except OSError:
            if not folder.exists():
                raise


@contextlib.contextmanager
def written_aside(base: Path):
    """Yields a folder within `base` to write into, for `take_version` to rename.

    A server that watches `base` for new versions so never sees half of one. What is not renamed in
    the end, as after an error, or SIGTERM where nobody else listens to it, is deleted.
    """
    is_new = not base.exists()
    base.mkdir(parents=True, exist_ok=True)
    try:
        # Within the watched folder, which may be a file system of its own: none can be renamed
        # into another. Servers take no name for a version that is not a number.
        with (
            _terminated_by_an_exception(),
            tempfile.TemporaryDirectory(prefix=".unfinished-", dir=base) as temporary,
        ):
            unfinished = Path(temporary) / "whole"
            unfinished.mkdir()
            yield unfinished
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # not empty: somebody else's by now
                base.rmdir()
        raise


@contextlib.contextmanager
def _terminated_by_an_exception():
    """Has SIGTERM raise `SystemExit`, where it would end the process at once."""
    is_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number, frame):
        signal.signal(number, signal.SIG_IGN)  # a second one would interrupt the tidying up
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
