"""Reading HDF5: sound files give their arrays back, hostile and broken ones are refused."""

import itertools
import re
import struct
import tracemalloc
import zipfile
import zlib

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

from keras_resnets.files import WeightsFileError, read_arrays
from keras_resnets.files.hdf5 import MOST_OBJECTS, read_hdf5
from keras_resnets.files.hdf5_child import Reader, RefusedError

ROOM = 2**16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.h5"


def refuse(source, match, most_bytes=ROOM):
    """Checks that walking the file, or reading its arrays, ends in an error that says why."""
    with pytest.raises(WeightsFileError, match=match), read_hdf5(source, most_bytes) as root:
        read_all(root)


def read_all(group):
    values = {name: array.read() for name, array in group.arrays.items()}
    return values | {name: read_all(child) for name, child in group.groups.items()}


def write_sound(path):
    with h5py.File(path, "w") as file:
        file["a/b/x"] = np.arange(6.0).reshape(2, 3)
        file["a/y"] = np.float32(0.5)
        file["z"] = np.arange(3)
        file["a"].attrs["name"] = "first"


class TestSound:
    def test_groups_arrays_and_texts(self, path):
        write_sound(path)
        with read_hdf5(path, ROOM) as root:
            assert list(root.groups) == ["a"]
            assert list(root.arrays) == ["z"]
            a = root.groups["a"]
            assert a.name == "first"
            assert a.groups["b"].arrays["x"].shape == (2, 3)
            assert a.groups["b"].arrays["x"].dtype == np.float64
            np.testing.assert_array_equal(a.groups["b"].arrays["x"].read(), [[0, 1, 2], [3, 4, 5]])
            assert a.arrays["y"].shape == ()
            assert a.arrays["y"].read() == 0.5
            np.testing.assert_array_equal(root.arrays["z"].read(), [0, 1, 2])

    def test_types(self, path):
        kinds = ["float16", "float32", ">f4", "float64", "int8", "uint16", "int64", "bool"]
        values = {kind: np.array([[0, 1], [1, 0]]).astype(kind) for kind in kinds}
        bfloat16 = np.array([1.5, -2.0], ml_dtypes.bfloat16)
        with h5py.File(path, "w") as file:
            for kind, array in values.items():
                file[kind] = array
            # As Keras marks it.
            file.create_dataset("bfloat16", data=bfloat16).attrs["dtype"] = "bfloat16"
            file["empty"] = np.zeros((0, 3), "float32")
        with read_hdf5(path, ROOM) as root:
            read = {kind: array.read() for kind, array in root.arrays.items()}
        for kind, array in values.items():
            assert read[kind].dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(read[kind], array)
        assert read["bfloat16"].dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(read["bfloat16"], bfloat16)
        assert read["empty"].shape == (0, 3)

    def test_stored_beside_the_shape(self, path):
        with h5py.File(path, "w") as file:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((3,))
            dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, creation)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 2, 3], "float32"))
        with read_hdf5(path, ROOM) as root:
            np.testing.assert_array_equal(root.arrays["x"].read(), [1, 2, 3])

    def test_attributes_of_other_kinds_are_left_out(self, path):
        with h5py.File(path, "w") as file:
            file["x"] = [1.0]
            file.attrs["text"] = "text"
            file.attrs["number"] = 3
            file.attrs["reference"] = file["x"].ref
            for place, name in enumerate([["a", "b"], 3, file["x"].ref, h5py.Empty("S1")]):
                file.create_group(f"{place}").attrs["name"] = name
        with read_hdf5(path, ROOM) as root:
            assert root.name is None
            assert [group.name for group in root.groups.values()] == [None] * 4

    def test_names(self, path):
        names = ["", "conv", "größe", np.bytes_("conv"), "x" * 1024]
        names += [f"a name that is longer than most: {place}" for place in range(300)]
        with h5py.File(path, "w") as file:
            file.attrs["another"] = "x"
            for place, name in enumerate(names):  # so many texts are in several collections
                file.create_group(f"{place}").attrs["name"] = name
        names[3] = "conv"
        with read_hdf5(path, ROOM) as root:
            assert {place: group.name for place, group in root.groups.items()} == {
                f"{place}": name for place, name in enumerate(names)
            }

    def test_what_is_not_read_does_not_count(self, path):
        with h5py.File(path, "w") as file:
            file["model"] = np.zeros(100, "float32")
            file["optimizer"] = np.zeros(10_000, "float32")
        with read_hdf5(path, most_bytes=400) as root:
            assert root.arrays["optimizer"].shape == (10_000,)
            assert root.arrays["model"].read().shape == (100,)

    def test_the_file_is_closed_when_the_body_fails(self, path):
        write_sound(path)
        with pytest.raises(ZeroDivisionError), read_hdf5(path, ROOM) as root:
            1 / 0  # noqa: B018  the body's own error, not the file's
        with pytest.raises(WeightsFileError):
            root.arrays["z"].read()


def sparse(shape):
    return lambda file: file.create_dataset("x", shape=shape, dtype="float32")


def compressed(file, missing=0):
    """10 GB in 640 chunks of the same few bytes; a chunk that is missing would be zeros."""
    options = {"shape": (640, 2**22), "chunks": (1, 2**22), "compression": "gzip"}
    array = file.create_dataset("x", dtype="float32", **options)
    chunk = zlib.compress(bytes(2**24))
    for number in range(640 - missing):
        array.id.write_direct_chunk((number, 0), chunk)


def bomb(file):
    """A chunk of 128 MB that says 256 kB: libhdf5 makes room for whatever comes."""
    options = {"shape": (2**16,), "chunks": (2**16,), "compression": "gzip"}
    array = file.create_dataset("x", dtype="float32", **options)
    array.id.write_direct_chunk((0,), zlib.compress(bytes(2**27)))


def external(file):
    storage = [(f"{file.filename}.raw", 0, 16)]
    file.create_dataset("x", shape=(4,), dtype="float32", external=storage)


def virtual(file):
    layout = h5py.VirtualLayout(shape=(1,), dtype="float64")
    layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(1,))
    file.create_virtual_dataset("x", layout)


def plugin(file):
    """libhdf5 would look for a program of that number in a folder, and run it."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((4,))
    creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((4,))
    array = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, creation)
    array.write_direct_chunk((0,), bytes(16))


def marked(name):
    return lambda file: file.create_dataset("x", data=np.zeros(2, "V2")).attrs.update(dtype=name)


def linked(target):
    def write(file):
        file.create_group("a/b")
        file["a/b/again"] = file[target]

    return write


def two_names(file):
    file["x"] = [1.0]
    file["y"] = file["x"]


def doubling(file):
    """2^64 paths through 64 groups."""
    group = file
    for _ in range(64):
        group = group.create_group("left")
        group.parent["right"] = group


def holding(content, key="x"):
    return lambda file: file.__setitem__(key, content)


def of_type(kind):
    return lambda file: file.create_dataset("x", (2,), kind)


def named(name):
    return lambda file: file.create_group("a").attrs.update(name=name)


NOT_NUMBERS = {
    "references": lambda file: file.create_dataset("x", data=[file.ref], dtype=h5py.ref_dtype),
    "text": holding(np.array([b"text"])),
    "texts of any length": holding(["a", "bcd"]),
    "structures": holding(np.zeros(2, [("a", "f4"), ("b", "i4")])),
    "two bytes": holding(np.zeros(2, "V2")),
    "two bytes marked float16": marked("float16"),
    "two bytes marked bfloat17": marked("bfloat17"),
    "complex numbers": holding(np.zeros(2, "complex64")),
    "names of numbers": of_type(h5py.enum_dtype({"a": 0, "b": 1}, "i1")),
    "lists of any length": of_type(h5py.vlen_dtype(np.dtype("float32"))),
    "arrays of arrays": of_type(np.dtype(("f4", (3,)))),
}
REFUSED = {
    "a huge shape": (sparse((10**6,)), r"'/x' declares the shape \(1000000,\) without its data"),
    "a vast shape": (sparse((2**60,)), "without its data"),
    "a shape whose product overflows": (sparse((2**40, 2**20)), "without its data"),
    "a missing chunk": (lambda file: compressed(file, missing=1), "without its data"),
    "too deep": (lambda file: file.create_group("/".join("g" * 33)), "more than 32 groups deep"),
    "long names": (holding([1.0], "/".join(["x" * 255] * 2)), "is longer than 500 letters"),
    "a long name": (named("x" * 1025), "'/a@name' is longer than 1,024 bytes"),
    "a long name of fixed length": (named(np.bytes_("x" * 1025)), "is longer than 1,024 bytes"),
    "external link": (holding(h5py.ExternalLink("secret.h5", "/x")), "'/x' is a link to elsewhere"),
    "external group": (
        holding(h5py.ExternalLink("secret.h5", "/"), "a/b"),
        "'/a/b' is a link to elsewhere",
    ),
    "soft link": (holding(h5py.SoftLink("/missing")), "'/x' is a link to elsewhere"),
    "soft link to the root": (holding(h5py.SoftLink("/")), "'/x' is a link to elsewhere"),
    "external storage": (external, "'/x' is stored in another file"),
    "a virtual array": (virtual, "'/x' is a virtual array"),
    "a filter that is a plugin": (plugin, "'/x' is compressed in a way that is not supported"),
    "no shape": (holding(h5py.Empty("f4")), "'/x' has no shape"),
    "a named type": (holding(np.dtype("f4")), "'/x' is neither a group nor an array"),
    "a group within itself": (linked("/a/b"), "'/a/b/again' can be reached by two ways"),
    "the root within itself": (linked("/"), "'/a/b/again' can be reached by two ways"),
    "one array under two names": (two_names, "'/y' can be reached by two ways"),
    "doubling at each level": (doubling, "two ways|groups deep"),
    **{case: (write, "'/x' does not hold numbers") for case, write in NOT_NUMBERS.items()},
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plain_numbers_in_this_file_is_refused(path, case):
    """By the program's own reader, within this process: another for each would take longer."""
    write, match = REFUSED[case]
    with h5py.File(path, "w") as file:
        write(file)
    with open(path, "rb") as file, pytest.raises(RefusedError, match=match):
        Reader(h5py, np, file, MOST_OBJECTS)


@pytest.mark.parametrize(
    ("write", "match"),
    [
        (holding(h5py.ExternalLink("secret.h5", "/x")), "'/x' is a link to elsewhere"),
        (compressed, "'/x' declares 10,737,418,240 bytes"),
    ],
)
def test_what_the_process_refuses_is_the_reader_s_error(path, write, match):
    with h5py.File(path, "w") as file:
        write(file)
    refuse(path, match, most_bytes=10**9)


def test_nothing_may_stand_before_the_file(path):
    h5py.File(path, "w", userblock_size=512).close()
    refuse(path, "must begin as HDF5")


def test_the_sizes_of_arrays_add_up(path):
    with h5py.File(path, "w") as file:
        file["x"] = file["y"] = np.zeros(10, "float32")
    refuse(path, "'/x' declares 40 bytes, 39 are allowed", most_bytes=39)
    refuse(path, "'/y' declares 40 bytes, 39 are allowed", most_bytes=79)


def test_a_chunk_that_unpacks_to_more_than_it_says(path):
    """Its process may not take so much memory."""
    with h5py.File(path, "w") as file:
        bomb(file)
    refuse(path, "no valid HDF5 file", most_bytes=2**18)


def test_too_many_groups(path, monkeypatch):
    monkeypatch.setattr("keras_resnets.files.hdf5.MOST_OBJECTS", 10)
    with h5py.File(path, "w") as file:
        for outer, inner in itertools.product("abc", "abc"):
            file.create_group(f"{outer}/{inner}")
    refuse(path, "more than 10 groups and arrays")


class TestNewerLayouts:
    """Keras writes none of them, but other programs do."""

    @pytest.mark.parametrize(("libver", "track_order"), [("v108", False), ("latest", True)])
    def test_of_the_whole_file(self, path, libver, track_order):
        with h5py.File(path, "w", libver=libver, track_order=track_order) as file:
            for number in range(20):  # so many are kept in a table of another kind
                group = file.create_group(f"a/{number}", track_order=track_order)
                group["x"] = [1.0 * number]
                group.attrs["name"] = f"layer{number}"
        with read_hdf5(path, ROOM) as root:
            groups = root.groups["a"].groups
            assert len(groups) == 20
            for key, group in groups.items():
                assert group.name == f"layer{key}"
                np.testing.assert_array_equal(group.arrays["x"].read(), [float(key)])

    @pytest.mark.parametrize("libver", ["earliest", "latest"])
    def test_chunks_and_compression(self, path, libver, rng):
        values = rng.normal(size=(500, 7))
        options = [
            {"compression": "gzip"},
            {"compression": "lzf", "shuffle": True},
            {"chunks": (64, 3)},
            {"maxshape": (None, 7)},
            {"fletcher32": True},
        ]
        with h5py.File(path, "w", libver=libver) as file:
            for number, each in enumerate(options):
                file.create_dataset(f"{number}", data=values, **each)
        with read_hdf5(path, len(options) * values.nbytes) as root:
            for array in root.arrays.values():
                np.testing.assert_array_equal(array.read(), values)

    def test_a_type_that_others_share(self, path):
        with h5py.File(path, "w") as file:
            file["t"] = np.dtype("f4")
            file.create_dataset("y", shape=(3,), dtype=file["t"])[:] = 1.0
            del file["t"]
        with read_hdf5(path, ROOM) as root:
            np.testing.assert_array_equal(root.arrays["y"].read(), [1, 1, 1])


def patched(path, place, layout, *values):
    """Overwrites numbers in a file."""
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(struct.pack(layout, *values))


class TestForgedTables:
    """Each of these is an endless loop, or far too much memory, for a reader that believes it."""

    @pytest.fixture
    def places(self, path):
        """Where the tables of a file with two full levels of a tree begin, by signature."""
        with h5py.File(path, "w") as file:
            for number in range(600):
                file.create_group(f"{number:03}")
            file.attrs["name"] = "layer"
        content = path.read_bytes()
        return {
            signature: [found.start() for found in re.finditer(signature, content)]
            for signature in (b"TREE", b"SNOD", b"HEAP", b"GCOL")
        }

    @pytest.mark.parametrize(("limit", "seconds"), [("SECONDS", 1), ("SECONDS_OF_WAITING", 5)])
    def test_neighbours_that_lead_back(self, path, places, monkeypatch, limit, seconds):
        """libhdf5 follows them without an end: limits on its own time, and on all, end it."""
        monkeypatch.setattr(f"keras_resnets.files.hdf5.{limit}", seconds)
        for place in places[b"TREE"]:
            patched(path, place + 8, "<QQ", place, place)
        refuse(path, "crashed, took too much time")

    def test_free_places_among_names_that_lead_back(self, path, places):
        """libhdf5 lists them until the memory that it may take is full."""
        for place in places[b"HEAP"]:
            free, data = struct.unpack_from("<QQ", path.read_bytes(), place + 16)
            patched(path, data + free, "<Q", free)
        refuse(path, "no valid HDF5 file")

    def test_a_tree_that_is_its_own_branch(self, path, places):
        for place in places[b"TREE"]:
            patched(path, place + 32, "<Q", place)
        refuse(path, "no valid HDF5 file")

    def test_a_tree_whose_branches_are_the_same_ones(self, path, places):
        """Twenty levels of nodes, each with the next one twice: 2^20 leaves."""
        length = path.stat().st_size
        (root,) = [
            place
            for place in places[b"TREE"]
            if struct.unpack_from("<B", path.read_bytes(), place + 5) == (1,)
        ]
        levels = [root, *(length + 56 * number for number in range(20)), places[b"SNOD"][0]]
        path.write_bytes(path.read_bytes() + bytes(56 * 20))
        for level, (node, child) in enumerate(itertools.pairwise(levels)):
            patched(
                path,
                node,
                "<4sBBHQQQQQQ",
                b"TREE",
                0,
                20 - level,
                2,
                *2 * [2**64 - 1],
                *(0, child, 0, child),
            )
        refuse(path, "no valid HDF5 file")

    def test_leaves_that_are_the_same_one(self, path, places):
        for place in places[b"TREE"]:
            patched(
                path, place + 48, "<Q", struct.unpack_from("<Q", path.read_bytes(), place + 32)[0]
            )
        refuse(path, "'/000' can be reached by two ways")

    def test_a_header_that_goes_on_in_itself(self, path):
        with h5py.File(path, "w") as file:
            for number in range(40):
                file.attrs[f"{number}"] = number
        content = path.read_bytes()
        (header,) = struct.unpack_from("<Q", content, 64)
        place = header + 16
        while struct.unpack_from("<H", content, place) != (0x10,):
            place += 8 + struct.unpack_from("<H", content, place + 2)[0]
        patched(path, place + 8, "<QQ", place, 24)
        refuse(path, "no valid HDF5 file")
        patched(path, header + 2, "<H", 2**16 - 1)
        refuse(path, "no valid HDF5 file")

    def test_a_collection_without_an_end(self, path, places):
        for place in places[b"GCOL"]:
            patched(path, place + 8, "<Q", 2**63)
            patched(path, place + 16, "<H6xQ", 7, 2**64 - 16)  # one step back
        refuse(path, "no valid HDF5 file")

    def test_many_attributes_of_one_long_text(self, path):
        """As a library reads them, 300 texts of 8 MB."""
        with h5py.File(path, "w") as file:
            for number in range(300):
                file.create_group(f"{number}").attrs["name"] = "x" * (2**23 if number == 0 else 8)
        content = path.read_bytes()
        references = [
            found.start()
            for found in re.finditer(struct.pack("<I", 8) + rb".{6}\0\0.\0\0\0", content, re.DOTALL)
            if content[struct.unpack_from("<Q", content, found.start() + 4)[0] :][:4] == b"GCOL"
        ]
        long = content.index(struct.pack("<I", 2**23))
        assert len(references) == 299
        forged = bytearray(content)
        for place in references:
            forged[place : place + 16] = content[long : long + 16]
        path.write_bytes(forged)
        tracemalloc.start()
        refuse(path, "'/0@name' is longer than 1,024 bytes")
        assert tracemalloc.get_traced_memory()[1] < 2**22
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89HDF\r\n\x1a\n", bytes(10_000), None])
def test_no_such_file_format_or_no_file(path, content):
    if content is not None:
        path.write_bytes(content)
    refuse(path, "no valid HDF5 file")


def test_cut_anywhere(path):
    write_sound(path)
    content = path.read_bytes()
    for length in [8, 60, *range(96, len(content), 2500), len(content) - 1]:
        path.write_bytes(content[:length])
        refuse(path, "no valid HDF5 file")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_keras_files_are_read_by_their_groups_names(suffix, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    path = tmp_path / f"model{suffix}"
    model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
    arrays = read_arrays(path)
    assert sorted(arrays) == ["layers/dense/vars/0", "layers/dense/vars/1"]
    for name, weight in zip(sorted(arrays), model.get_weights(), strict=True):
        np.testing.assert_array_equal(arrays[name], weight)
        assert not arrays[name].flags.writeable


def test_a_keras_archive_that_unpacks_to_more_is_refused(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**24))
    with pytest.raises(WeightsFileError, match="unpacks to 16,777,216 bytes"):
        read_arrays(path)
