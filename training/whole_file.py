"""Writing a file so that it is there whole or not at all, also after a kill or a power cut."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yields a path beside a file's; what is written there takes the file's place in the end.

    If the block raises, the file stays as it was.

    Args:
        path: The file to write or to replace. Its folder must exist.

    Yields:
        A path in the same folder, with the same suffix.

    Raises:
        OSError: If it cannot be written, for instance on a full disk; names the file.
    """
    beside = path.with_name(f"writing.{path.name}")
    try:
        yield beside
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
        folder_to_disk(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"{path.name} could not be written: {reason}", str(path)
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def require_folder_of(name: str, path: Path | None) -> None:
    """Raises if a file cannot be written because there is no folder for it; before long work.

    Args:
        name: The argument that names the file.
        path: The file to write, if any.

    Raises:
        ValueError: If there is no such folder.
    """
    if path is not None and not path.parent.is_dir():
        raise ValueError(
            f"`{name}` must be a file's path in a folder that is there. "
            f"Received: {name}={str(path)!r}"
        )


def folder_to_disk(folder: Path) -> None:
    """Brings a folder's entries to the disk: which files it holds under which names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
