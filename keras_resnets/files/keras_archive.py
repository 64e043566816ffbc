"""A member of a `.keras` archive, unpacked in memory."""

import io
import zipfile

from keras_resnets.files.errors import WeightsFileError

WEIGHTS = "model.weights.h5"


def unpack_member(path, name, most_bytes):
    """Returns a member of a `.keras` archive as a binary file in memory.

    Args:
        path: Path of the archive.
        name: The member's name.
        most_bytes: How large it may be when it is unpacked.

    Raises:
        WeightsFileError: If the archive is broken, has no such member, or one that is larger.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise WeightsFileError(f"{name!r} is compressed in a way that Keras does not use")
            if info.file_size > most_bytes:
                raise WeightsFileError(
                    f"{name!r} unpacks to {info.file_size:,} bytes, {most_bytes:,} are allowed"
                )
            with archive.open(info) as member:
                # Without an argument, `read` unpacks all before it looks at the size.
                return io.BytesIO(member.read(info.file_size))
    except WeightsFileError:
        raise
    except Exception as error:  # what zipfile raises of a broken archive has no common base
        raise WeightsFileError(f"it is no sound archive ({error})") from error
