"""One process at a time in a run's folder."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK = "run.lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Callable[[], None]]:
    """Holds a run's folder, so that no other process writes to it.

    The lock is the kernel's (`flock`): it ends with the process, also by SIGKILL, and the file that
    is left says nothing. The file names who holds it. Where nothing came to stand beside it, as
    after wrong arguments, it is removed again, and so is the folder if it was made here.

    Args:
        folder: The run's folder; made if missing.

    Yields:
        A function that raises `FileNotFoundError` if the folder is no longer the one that is held,
        as after it was deleted. To be called before each write.

    Raises:
        ValueError: If another process holds it.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with open(path, "a+", encoding="utf-8") as file:
        if not _is_taken(file, path):
            file.seek(0)
            raise ValueError(
                "`run_dir` must not be in use by another process. "
                f"Received: run_dir={str(folder)!r}, in use by {file.read().strip() or 'another'}"
            )
        with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), f"process {os.getpid()} on {platform.node()}\n".encode())
        try:
            yield lambda: _check_held(folder, file, path)
        finally:
            with contextlib.suppress(OSError):  # another process may have begun
                if _is_same(file, path) and [*folder.iterdir()] == [path]:
                    path.unlink()
                    if is_new:
                        folder.rmdir()


def _is_taken(file, path):
    """Takes the lock and returns whether it could: not one of a file that was just removed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_same(file, path)


def _check_held(folder, file, path):
    if not _is_same(file, path):
        raise FileNotFoundError(
            f"The run's folder must stay where it is, with its {LOCK}, while the run goes on. It "
            "was deleted, moved or replaced, so nothing more is written. The same command goes on "
            f"from the folder's last checkpoint, or begins anew. Received: run_dir={str(folder)!r}"
        )


def _is_same(file, path):
    """Returns whether a path leads to an open file."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
