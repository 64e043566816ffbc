"""Files whose structure lies: about sizes, places and names. All are refused with the reason."""

import gzip
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from keras_resnets.files import WeightsFileError
from tests.files import writing
from tests.files.writing import SIX, call, integer, mapping, name, sequence, storage, tensor, text

TENSORS = {
    "too long": (tensor(None, 0, (7,), (1,)), "ends at element 7 of a storage of 6"),
    "begins too late": (tensor(None, 6, (1,), (1,)), "ends at element 7"),
    "far outside": (tensor(None, 2**62, (1,), (1,)), "inside its storage"),
    "empty outside": (tensor(None, 7, (0,), (1,)), "ends at element 7"),
    "outside by its strides": (tensor(None, 0, (2, 3), (4, 1)), "ends at element 7"),
    "outside by a huge stride": (tensor(None, 0, (2,), (2**62,)), "inside its storage"),
    "wrapping around": (tensor(None, 0, (2**62, 2**62), (4, 4)), "fewer than"),
    "wrapping to nothing": (tensor(None, 0, (0, 2**62, 2**62), (1, 1, 1)), "fewer than"),
    "before its storage": (tensor(None, -1, (1,), (1,)), "at least 0"),
    "backwards": (tensor(None, 5, (6,), (-1,)), "at least 0"),
    "of negative size": (tensor(None, 0, (-1, -6), (1, 1)), "at least 0"),
    "of true size": (tensor(None, 0, sequence(b"\x88"), (1,)), "integers"),
    "of broken size": (tensor(None, 0, sequence(b"G" + bytes(8)), (1,)), "integers"),
    "at a text": (tensor(None, text("0")), "integers"),
    "of no shape": (tensor(None, 0, b"N", (1,)), "tuples"),
    "of a list": (tensor(None, 0, b"]", b"]"), "tuples"),
    "with too few strides": (tensor(None, 0, (2, 3), (1,)), "tuples of one length"),
    "of 33 dimensions": (tensor(None, 0, (1,) * 33, (1,) * 33), "at most 32 dimensions"),
    "expanded to 4 TB": (tensor(None, 0, (2**20, 2**20), (0, 0)), "far larger than their file"),
    "on nothing": (tensor(b"N"), "on a storage"),
    "on itself": (tensor(tensor()), "on a storage"),
    "on a dictionary": (tensor(mapping()), "on a storage"),
    "on a type": (tensor(name("torch", "FloatStorage")), "on a storage"),
    "with too few arguments": (
        call(name("torch._utils", "_rebuild_tensor_v2"), storage()),
        "missing 3 required positional arguments",
    ),
    "with hooks": (
        call(
            name("torch._utils", "_rebuild_tensor_v2"),
            *(storage(), integer(0), writing.integers((6,)), writing.integers((1,)), b"\x89"),
            mapping(a=b"N"),
        ),
        "hooks",
    ),
    "negated when it is used": (
        tensor(None, 0, (6,), (1,), b"}" + text("neg") + b"\x88s"),
        "lazy negation",
    ),
    "a parameter of a number": (
        call(name("torch._utils", "_rebuild_parameter"), integer(1), b"\x88", mapping()),
        "parameter must be a tensor",
    ),
    "a storage of negative size": (tensor(storage(count=-6)), "at least 0"),
    "a storage of a true size": (
        tensor(
            sequence(
                text("storage"), name("torch", "FloatStorage"), text("0"), text("cpu"), b"\x88"
            )
            + b"Q"
        ),
        "at least 0",
    ),
    "a storage of two sizes": (
        mapping(a=tensor(), b=tensor(storage(count=5), 0, (1,), (1,))),
        "'0' has two",
    ),
    "a storage of two types": (
        mapping(a=tensor(), b=tensor(storage(kind="IntStorage"))),
        "'0' has two",
    ),
    "a storage of no type": (tensor(storage(kind=text("FloatStorage"))), "without a type"),
    "a storage of a function": (tensor(storage(kind=name("torch", "Size"))), "without a type"),
    "a storage under a number": (tensor(storage(key=integer(0))), "without a type, key"),
    "a view of a storage": (
        tensor(storage("0", "FloatStorage", 6, sequence(text("1"), integer(0), integer(6)))),
        "view of another",
    ),
    "a storage of seven parts": (tensor(storage("0", "FloatStorage", 6, b"N", b"N")), "no storage"),
}


@writing.TORCH_FORMATS
@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_that_does_not_fit_is_refused(read_watched, write, case):
    body, reason = TENSORS[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(write(mapping(w=body)))


BODY = mapping(w=tensor())
ZIP = writing.torch_zip(BODY)
PICKLE = ("archive/data.pkl", writing.pickled(BODY))
DATA = ("archive/data/0", SIX)


def zip_of_names(*names):
    return writing.archive([PICKLE, DATA, *((each, b"") for each in names)])


def twice(data):
    """Renames the member "archive/version" into a second "archive/data/0" of another content."""
    longer = writing.torch_zip(BODY, extra=[("archive/data/9", bytes(24))])
    return longer.replace(b"archive/data/9", b"archive/data/0")


def changed(data, old, new, count=1):
    if data.count(old) < 1:
        raise AssertionError(f"{old!r} is not there")
    return data.replace(old, new, count)


def entry_of(data, member, field, value):
    """Overwrites a field of a member's entry in the directory; `field` is its offset there."""
    name_at = data.rindex(member.encode())
    place = name_at - 46 + field
    return data[:place] + value + data[place + len(value) :]


def header_of(data, member, field, value):
    """Overwrites a field of the header before a member."""
    place = data.index(member.encode()) - 30 + field
    return data[:place] + value + data[place + len(value) :]


def end_of(data, field, value):
    place = len(data) - 22 + field
    return data[:place] + value + data[place + len(value) :]


def overlapping():
    """Two storages whose entries lead to the same bytes."""
    body = mapping(a=tensor(), b=tensor(storage("1")))
    data = writing.torch_zip(body, {"0": SIX, "1": SIX})
    offset = struct.pack("<I", data.index(b"archive/data/0") - 30)
    return entry_of(data, "archive/data/1", 42, offset)


def deflated():
    zeros = bytes(4 * 10**7)
    body = mapping(w=tensor(storage(count=10**7), 0, (10**7,), (1,)))
    return writing.archive(
        [("archive/data.pkl", writing.pickled(body)), ("archive/data/0", zeros)],
        zipfile.ZIP_DEFLATED,
    )


ARCHIVES = {
    "compressed": (deflated(), "'archive/data.pkl' is compressed"),
    "of one name twice": (twice(ZIP), "two members of the name 'archive/data/0'"),
    "with a path upwards": (zip_of_names("archive/../../etc/cron.d/x"), "no plain path"),
    "with an absolute path": (zip_of_names("/etc/passwd"), "no plain path"),
    "with a path of Windows": (zip_of_names("archive/..\\x"), "no plain path"),
    "with a folder": (zip_of_names("archive/data/"), "no plain path"),
    "with a dot": (zip_of_names("archive/./data/0"), "no plain path"),
    "with a control character": (zip_of_names("archive/\x1b[2J"), r"no plain path.*x1b"),
    "with a mark from right to left": (zip_of_names("archive/\u202egp.x"), "no plain path"),
    "with a name that is not UTF-8": (
        ZIP.replace(b"archive/version", b"archive/versio\xff"),
        r"no plain path: 'archive/versio\\xa0'",
    ),
    "with a storage elsewhere": (
        writing.torch_zip(mapping(w=tensor(storage("../../../etc/passwd")))),
        "no storage '../../../etc/passwd'",
    ),
    "with overlapping members": (overlapping(), "must not overlap"),
    "with a member that is too long": (
        entry_of(ZIP, "archive/data/0", 20, struct.pack("<II", 2**20, 2**20)),
        "must not overlap",
    ),
    "with a member of 4 GB": (
        entry_of(ZIP, "archive/data/0", 20, struct.pack("<II", 2**32 - 2, 2**32 - 2)),
        "must not overlap",
    ),
    "with 64-bit sizes that are not there": (
        entry_of(ZIP, "archive/data/0", 20, struct.pack("<II", 2**32 - 1, 2**32 - 1)),
        "must not overlap",
    ),
    "with a member beyond the end": (
        entry_of(ZIP, "archive/data/0", 42, struct.pack("<I", 2**31)),
        "must not overlap",
    ),
    "with two lengths of a member": (
        entry_of(ZIP, "archive/data/0", 20, struct.pack("<I", 20)),
        "'archive/data/0' is compressed",
    ),
    "with a shorter storage": (
        writing.torch_zip(BODY, {"0": SIX[:20]}),
        "must have 24 bytes.*it has 20",
    ),
    "with a longer storage": (writing.torch_zip(BODY, {"0": SIX + SIX}), "it has 48"),
    "without a storage": (writing.torch_zip(BODY, {}), "no storage '0'"),
    "with a damaged storage": (changed(ZIP, SIX, SIX[::-1]), "Bad CRC-32 for file"),
    "with a damaged pickle": (changed(ZIP, b"storage", b"stor4ge"), "Bad CRC-32 for file"),
    "with another CRC": (entry_of(ZIP, "archive/data/0", 16, bytes(4)), "Bad CRC-32 for file"),
    "encrypted": (entry_of(ZIP, "archive/data/0", 8, b"\x01\x00"), "encrypted"),
    "encrypted in the header": (header_of(ZIP, "archive/data/0", 6, b"\x01\x00"), "otherwise"),
    "compressed in the header": (header_of(ZIP, "archive/data/0", 8, b"\x08\x00"), "otherwise"),
    "of another name in the header": (
        changed(ZIP, b"archive/data/0", b"archive/data/1"),
        "'archive/data/0' and header b'archive/data/1' differ",
    ),
    "of another signature": (header_of(ZIP, "archive/data/0", 0, b"PK\x03\x05"), "magic number"),
    "on another disk": (entry_of(ZIP, "archive/data/0", 34, b"\x01\x00"), "elsewhere"),
    "in several parts": (end_of(ZIP, 4, b"\x01\x00"), "in one part"),
    "of fewer members than it says": (end_of(ZIP, 8, b"\x09\x00\x09\x00"), "as many members"),
    "of more members than it says": (end_of(ZIP, 8, b"\x01\x00\x01\x00"), "as many members"),
    "with a directory elsewhere": (end_of(ZIP, 16, bytes(4)), "directory at its end"),
    "with something before it": (b"PK" + bytes(98) + ZIP, "directory at its end"),
    "with something after it": (ZIP + bytes(10), "cut off, or something follows"),
    "with a comment": (end_of(ZIP, 20, b"\x03\x00") + b"abc", "something follows"),
    "with another end in 64 bits": (writing.with_wide_end(ZIP, start=0), "directory at its end"),
    "with another count in 64 bits": (writing.with_wide_end(ZIP, count=2), "directory at its end"),
    "of a million members": (
        end_of(writing.with_wide_end(ZIP, count=10**6), 8, b"\xff\xff\xff\xff"),
        "as many members as it says",
    ),
    "without a pickle": (writing.archive([DATA]), "must have a member data.pkl"),
    "in two folders": (zip_of_names("other/data.pkl"), "in one folder"),
    "of TorchScript": (zip_of_names("archive/constants.pkl"), "TorchScript"),
    "of TorchScript with code": (zip_of_names("archive/code/__torch__.py"), "TorchScript"),
    "of NumPy": (writing.archive([("w.npy", b"")]), "data.pkl"),
    "of no byte order": (writing.torch_zip(BODY, byte_order=b"middle"), "little or big"),
    "of a long byte order": (writing.torch_zip(BODY, byte_order=b"l" * 1000), "at most 16"),
    "of a bad boolean": (
        writing.torch_zip(
            mapping(w=tensor(storage(kind="BoolStorage"))), {"0": b"\x00\x01\x02\x00\x00\x00"}
        ),
        "zeros and ones",
    ),
    "empty": (writing.archive([]), "in one folder"),
    "of the magic number only": (b"PK\x03\x04", "cut off"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_an_archive_that_contradicts_itself_is_refused(read_watched, case):
    data, reason = ARCHIVES[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(data)


def test_a_pickle_of_more_than_16_mb_in_an_archive_is_refused(read_watched):
    with pytest.raises(WeightsFileError, match="at most 16,777,216 bytes"):
        read_watched(writing.torch_zip(text("a" * 2**24)))


def test_a_member_must_end_before_the_next(read_watched):
    """An archive in an archive: the outer member's bytes are, or hold, an inner member."""
    inner = writing.torch_zip(BODY, folder="inner")
    start = inner.index(b"inner/data/0") - 30
    data = writing.torch_zip(BODY, extra=[("archive/inner", inner)])
    header = data.index(inner) + start
    moved = entry_of(data, "archive/data/0", 42, struct.pack("<I", header))
    with pytest.raises(WeightsFileError, match=r"otherwise|overlap"):
        read_watched(moved)


def stream(**changes):
    return writing.torch_stream(BODY, **changes)


STREAMS = {
    "of another version": (stream(version=1000), "version must be 1001"),
    "of a version that is true": (
        changed(stream(version=1001), writing.pickled(integer(1001)), writing.pickled(b"\x88")),
        "version must be",
    ),
    "of a big-endian machine": (stream(little_endian=b"\x89"), "little-endian"),
    "of a machine of 1": (stream(little_endian=b"K\x01"), "little-endian"),
    "with a storage twice": (stream(keys=["0", "0"]), "different from each other"),
    "with a storage too few": (stream(keys=[]), "'0' is only used"),
    "with a storage too many": (stream(keys=["0", "1"]), "'1' is only listed"),
    "with another storage": (stream(keys=["../0"]), "only"),
    "with keys that are no texts": (
        changed(stream(), writing.pickled(b"](" + text("0") + b"e"), writing.pickled(b"]Na")),
        "list of texts",
    ),
    "with keys in a tuple": (
        changed(stream(), writing.pickled(b"](" + text("0") + b"e"), writing.pickled(b")")),
        "list of texts",
    ),
    "with another count": (stream(counts={"0": 5}), "must have 6 elements.*it has 5"),
    "with a negative count": (stream(counts={"0": -1}), "it has -1"),
    "with a storage of 32 EB": (
        writing.torch_stream(mapping(w=tensor(storage(count=2**62))), counts={"0": 2**62}),
        "ends within storage '0'",
    ),
    "with something after it": (stream() + b"\0", "must end with its last storage"),
    "with a second stream after it": (stream() + stream(), "must end with its last storage"),
    "of the magic number only": (writing.MAGIC, "cut off"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_that_contradicts_itself_is_refused(read_watched, case):
    data, reason = STREAMS[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(data)


def table(**changes):
    entry = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24], **changes}
    return json.dumps({"w": entry})


TABLES = {
    "beyond the end": (table(shape=[7], data_offsets=[0, 28]), SIX, "broken"),
    "with bytes left over": (table(), SIX + b"\0", "broken"),
    "with a gap": (table(data_offsets=[4, 28]), SIX + SIX[:4], "broken"),
    "of another size than its shape": (table(shape=[5]), SIX, "broken"),
    "of a negative size": (table(shape=[-6]), SIX, "broken"),
    "of a size that wraps around": (table(shape=[2**62, 2**62, 6]), SIX, "broken"),
    "of negative offsets": (table(data_offsets=[-24, 0]), SIX, "broken"),
    "of reversed offsets": (table(data_offsets=[24, 0]), SIX, "broken"),
    "of no type": (table(dtype="Q8"), SIX, "broken"),
    "of complex numbers": (table(dtype="C64", shape=[3]), SIX, "'w' is of type C64"),
    "of 8-bit floats": (table(dtype="F8_E4M3", shape=[24]), SIX, "is of type F8_E4M3"),
    "of bad booleans": (table(dtype="BOOL", shape=[24]), b"\x02" * 24, "zeros and ones"),
    "of 100 dimensions": (table(shape=[1] * 99 + [6]), SIX, "at most 32 dimensions"),
    "of nothing times everything": (
        table(shape=[0, 2**62], data_offsets=[0, 0]),
        b"",
        "fewer than",
    ),
    "overlapping": (json.dumps({key: json.loads(table())["w"] for key in "ab"}), SIX, "broken"),
    "with the same name twice": (
        f'{{"w": {json.dumps(json.loads(table())["w"])}, "w": '
        '{"dtype": "F32", "shape": [1], "data_offsets": [24, 28]}}',
        SIX + SIX[:4],
        "broken",
    ),
    "nested": ('{"w":' + "[" * 10_000 + "]" * 10_000 + "}", b"", "broken"),
    "not JSON": ('{"w"', b"", "broken"),
    "not UTF-8": (b'{"\xff": 1}', b"", "broken"),
    "of a list": ("[]", b"", "broken"),
    "empty": ("{}", b"", "at least one array"),
    "of metadata only": ('{"__metadata__": {"format": "pt"}}', b"", "at least one array"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_safetensors_file_that_contradicts_itself_is_refused(read_watched, case):
    text_, data, reason = TABLES[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(writing.safetensors(text_, data), "weights.safetensors")


@pytest.mark.parametrize("length", [2**23 + 1, 2**40, 2**64 - 1])
def test_a_long_table_of_safetensors_is_refused_before_it_is_read(read_watched, length):
    with pytest.raises(WeightsFileError, match="at most 8,388,608 bytes"):
        read_watched(struct.pack("<Q", length) + b"{}", "weights.safetensors")


def tar():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as writer:
        for member in ("sys_info", "pickle", "storages", "tensors"):
            writer.addfile(tarfile.TarInfo(member), io.BytesIO())
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


FOREIGN = {
    "empty": (b"", "is empty"),
    "zeros": (bytes(1000), "no known format"),
    "a tar archive": (tar(), "tar archive"),
    "a compressed file": (gzip.compress(ZIP), "unpack it first"),
    "a web page": (b"\n<!DOCTYPE html><html>", "web page"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "a pickle": (writing.pickled(BODY), "pickle that torch.save has not written"),
    "an array of NumPy": (npy(), "no known format"),
    "a text": (b"conv1.weight 3 4 5", "no known format"),
    "another magic number": (stream()[:5] + b"\0" + stream()[6:], "torch.save has not written"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_file_of_another_kind_is_named(read_watched, case):
    data, reason = FOREIGN[case]
    with pytest.raises(WeightsFileError, match=reason):
        read_watched(data)


VALID = {
    "zip": ZIP,
    "64-bit zip": writing.with_wide_end(ZIP),
    "stream": stream(),
    "safetensors": writing.safetensors(table(), SIX),
}


@pytest.mark.parametrize("kind", VALID)
def test_a_file_that_is_cut_off_anywhere_is_refused(read_watched, kind):
    data = VALID[kind]
    assert list(read_watched(data)) == ["w"]
    for length in range(len(data)):
        with pytest.raises(WeightsFileError):
            read_watched(data[:length])
