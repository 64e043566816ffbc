"""Writes weights files by hand, byte by byte, so that tests need no torch."""

import io
import re
import struct
import zipfile

import numpy as np
import pytest

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def sequence(*values):
    """A tuple of values that are written already."""
    return b"(" + b"".join(values) + b"t"


def integers(values):
    return sequence(*map(integer, values))


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + sequence(*arguments) + b"R"


def mapping(**entries):
    return entries_of(entries)


def entries_of(entries):
    """A dictionary, filled as Python fills an OrderedDict."""
    body = b"".join(text(key) + value for key, value in entries.items())
    return call(name("collections", "OrderedDict")) + b"(" + body + b"u"


def storage(key="0", kind="FloatStorage", count=6, *more):
    kind_name = kind if isinstance(kind, bytes) else name("torch", kind)
    key_text = key if isinstance(key, bytes) else text(key)
    return sequence(text("storage"), kind_name, key_text, text("cpu"), integer(count), *more) + b"Q"


def tensor(on=None, offset=0, shape=(2, 3), strides=(3, 1), *more):
    """A call of torch's rebuilding function; `more` are the arguments after the usual six."""
    hooks = call(name("collections", "OrderedDict"))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        storage() if on is None else on,
        integer(offset) if isinstance(offset, int) else offset,
        integers(shape) if isinstance(shape, tuple) else shape,
        integers(strides) if isinstance(strides, tuple) else strides,
        b"\x89",
        hooks,
        *more,
    )


def pickled(body):
    return b"\x80\x02" + body + b"."


SIX = np.arange(6, dtype="<f4").tobytes()


def torch_zip(body, contents=None, folder="archive", extra=(), byte_order=b"little"):
    """An archive of PyTorch; `body` is what its pickle holds, `contents` its storages."""
    members = {f"{folder}/data.pkl": pickled(body), f"{folder}/version": b"3\n"}
    if byte_order is not None:
        members[f"{folder}/byteorder"] = byte_order
    for key, content in ({"0": SIX} if contents is None else contents).items():
        members[f"{folder}/data/{key}"] = content
    return archive([*members.items(), *extra])


def archive(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        for member, content in members:
            # A fixed time, so that the bytes, and what is drawn from them, are always the same.
            writer.writestr(zipfile.ZipInfo(member), content, method)
    return file.getvalue()


def with_wide_end(data, **changes):
    """The archive with the 64-bit end that torch writes."""
    *_, count, size, start, _ = struct.unpack("<4s4H2IH", data[-22:])
    fields = {"count": count, "size": size, "start": start, **changes}
    end = len(data) - 22
    wide = struct.pack(
        "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, fields["count"], *fields.values()
    )
    return data[:-22] + wide + struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1) + data[-22:]


def torch_stream(body, contents=None, version=1001, little_endian=b"\x88", keys=None, counts=None):
    """A file of torch before 1.6; `contents` from keys to the bytes of 4-byte elements."""
    body = re.sub(rb"(\x8a\x08.{8})tQ", rb"\1NtQ", body, flags=re.DOTALL)  # has a sixth entry
    contents = {"0": SIX} if contents is None else contents
    counts = counts or {}
    listed = list(contents) if keys is None else keys
    head = pickled(integer(version)) + pickled(
        b"}(" + text("protocol_version") + integer(1001) + text("little_endian") + little_endian
        + b"u"
    )  # fmt: skip
    table = pickled(b"](" + b"".join(map(text, listed)) + b"e")
    run = b"".join(
        struct.pack("<q", counts.get(key, len(content) // 4)) + content
        for key, content in contents.items()
    )
    return MAGIC + head + pickled(body) + table + run


def safetensors(table, data=b""):
    """A safetensors file; `table` is its JSON text, or bytes."""
    table = table if isinstance(table, bytes) else table.encode()
    return struct.pack("<Q", len(table)) + table + data


TORCH_FORMATS = pytest.mark.parametrize("write", [torch_zip, torch_stream], ids=["zip", "stream"])
