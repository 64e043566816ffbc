"""The members of a zip archive, under rules that leave no two ways of reading it.

Archives are described twice, in a directory at the end and in a header before each member, and
readers differ in what they make of a contradiction. Here the directory ends with the file, headers
agree with it, names are unique and cannot be mistaken for a path elsewhere, and no two members
share bytes, which is how a small archive unpacks to a vast one.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from keras_resnets.files.errors import WeightsFileError, shown

MOST_MEMBERS = 10**5
MOST_DIRECTORY_BYTES = 2**24

END = struct.Struct("<4s4H2IH")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR_64 = struct.Struct("<4sIQI")
ENTRY = struct.Struct("<4s6H3I5H2I")
HEADER = struct.Struct("<4s5H3I2H")
# General purpose flags: how hard the compressor tried, sizes follow the data, the name is UTF-8.
KNOWN_FLAGS = 0x080E
IN_EXTRA = 0xFFFFFFFF
STORED = 0


@dataclass(frozen=True)
class Member:
    """A file inside an archive.

    Args:
        name: Its name, with `/` between folders.
        method: How it is compressed; 0 if it is not.
        crc: CRC-32 of its content.
        size: Size of its content in bytes.
        packed_size: Size of the bytes in the archive.
        start: Where those begin.
    """

    name: str
    method: int
    crc: int
    size: int
    packed_size: int
    start: int


def read_directory(file: BinaryIO) -> dict[str, Member]:
    """Returns the members of an archive by name.

    Args:
        file: A file open for reading bytes.

    Raises:
        WeightsFileError: If it is no archive, or one that breaks the rules of this module.
    """
    count, start, end = _find_directory(file)
    file.seek(start)
    directory = file.read(end - start)
    entries: dict[str, tuple] = {}
    position = 0
    for _ in range(count):
        entry, position = _read_entry(directory, position)
        if entry[0] in entries:
            raise WeightsFileError(f"The archive has two members of the name {shown(entry[0])}.")
        entries[entry[0]] = entry
    if position != len(directory):
        raise WeightsFileError("The archive's directory must hold as many members as it says.")
    return _locate(file, sorted(entries.values(), key=lambda entry: entry[-1]), start)


def _find_directory(file):
    """Returns the number of members, and where the directory starts and ends."""
    end = file.seek(0, 2) - END.size
    signature, disk, first_disk, here, count, size, start, comment = _unpack(file, END, end)
    if signature != b"PK\x05\x06" or comment:
        raise WeightsFileError("The archive is cut off, or something follows it.")
    if disk or first_disk or here != count:
        raise WeightsFileError("The archive must be in one part.")
    locator = end - LOCATOR_64.size
    if locator >= 0 and _unpack(file, LOCATOR_64, locator)[0] == b"PK\x06\x07":
        narrow = (count, size, start)
        count, size, start, end = _find_directory_64(file, locator)
        for short, long, limit in zip(
            narrow, (count, size, start), (0xFFFF, IN_EXTRA, IN_EXTRA), strict=True
        ):
            if short not in (long, limit):
                raise WeightsFileError("The archive's two ends must agree.")
    if start + size != end:
        raise WeightsFileError("The archive's directory must stand at its end.")
    if count > MOST_MEMBERS or size > MOST_DIRECTORY_BYTES:
        raise WeightsFileError(
            f"The archive must have at most {MOST_MEMBERS:,} members, and a directory of "
            f"{MOST_DIRECTORY_BYTES:,} bytes; it has {count:,}, and {size:,} bytes."
        )
    return count, start, end


def _find_directory_64(file, locator):
    _, disk, end, disks = _unpack(file, LOCATOR_64, locator)
    if end + END_64.size != locator:
        raise WeightsFileError("The archive's 64-bit end must stand before its locator.")
    signature, length, _, _, here_disk, first_disk, here, count, size, start = _unpack(
        file, END_64, end
    )
    if signature != b"PK\x06\x06" or length != END_64.size - 12:
        raise WeightsFileError("The archive's 64-bit end is broken.")
    if disk or disks != 1 or here_disk or first_disk or here != count:
        raise WeightsFileError("The archive must be in one part.")
    return count, size, start, end


def _read_entry(directory, position):
    """Returns (name, method, flags, crc, size, packed size, header) and the next position."""
    after = position + ENTRY.size
    if after > len(directory):
        raise WeightsFileError("The archive's directory is cut off.")
    fields = ENTRY.unpack_from(directory, position)
    signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
    name_length, extra_length, comment_length, disk, _, _, header = fields[10:]
    name = directory[after : after + name_length]
    extra = directory[after + name_length : after + name_length + extra_length]
    after += name_length + extra_length + comment_length
    if signature != b"PK\x01\x02" or after > len(directory):
        raise WeightsFileError("The archive's directory is broken.")
    if flags & ~KNOWN_FLAGS or disk:
        raise WeightsFileError("The archive has a member that is encrypted, patched or elsewhere.")
    size, packed, header = _wide(extra, (size, packed, header))
    return (_checked_name(name), method, flags, crc, size, packed, header), after


def _wide(extra, numbers):
    """Replaces the numbers that did not fit 32 bits by those of the 64-bit extra field."""
    if IN_EXTRA not in numbers:
        return numbers
    position, needed = 0, 8 * numbers.count(IN_EXTRA)
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1 and length == needed and position + length <= len(extra):
            wide = iter(struct.unpack_from(f"<{length // 8}Q", extra, position))
            return tuple(next(wide) if number == IN_EXTRA else number for number in numbers)
        position += length
    raise WeightsFileError("The archive has a member without its 64-bit sizes.")


def _checked_name(data):
    try:
        name = data.decode("utf-8")
    except UnicodeDecodeError:
        raise WeightsFileError("The archive has a name that is not UTF-8.") from None
    odd = "\\" in name or not name.isprintable()
    if odd or any(part in ("", ".", "..") for part in name.split("/")):
        raise WeightsFileError(f"The archive has a name that is no plain path: {shown(name)}.")
    return name


def _locate(file, entries, directory):
    """Checks the header before each member, and that a member ends before the next one's header."""
    members = {}
    limits = [*(entry[-1] for entry in entries), directory][1:]
    for (name, method, flags, crc, size, packed, header), limit in zip(
        entries, limits, strict=True
    ):
        start = header + HEADER.size
        if start <= limit:
            *fields, name_length, extra_length = _unpack(file, HEADER, header)
            signature, _, its_flags, its_method = fields[:4]
            its_name = file.read(name_length)
            expected = (b"PK\x03\x04", flags, method, name.encode())
            if (signature, its_flags, its_method, its_name) != expected:
                raise WeightsFileError(f"The header of member {shown(name)} says otherwise.")
            start += name_length + extra_length
        if start + packed > limit:
            raise WeightsFileError(
                f"The archive's members must not overlap; {shown(name)} ends in the next."
            )
        members[name] = Member(name, method, crc, size, packed, start)
    return members


def _unpack(file, form, position):
    if position < 0:
        raise WeightsFileError("The archive is cut off.")
    file.seek(position)
    data = file.read(form.size)
    if len(data) != form.size:
        raise WeightsFileError("The archive is cut off.")
    return form.unpack(data)
