"""Zip archives, under rules that leave no two ways of reading them, and those that Keras writes.

`zipfile` reads them. Refused here is what it does not mind: two members of one name, members that
share bytes (which is how a small archive unpacks to a vast one), names that are paths elsewhere,
headers that contradict the directory, and data before or after the archive.
"""

import contextlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from keras_resnets.files.elements import WeightsFileError, cause, require, shown
from keras_resnets.files.hdf5 import read_hdf5

MOST_DIRECTORY_BYTES = 2**22  # ResNet-1202's has 1 MB. Each member takes memory.

END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q4sIQI")  # and the locator that follows it
# What stands in the first end for a number of the second.
IN_END_64 = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
HEADER = struct.Struct("<4s5H3I2H")
# General purpose flags: how hard the compressor tried, sizes follow the data, the name is UTF-8.
KNOWN_FLAGS = 0x080E
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError)


@contextlib.contextmanager
def open_archive(path: str | os.PathLike):
    """Yields the `zipfile.ZipFile` of a path, if it keeps the rules of this module."""
    with open(path, "rb") as file:
        with archive_errors():
            count, directory = _find_directory(file)
            archive = zipfile.ZipFile(file)
            is_whole = len(archive.infolist()) == count
            require(is_whole, "The archive must hold as many members as it says.")
            _check_members(archive, directory)
        yield archive


@contextlib.contextmanager
def archive_errors():
    """Turns what `zipfile` raises of a broken archive, or member, into a `WeightsFileError`."""
    try:
        yield
    except (*BROKEN, UnicodeDecodeError) as error:
        raise WeightsFileError(f"The archive is broken ({cause(error)}).") from error


def _find_directory(file):
    """Returns the number of members, and where the directory begins; it must end the file."""
    end = file.seek(0, 2) - END.size
    signature, *parts, here, count, size, start, comment = _unpack(file, END, end)
    is_last = signature == b"PK\x05\x06" and not comment
    require(is_last, "The archive is cut off, or something follows it.")
    ends_agree = True
    if end >= END_64.size:
        wide = _unpack(file, END_64, end - END_64.size)
        if wide[10] == b"PK\x06\x07":
            end -= END_64.size
            pairs = zip((here, count, size, start), wide[6:10], IN_END_64, strict=True)
            ends_agree = all(short in (long, limit) for short, long, limit in pairs)
            ends_agree &= (*wide[:2], wide[12]) == (b"PK\x06\x06", 44, end)
            here, count, size, start = wide[6:10]
            parts += [*wide[4:6], wide[11], wide[13] - 1]
    is_at_end = ends_agree and not any(parts) and here == count and start + size == end
    require(is_at_end, "The archive must be in one part, with its directory at its end.")
    most = f"at most {MOST_DIRECTORY_BYTES:,} bytes"
    is_small = size <= MOST_DIRECTORY_BYTES
    require(is_small, f"The directory of an archive must have {most}; it has {size:,}.")
    return count, start


def _check_members(archive, directory):
    """Raises unless each name is plain and unique, and each member ends before the next begins."""
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in members), directory][1:]
    seen = set()
    for member, end in zip(members, ends, strict=True):
        name, shown_name = member.orig_filename, shown(member.orig_filename)
        is_plain = "\\" not in name and name.isprintable()
        is_plain &= not {"", ".", ".."} & set(name.split("/"))
        require(is_plain, f"The archive has a name that is no plain path: {shown_name}.")
        require(name not in seen, f"The archive has two members of the name {shown_name}.")
        seen.add(name)
        is_here = not member.flag_bits & ~KNOWN_FLAGS and not member.volume
        require(is_here, f"Member {shown_name} is encrypted, patched or elsewhere.")
        start = member.header_offset + HEADER.size
        if start <= end:
            header = _unpack(archive.fp, HEADER, member.header_offset)
            agrees = header[2:4] == (member.flag_bits, member.compress_type)
            require(agrees, f"The header of member {shown_name} says otherwise.")
            start += header[-2] + header[-1]
        is_apart = start + member.compress_size <= end
        require(is_apart, f"The archive's members must not overlap; {shown_name} does.")


def _unpack(file, form, position):
    file.seek(max(0, position))
    data = file.read(form.size)
    require(position >= 0 and len(data) == form.size, "The archive is cut off.")
    return form.unpack(data)


WEIGHTS = "model.weights.h5"
CONFIGURATION = "config.json"
MOST_CONFIGURATION_BYTES = 2**21  # ResNet-1202's takes 1 MB
# Keras stores its members as they are. Where others deflate them, numbers hardly yield; the zeros
# that an optimizer begins with do, and of those there are up to three for each weight.
MOST_TIMES_PACKED = {WEIGHTS: 4, CONFIGURATION: 100}
ALWAYS_ALLOWED = 2**20


@contextlib.contextmanager
def open_keras_file(path):
    """Yields the `KerasFile` at a path: an archive by its name or content, or else HDF5."""
    with open(path, "rb") as file:
        is_archive = file.read(2) == b"PK"
    if not is_archive:
        require(Path(path).suffix != ".keras", "A .keras file must be a zip archive.")
        yield KerasFile(path)
        return
    with open_archive(path) as archive:
        yield KerasFile(path, archive)


class KerasFile:
    """A file of Keras while it is open."""

    def __init__(self, path, archive=None):
        self.path, self._archive = path, archive

    @property
    def size(self) -> int:
        """The bytes of the weights, with an optimizer's state."""
        if self._archive is None:
            return os.path.getsize(self.path)
        return self._member(WEIGHTS).file_size

    @contextlib.contextmanager
    def weights(self, most_bytes):
        """Yields the root group of the weights; see `read_hdf5`."""
        with contextlib.ExitStack() as stack:
            path = self.path
            if self._archive is not None:
                member = self._member(WEIGHTS)
                number, path = tempfile.mkstemp(prefix="keras_resnets-", suffix=".h5")
                stack.callback(os.remove, path)
                with open(number, "wb") as copy, archive_errors():
                    shutil.copyfileobj(self._archive.open(member), copy, 2**20)
            yield stack.enter_context(read_hdf5(path, most_bytes))

    def configuration(self) -> dict[str, Any] | None:
        """Returns the configuration of the model; `None` if there is none."""
        if self._archive is None or CONFIGURATION not in self._archive.namelist():
            return None
        with archive_errors():
            text = self._archive.read(self._member(CONFIGURATION))
        try:
            configuration = json.loads(text.decode())
        except (ValueError, RecursionError) as error:
            raise WeightsFileError(f"Its configuration is no JSON ({cause(error)}).") from error
        require(isinstance(configuration, dict), "Its configuration is no object.")
        return configuration

    def _member(self, name):
        """Returns a member that unpacks to no more than such content can be in its packed bytes."""
        require(name in self._archive.namelist(), f"The archive has no member {name!r}.")
        member = self._archive.getinfo(name)
        require(
            member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
            f"Member {name!r} is compressed in a way that Keras does not use.",
        )
        most_bytes = MOST_TIMES_PACKED[name] * member.compress_size + ALWAYS_ALLOWED
        if name == CONFIGURATION:
            most_bytes = min(most_bytes, MOST_CONFIGURATION_BYTES)
        require(
            member.file_size <= most_bytes,
            f"Member {name!r} unpacks to {member.file_size:,} bytes, {most_bytes:,} are allowed.",
        )
        return member


def layer_entries(configuration: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the layers right within a model's configuration, as far as it has any."""
    model = configuration.get("config")
    layers = model.get("layers") if isinstance(model, dict) else None
    return [
        layer
        for layer in (layers if isinstance(layers, list) else [])
        if isinstance(layer, dict) and isinstance(layer.get("config"), dict)
    ]
