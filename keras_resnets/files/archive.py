"""Zip archives, under rules that leave no two ways of reading them.

`zipfile` reads them. It does not mind what is refused here: two members of one name, members that
share bytes (which is how a small archive unpacks to a vast one), names that are paths elsewhere,
headers that contradict the directory, and data before or after the archive.
"""

import contextlib
import os
import struct
import zipfile
import zlib

from keras_resnets.files.errors import WeightsFileError, printable, shown

MOST_DIRECTORY_BYTES = 2**22  # ResNet-1202's has 1 MB. Each member takes memory.

END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q4sIQI")  # and the locator that follows it
IN_END_64 = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
HEADER = struct.Struct("<4s5H3I2H")
# General purpose flags: how hard the compressor tried, sizes follow the data, the name is UTF-8.
KNOWN_FLAGS = 0x080E
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError)


@contextlib.contextmanager
def open_archive(path: str | os.PathLike):
    """Yields the `zipfile.ZipFile` of a path, if it keeps the rules of this module."""
    with archive_errors():
        with open(path, "rb") as file:
            count, directory = _find_directory(file)
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) != count:
                raise WeightsFileError("The archive must hold as many members as it says.")
            _check_members(archive, directory)
            yield archive


@contextlib.contextmanager
def archive_errors():
    """Turns what `zipfile` raises of a broken archive, or member, into a `WeightsFileError`."""
    try:
        yield
    except (*BROKEN, UnicodeDecodeError) as error:
        raise WeightsFileError(f"The archive is broken ({printable(str(error))}).") from error


def _find_directory(file):
    """Returns the number of members, and where the directory begins; it must end the file."""
    end = file.seek(0, 2) - END.size
    signature, *parts, count, size, start, comment = _unpack(file, END, end)
    if signature != b"PK\x05\x06" or comment:
        raise WeightsFileError("The archive is cut off, or something follows it.")
    parts[2] -= count
    if end >= END_64.size:
        fields = _unpack(file, END_64, end - END_64.size)
        if fields[10] == b"PK\x06\x07":
            end -= END_64.size
            if (fields[0], fields[1], fields[12]) != (b"PK\x06\x06", 44, end):
                raise WeightsFileError("The archive's 64-bit end is broken.")
            narrow, (here, *wide) = (count, size, start), fields[6:10]
            for short, long, limit in zip(narrow, wide, IN_END_64, strict=True):
                if short not in (long, limit):
                    raise WeightsFileError("The archive's two ends must agree.")
            count, size, start = wide
            parts += [*fields[4:6], here - count, fields[11], fields[13] - 1]
    if any(parts):
        raise WeightsFileError("The archive must be in one part.")
    if start + size != end:
        raise WeightsFileError("The archive's directory must stand at its end.")
    if size > MOST_DIRECTORY_BYTES:
        raise WeightsFileError(
            f"The directory of an archive must have at most {MOST_DIRECTORY_BYTES:,} bytes; it "
            f"has {size:,}."
        )
    return count, start


def _check_members(archive, directory):
    """Raises unless each name is plain and unique, and each member ends before the next begins."""
    members = sorted(archive.infolist(), key=lambda member: member.header_offset)
    ends = [*(member.header_offset for member in members), directory][1:]
    seen = set()
    for member, end in zip(members, ends, strict=True):
        name = member.orig_filename
        odd = "\\" in name or not name.isprintable()
        if odd or any(part in ("", ".", "..") for part in name.split("/")):
            raise WeightsFileError(f"The archive has a name that is no plain path: {shown(name)}.")
        if name in seen:
            raise WeightsFileError(f"The archive has two members of the name {shown(name)}.")
        seen.add(name)
        if member.flag_bits & ~KNOWN_FLAGS or member.volume:
            raise WeightsFileError(f"Member {shown(name)} is encrypted, patched or elsewhere.")
        start = member.header_offset + HEADER.size
        if start <= end:
            header = _unpack(archive.fp, HEADER, member.header_offset)
            if header[2:4] != (member.flag_bits, member.compress_type):
                raise WeightsFileError(f"The header of member {shown(name)} says otherwise.")
            start += header[-2] + header[-1]
        if start + member.compress_size > end:
            raise WeightsFileError(
                f"The archive's members must not overlap; {shown(name)} ends in the next."
            )


def _unpack(file, form, position):
    data = b""
    if position >= 0:
        file.seek(position)
        data = file.read(form.size)
    if len(data) != form.size:
        raise WeightsFileError("The archive is cut off.")
    return form.unpack(data)
