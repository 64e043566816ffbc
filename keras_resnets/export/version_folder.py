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


@contextlib.contextmanager
def written_aside(folder: Path):
    """Yields a folder to write into, which is then renamed to `folder`.

    A server that watches the parent for new versions so never sees half of one. After an error, or
    SIGTERM where nobody else listens to it, nothing is left.
    """
    base = folder.parent
    is_new = not base.exists()
    base.mkdir(parents=True, exist_ok=True)
    try:
        # Within the watched folder, which may be a file system of its own: none can be renamed
        # into another. Servers take no name for a version that is not a number.
        with (
            _terminated_by_an_exception(),
            tempfile.TemporaryDirectory(prefix=".unfinished-", dir=base) as temporary,
        ):
            unfinished = Path(temporary) / folder.name
            unfinished.mkdir()
            yield unfinished
            unfinished.rename(folder)
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
