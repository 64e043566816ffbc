"""The names in a group of an HDF5 file, and where what they name is described."""

import struct

from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.hdf5_bytes import Hdf5Bytes, broken

NODE = struct.Struct("<4sBBHQQ")
CHILD = struct.Struct("<8xQ")
LEAF = struct.Struct("<4sBxH")
ENTRY = struct.Struct("<QQI4x16x")
NAMES = struct.Struct("<4sB3xQQQ")
SOFT_LINK = 2
MOST_LETTERS = 255


def read_links(file: Hdf5Bytes, tree: int, names: int, path: str) -> dict[str, int]:
    """Returns where the headers of a group's members begin, by name.

    Args:
        file: The file.
        tree: Where the tree of the group's members begins.
        names: Where the table of their names begins.
        path: Name of the group, for errors.

    Raises:
        WeightsFileError: If the tables are broken, or a link leads elsewhere.
    """
    signature, version, length, _, start = file.unpack(NAMES, names)
    if signature != b"HEAP" or version != 0:
        raise broken(f"{path + '/'!r} has no table of names")
    file.check_inside(start, length)
    links: dict[str, int] = {}
    for leaf in _leaves(file, tree, path):
        for offset, header, kind in _entries(file, leaf, path):
            file.count_object()
            name = _read_name(file, start + offset, start + length, path)
            if name in links:
                raise broken(f"{path + '/'!r} holds the name {shown(name)} twice")
            if kind == SOFT_LINK:
                raise WeightsFileError(f"{f'{path}/{name}'!r} is a link to elsewhere")
            links[name] = header
    return links


def _leaves(file, tree, path):
    """Yields where the leaves begin, in their order. Neighbours are named too, and not needed."""
    pending: list[tuple[int, int | None]] = [(tree, None)]
    while pending:
        start, expected = pending.pop()
        signature, kind, level, count, _, _ = file.unpack(NODE, start)
        if signature != b"TREE" or kind != 0 or expected not in (None, level):
            raise broken(f"{path + '/'!r} has no sound tree of its members")
        children = [
            child for (child,) in CHILD.iter_unpack(file.table(start + NODE.size, 16 * count))
        ]
        if level == 0:
            yield from children
        else:
            pending += [(child, level - 1) for child in reversed(children)]


def _entries(file, leaf, path):
    """Yields the offset of a name, where a header begins, and the kind of link."""
    signature, version, count = file.unpack(LEAF, leaf)
    if signature != b"SNOD" or version != 1:
        raise broken(f"{path + '/'!r} has no sound tree of its members")
    yield from ENTRY.iter_unpack(file.table(leaf + LEAF.size, ENTRY.size * count))


def _read_name(file, start, end, path):
    if start >= end:
        raise broken(f"{path + '/'!r} holds a name outside its table of names")
    data, zero, _ = file.value(start, min(MOST_LETTERS + 1, end - start)).partition(b"\0")
    if not zero:
        raise broken(f"{path + '/'!r} holds a name of more than {MOST_LETTERS} letters")
    try:
        name = data.decode()
    except UnicodeDecodeError:
        raise broken(f"{path + '/'!r} holds a name that is not UTF-8") from None
    if not name or "/" in name:
        raise broken(f"{path + '/'!r} holds the name {name!r}")
    return name
