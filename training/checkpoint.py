"""Checkpoints that a kill at any moment cannot spoil.

A checkpoint is a folder with the arrays of all variables and a description that holds their hash.
It is written beside its place, brought to the disk, and renamed; so it is there whole or not at
all. The last two are kept: should one be damaged later, the one before it is used.
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.whole_file import folder_to_disk

KEPT = 2
ARRAYS = "variables.npz"
DESCRIPTION = "checkpoint.json"
_NUMBER = re.compile(r"_\d+(?=/|$)")
WRITING, REPLACED = ".writing", ".replaced"  # unfinished, and about to be removed


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        path: Its folder.
        step: Number of steps done.
        facts: What was saved beside the variables; plain JSON values.
        arrays: The variables' values by name.
    """

    path: Path
    step: int
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class DamagedCheckpoint(ValueError):
    """A checkpoint whose files are missing or are not those that were written."""


def save_checkpoint(
    folder: Path, step: int, variables: dict[str, Any], facts: dict[str, Any]
) -> Path:
    """Saves variables and facts as the checkpoint of a step, and removes all but the last two.

    Args:
        folder: Folder of the run's checkpoints; made if missing.
        step: Number of steps done.
        variables: Keras or TensorFlow variables by name; see `named_variables`.
        facts: JSON values to keep with them.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: If it cannot be written, for instance on a full disk. Earlier checkpoints stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:08d}"
    beside = folder / f"{target.name}{WRITING}"
    arrays = {name: np.asarray(variable) for name, variable in variables.items()}
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        with open(beside / ARRAYS, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            _to_disk(file)
        description = {"step": step, "sha256": _sha256(beside / ARRAYS), "facts": facts}
        with open(beside / DESCRIPTION, "w", encoding="utf-8") as file:
            json.dump(description, file, indent=2)
            _to_disk(file)
        folder_to_disk(beside)
        if target.exists():  # saved twice at the same step, or damaged: still there until renamed
            replaced = target.with_name(f"{target.name}{REPLACED}")
            shutil.rmtree(replaced, ignore_errors=True)
            target.replace(replaced)
        beside.replace(target)
        folder_to_disk(folder)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise OSError(
            error.errno,
            f"The checkpoint of step {step} could not be written: {error.strerror or error}. "
            "The one before it stays",
            str(target),
        ) from error
    _remove_all_but_the_last(folder, target)
    return target


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint and checks its hash.

    Args:
        path: A checkpoint's folder.

    Returns:
        The `Checkpoint`.

    Raises:
        DamagedCheckpoint: If its files are not those that were written.
    """
    try:
        description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        step, facts, expected = description["step"], description["facts"], description["sha256"]
        found = _sha256(path / ARRAYS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} cannot be read: {error!r}") from error
    if found != expected:
        raise DamagedCheckpoint(
            f"The checkpoint {path} is damaged: the SHA-256 of {ARRAYS} is {found}, not {expected}"
        )
    try:
        with np.load(path / ARRAYS, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DamagedCheckpoint(f"The checkpoint {path} cannot be read: {error!r}") from error
    return Checkpoint(path, step, facts, arrays)


def latest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Reads the latest checkpoint that is whole.

    Args:
        folder: Folder of the run's checkpoints; may be missing.

    Returns:
        The checkpoint, or `None` if there never was one; and a message for each damaged one that
        was passed over.

    Raises:
        DamagedCheckpoint: If there are checkpoints, and all are damaged.
    """
    messages: list[str] = []
    for path in reversed(_folders(folder)):
        try:
            return load_checkpoint(path), messages
        except DamagedCheckpoint as error:
            messages.append(str(error))
    if messages:
        raise DamagedCheckpoint("No checkpoint is left whole. " + " ".join(messages))
    return None, messages


def has_checkpoints(folder: Path) -> bool:
    """Returns whether `latest_checkpoint` has one to give, or to refuse as damaged.

    Args:
        folder: Folder of the run's checkpoints; may be missing.
    """
    return bool(_folders(folder))


def restore(variables: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Assigns a checkpoint's arrays to the variables of the same names.

    Args:
        variables: The same as were saved.
        checkpoint: A `Checkpoint`.

    Raises:
        ValueError: If names or shapes differ; nothing is assigned then.
    """
    for name in [*variables, *checkpoint.arrays]:
        wanted = tuple(variables[name].shape) if name in variables else None
        present = checkpoint.arrays[name].shape if name in checkpoint.arrays else None
        if wanted != present:
            raise ValueError(
                f"The checkpoint {checkpoint.path} must hold this run's variables. The first that "
                f"differs is {name!r}: of shape {wanted} in the run, {present} in the checkpoint"
            )
    for name, variable in variables.items():
        variable.assign(checkpoint.arrays[name])


def named_variables(**groups: Sequence[Any]) -> dict[str, Any]:
    """Returns the variables of all groups by unique names, in a stable order.

    The numbers with which Keras tells objects of one class apart are left out: they count what the
    process has made before, and a run may go on in another process.

    Example:

    >>> sorted(named_variables(model=[keras.Variable(0.0, name="scale_3")]))
    ['model/0000/scale']
    """
    named = {}
    for group, variables in groups.items():
        for index, variable in enumerate(variables):
            path = getattr(variable, "path", None) or variable.name.split(":")[0]
            named[f"{group}/{index:04d}/{_NUMBER.sub('', path)}"] = variable
    return named


def weights_sha256(variables: Sequence[keras.Variable]) -> str:
    """Returns the SHA-256 over the bytes of all variables, in the order given."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(np.asarray(variable)).tobytes())
    return digest.hexdigest()


def _folders(folder):
    """Returns the checkpoints' folders, from the earliest to the latest."""
    return sorted(
        (path for path in folder.glob("step-*") if path.suffix != WRITING),
        key=lambda path: (path.stem, path.suffix != REPLACED),
    )


def _remove_all_but_the_last(folder, latest):
    """Removes what is not among the last two up to the latest, which has just been written.

    Later ones are of a run that went back because they were damaged. What cannot be removed now
    will be tried again after the next checkpoint.
    """
    folders = [path for path in _folders(folder) if path.suffix != REPLACED]
    kept = folders[: folders.index(latest) + 1][-KEPT:]
    for path in folder.iterdir():
        if path.name.startswith("step-") and path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _to_disk(file):
    file.flush()
    os.fsync(file.fileno())
