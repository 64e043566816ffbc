"""A `.keras` archive: the one place that opens it."""

import contextlib
import json
import zipfile

from keras_resnets.files.archive import open_archive
from keras_resnets.files.errors import WeightsFileError

WEIGHTS = "model.weights.h5"
CONFIGURATION = "config.json"
MOST_CONFIGURATION_BYTES = 2**21  # ResNet-1202's takes 1 MB
# Keras stores its members as they are. Where others deflate them, numbers hardly yield; the zeros
# that an optimizer begins with do, and of those there are up to three for each weight.
MOST_TIMES_PACKED = {WEIGHTS: 4, CONFIGURATION: 100}
ALWAYS_ALLOWED = 2**20


def read_configuration(path):
    """Returns the configuration in a `.keras` file, a dictionary; `None` if it has none."""
    with _keras_archive(path) as archive:
        if CONFIGURATION not in archive.namelist():
            return None
        with _open_member(archive, CONFIGURATION, MOST_CONFIGURATION_BYTES) as stream:
            text = stream.read(MOST_CONFIGURATION_BYTES)
    try:
        configuration = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsFileError(f"its configuration is no JSON ({error})") from error
    if not isinstance(configuration, dict):
        raise WeightsFileError("its configuration is no object")
    return configuration


def unpack_member(path, name, most_bytes):
    """Returns a stream of the member `WEIGHTS` or `CONFIGURATION`, which unpacks as it is read.

    It is refused if it unpacks to more bytes than allowed, or than such content can honestly be
    in so few packed bytes. Reading it may raise the errors that `archive_errors` turns into ours.
    """
    with _keras_archive(path) as archive:
        return _open_member(archive, name, most_bytes)


def member_size(path, name):
    """Returns how many bytes a member unpacks to, as far as `unpack_member` would unpack it."""
    with _keras_archive(path) as archive:
        member = _member(archive, name)
        return min(member.file_size, _most_honest_bytes(member))


@contextlib.contextmanager
def _keras_archive(path):
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(open_archive(path))
        except WeightsFileError as error:
            raise WeightsFileError(f"it is no sound archive ({error.reason})") from error
        yield archive


def _member(archive, name):
    if name not in archive.namelist():
        raise WeightsFileError(f"it is no sound archive of Keras: it has no {name!r}")
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise WeightsFileError(f"{name!r} is compressed in a way that Keras does not use")
    return member


def _most_honest_bytes(member):
    return MOST_TIMES_PACKED[member.filename] * member.compress_size + ALWAYS_ALLOWED


def _open_member(archive, name, most_bytes):
    member = _member(archive, name)
    most_bytes = min(most_bytes, _most_honest_bytes(member))
    if member.file_size > most_bytes:
        raise WeightsFileError(
            f"{name!r} unpacks to {member.file_size:,} bytes, {most_bytes:,} are allowed"
        )
    return archive.open(member)
