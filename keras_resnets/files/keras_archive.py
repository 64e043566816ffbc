"""A `.keras` archive: the one place that opens it. Its members are unpacked in memory."""

import contextlib
import io
import json
import zlib

from keras_resnets.files.archive import STORED, read_directory
from keras_resnets.files.errors import WeightsFileError

WEIGHTS = "model.weights.h5"
CONFIGURATION = "config.json"
MOST_CONFIGURATION_BYTES = 2**21  # ResNet-1202's takes 1 MB
DEFLATED = 8
# Keras stores its members as they are. Where others deflate them, numbers hardly yield; the zeros
# that an optimizer begins with do, and of those there are up to three for each weight.
MOST_TIMES_PACKED = {WEIGHTS: 4, CONFIGURATION: 100}
ALWAYS_ALLOWED = 2**20
BLOCK = 2**20


def read_configuration(path):
    """Returns what a `.keras` file says of its model, a dictionary; `None` if it says nothing.

    Args:
        path: Path of the archive.

    Raises:
        WeightsFileError: If the archive is broken, or its configuration is no object in JSON, or
            one of more than two megabytes.
        OSError: If the file cannot be opened.
    """
    with _members(path) as (_, members):
        if CONFIGURATION not in members:
            return None
    text = unpack_member(path, CONFIGURATION, MOST_CONFIGURATION_BYTES).read()
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsFileError(f"its configuration is no JSON ({error})") from error
    if not isinstance(configuration, dict):
        raise WeightsFileError("its configuration is no object")
    return configuration


def unpack_member(path, name, most_bytes):
    """Returns a member of a `.keras` archive as a binary file in memory.

    Args:
        path: Path of the archive.
        name: The member's name, `WEIGHTS` or `CONFIGURATION`.
        most_bytes: How large it may be when it is unpacked.

    Raises:
        WeightsFileError: If the archive is broken, has no such member, or one that is larger than
            that, or than its kind of content can honestly be in so few packed bytes.
        OSError: If the file cannot be opened.
    """
    with _member(path, name) as (file, member):
        most_bytes = min(most_bytes, _most_honest_bytes(member))
        if member.size > most_bytes:
            raise WeightsFileError(
                f"{name!r} unpacks to {member.size:,} bytes, {most_bytes:,} are allowed"
            )
        file.seek(member.start)
        is_stored = member.method == STORED
        content = io.BytesIO(file.read(member.size)) if is_stored else _inflate(file, member)
        with content.getbuffer() as buffer:
            if len(buffer) != member.size or zlib.crc32(buffer) != member.crc:
                raise WeightsFileError(f"it is no sound archive ({name!r} is damaged)")
        return content


def member_size(path, name):
    """Returns how many bytes a member unpacks to, as far as `unpack_member` would unpack it.

    Args:
        path: As for `unpack_member`.
        name: As for `unpack_member`.

    Raises:
        WeightsFileError: If the archive is broken, or has no such member.
        OSError: If the file cannot be opened.
    """
    with _member(path, name) as (_, member):
        return min(member.size, _most_honest_bytes(member))


def _most_honest_bytes(member):
    return MOST_TIMES_PACKED[member.name] * member.packed_size + ALWAYS_ALLOWED


def _inflate(file, member):
    """Unpacks no more than one byte beyond the size that the directory says."""
    content, inflater, left = io.BytesIO(), zlib.decompressobj(-zlib.MAX_WBITS), member.packed_size
    try:
        while left and content.tell() <= member.size:
            packed = file.read(min(left, BLOCK))
            if not packed:
                break
            left -= len(packed)
            content.write(inflater.decompress(packed, member.size + 1 - content.tell()))
    except zlib.error as error:
        raise WeightsFileError(f"it is no sound archive ({error})") from error
    content.seek(0)
    return content


@contextlib.contextmanager
def _member(path, name):
    with _members(path) as (file, members):
        if name not in members:
            raise WeightsFileError(f"it is no sound archive of Keras: it has no {name!r}")
        member = members[name]
        if member.method not in (STORED, DEFLATED):
            raise WeightsFileError(f"{name!r} is compressed in a way that Keras does not use")
        if member.method == STORED and member.size != member.packed_size:
            raise WeightsFileError(f"it is no sound archive ({name!r} has two sizes)")
        yield file, member


@contextlib.contextmanager
def _members(path):
    with open(path, "rb") as file:
        try:
            members = read_directory(file)
        except WeightsFileError as error:
            raise WeightsFileError(f"it is no sound archive ({error.reason})") from error
        yield file, members
