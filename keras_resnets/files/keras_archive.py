"""A member of a `.keras` archive, unpacked in memory."""

import contextlib
import io
import zipfile

from keras_resnets.files.errors import WeightsFileError

WEIGHTS = "model.weights.h5"
CONFIGURATION = "config.json"
# Keras stores its members as they are. Where others deflate them, numbers hardly yield; the zeros
# that an optimizer begins with do, and of those there are up to three for each weight.
MOST_TIMES_PACKED = {WEIGHTS: 4, CONFIGURATION: 100}
ALWAYS_ALLOWED = 2**20


def unpack_member(path, name, most_bytes):
    """Returns a member of a `.keras` archive as a binary file in memory.

    Args:
        path: Path of the archive.
        name: The member's name, `WEIGHTS` or `CONFIGURATION`.
        most_bytes: How large it may be when it is unpacked.

    Raises:
        WeightsFileError: If the archive is broken, has no such member, or one that is larger than
            that, or than its kind of content can honestly be in so few packed bytes.
    """
    with _member(path, name) as (archive, info):
        most_bytes = min(most_bytes, _most_honest_bytes(info))
        if info.file_size > most_bytes:
            raise WeightsFileError(
                f"{name!r} unpacks to {info.file_size:,} bytes, {most_bytes:,} are allowed"
            )
        with archive.open(info) as member:
            # Without an argument, `read` unpacks all before it looks at the size.
            return io.BytesIO(member.read(info.file_size))


def member_size(path, name):
    """Returns how many bytes a member unpacks to, as far as `unpack_member` would unpack it.

    Args:
        path: As for `unpack_member`.
        name: As for `unpack_member`.

    Raises:
        WeightsFileError: If the archive is broken, or has no such member.
    """
    with _member(path, name) as (_, info):
        return min(info.file_size, _most_honest_bytes(info))


def _most_honest_bytes(info):
    return MOST_TIMES_PACKED[info.filename] * info.compress_size + ALWAYS_ALLOWED


@contextlib.contextmanager
def _member(path, name):
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise WeightsFileError(f"{name!r} is compressed in a way that Keras does not use")
            yield archive, info
    except WeightsFileError:
        raise
    except Exception as error:  # what zipfile raises of a broken archive has no common base
        raise WeightsFileError(f"it is no sound archive ({error})") from error
