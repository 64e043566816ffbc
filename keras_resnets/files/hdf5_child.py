"""The program that `hdf5.py` starts for each file: it reads HDF5, and may be killed at any time.

It imports nothing but h5py and NumPy, and once it has the file open it can open no other. Its
settings are its only argument, in JSON. It writes the tree of groups and arrays as a line of JSON.
Then it answers each line with the number of an array by a line, and the array's bytes.
"""

import contextlib
import encodings.ascii  # noqa: F401  of names; no module can be imported once a file is read
import json
import math
import sys

NUMBERS = {"bool", *(f"float{bits}" for bits in (16, 32, 64))}
NUMBERS |= {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
MOST_LEVELS, MOST_LETTERS, MOST_NAME_BYTES = 32, 500, 1024


class RefusedError(Exception):
    """Something that the file must not hold; the text names it."""


def require(holds, reason):
    """Refuses the file unless a rule holds."""
    if not holds:
        raise RefusedError(reason)


def main():
    """Answers until the other end closes the pipe."""
    settings = json.loads(sys.argv[1])
    sys.path += settings["packages"]
    import h5py
    import numpy as np

    try:
        with open(settings["path"], "rb") as file:
            limit(settings["memory"], settings["seconds"])
            reader = Reader(h5py, np, file, settings["objects"])
            answer(reader.tree)
            for line in sys.stdin.buffer:
                answer({}, reader.read(int(line)))
    except RefusedError as error:
        answer({"refused": f"{error}"})
    except Exception as error:  # h5py raises many kinds
        answer({"broken": f"{error}"})


def answer(value, content=b""):
    """Writes a line, and the bytes that follow it."""
    sys.stdout.buffer.write(json.dumps(value).encode() + b"\n")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def limit(memory, seconds):
    """Limits what this process can still take, where the platform can."""
    with contextlib.suppress(ImportError):
        import resource

        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        limits = [(resource.RLIMIT_CPU, math.ceil(used + seconds)), (resource.RLIMIT_CORE, 0)]
        with contextlib.suppress(OSError), open("/proc/self/statm") as numbers:
            size = int(numbers.read().split()[0]) * resource.getpagesize()
            limits.append((resource.RLIMIT_AS, size + memory))
        limits += [(resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 0)]
        for kind, most in limits:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (most, most))


class Reader:
    """The groups and arrays of a file, each of which can be reached in one way."""

    def __init__(self, h5py, np, file, most_objects):
        self.h5, self.np, self.most_objects = h5py, np, most_objects
        self.arrays = []  # of each its path, address and type
        self.met = set()
        self.root = h5py.File(file, "r")
        require(not self.root.userblock_size, "The file must begin as HDF5, with nothing before it")
        self.tree = self.group(self.root, "", 0)

    def group(self, group, where, level):
        """Returns the name, groups and arrays of a group."""
        require(level <= MOST_LEVELS, f"Group {where!r} lies more than {MOST_LEVELS} groups deep")
        self.meet(group, where or "/")
        names = []

        def note(name):
            """Keeps a name, until there are too many: a table may lead to itself without an end."""
            names.append(name)
            return len(self.met) + len(names) > self.most_objects or None

        group.id.links.iterate(note)
        groups, arrays = {}, {}
        for name in map(bytes.decode, names):
            path = f"{where}/{name}"
            is_short = len(path) <= MOST_LETTERS
            require(is_short, f"Name {path!r} is longer than {MOST_LETTERS} letters")
            is_here = isinstance(group.get(name, getlink=True), self.h5.HardLink)
            require(is_here, f"Name {path!r} is a link to elsewhere")
            child = group[name]
            if isinstance(child, self.h5.Group):
                groups[name] = self.group(child, path, level + 1)
            else:
                is_array = isinstance(child, self.h5.Dataset)
                require(is_array, f"Object {path!r} is neither a group nor an array")
                arrays[name] = self.array(child, path)
        return {"name": self.text(group, "name", where), "groups": groups, "arrays": arrays}

    def meet(self, found, path):
        """Returns the address of a group or array that must not have been met before."""
        address = self.h5.h5o.get_info(found.id).addr
        require(address not in self.met, f"Object {path!r} can be reached by two ways")
        self.met.add(address)
        most = self.most_objects
        require(len(self.met) < most, f"The file holds more than {most:,} groups and arrays")
        return address

    def array(self, dataset, path):
        """Returns an array's type, shape and number, if its values are in the file."""
        kind, shape = self.number_type(dataset, path), dataset.shape
        stored = dataset.id.get_create_plist()
        filters = [stored.get_filter(index)[0] for index in range(stored.get_nfilters())]
        is_known = all(map(self.h5.h5z.filter_avail, filters))
        require(shape is not None, f"Array {path!r} has no shape")
        require(not dataset.is_virtual, f"Array {path!r} is a virtual array, of values elsewhere")
        require(not dataset.external, f"Array {path!r} is stored in another file")
        require(is_known, f"Array {path!r} is compressed in a way that is not supported")
        if math.prod(shape):
            there, needed = dataset.id.get_storage_size(), dataset.nbytes
            if dataset.chunks:
                chunks = zip(shape, dataset.chunks, strict=True)
                there = dataset.id.get_num_chunks()
                needed = math.prod(-(-size // chunk) for size, chunk in chunks)
            is_whole = there >= needed
            require(is_whole, f"Array {path!r} declares the shape {shape} without its data")
        self.arrays.append((path, self.meet(dataset, path), kind))
        return [kind, shape, len(self.arrays) - 1]

    def number_type(self, dataset, path):
        """Returns the name of an array's type, in the byte order of this machine."""
        kind = dataset.dtype
        if kind == self.np.dtype("V2") and self.text(dataset, "dtype", path) == "bfloat16":
            return "bfloat16"  # as Keras stores it
        is_number = kind.name in NUMBERS and not kind.metadata  # the names of an enumeration
        require(is_number, f"Array {path!r} does not hold numbers")
        return kind.name

    def text(self, owner, name, path):
        """Returns the attribute of this name, if there is one that is a text."""
        value = owner.attrs.get(name)
        value = value.decode() if isinstance(value, bytes) else value
        if not isinstance(value, str):
            return None
        is_short = len(value.encode()) <= MOST_NAME_BYTES
        require(is_short, f"'{path}@{name}' is longer than {MOST_NAME_BYTES:,} bytes")
        return value

    def read(self, number):
        """Returns an array's values as bytes."""
        path, address, kind = self.arrays[number]
        dataset = self.root[path]
        is_same = self.h5.h5o.get_info(dataset.id).addr == address
        require(is_same, f"Array {path!r} can be reached by two ways")
        values = self.np.empty(dataset.shape, "V2" if kind == "bfloat16" else kind)
        if values.size:
            dataset.read_direct(values)
        return memoryview(values.reshape(-1).view("uint8"))


if __name__ == "__main__":
    main()
