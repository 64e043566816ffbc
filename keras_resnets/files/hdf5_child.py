"""The program that `hdf5.py` starts for each file: it reads HDF5, and may be killed at any time.

It imports nothing but h5py and NumPy, and once it has the file open it can open no other. Its
settings are its only argument, in JSON. It writes a line when it has started, and the tree of
groups and arrays as the next. Then it answers each line with the number of an array by a line, and
the array's bytes. All lines are JSON.
"""

import contextlib
import encodings.ascii  # noqa: F401  of names; no module can be imported once a file is read
import json
import math
import sys

NUMBERS = {"bool", *(f"float{bits}" for bits in (16, 32, 64))}
NUMBERS |= {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
MOST_LEVELS, MOST_LETTERS, MOST_NAME_BYTES = 32, 500, 1024


class Refused(Exception):
    """Something that the file must not hold; the text names it."""


def main():
    """Answers until the other end closes the pipe."""
    settings = json.loads(sys.argv[1])
    sys.path += settings["packages"]
    import h5py
    import numpy as np

    with open(settings["path"], "rb") as file:
        limit(settings["memory"], settings["seconds"])
        answer({})
        try:
            reader = Reader(h5py, np, file, settings["objects"])
            answer(reader.tree)
            for line in sys.stdin.buffer:
                array = reader.read(int(line))
                answer({})
                sys.stdout.buffer.write(array)
                sys.stdout.buffer.flush()
        except Refused as error:
            answer({"refused": f"{error}"})
        except Exception as error:  # h5py raises many kinds
            answer({"broken": f"{error}"})


def answer(value):
    """Writes a line."""
    sys.stdout.buffer.write(json.dumps(value).encode() + b"\n")
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
        self.tree = self.group(self.root.id, "", 0)

    def group(self, group, where, level):
        """Returns the name, groups and arrays of a group."""
        if level > MOST_LEVELS:
            raise Refused(f"{where!r} lies more than {MOST_LEVELS} groups deep")
        self.meet(group, where or "/")
        names = []
        group.links.iterate(lambda name: self.note(names, name))
        groups, arrays = {}, {}
        for name in names:
            path = f"{where}/{name.decode()}"
            if len(path) > MOST_LETTERS:
                raise Refused(f"{path!r} is longer than {MOST_LETTERS} letters")
            if group.links.get_info(name).type != self.h5.h5l.TYPE_HARD:
                raise Refused(f"{path!r} is a link to elsewhere")
            child = self.h5.h5o.open(group, name)
            if isinstance(child, self.h5.h5g.GroupID):
                groups[name.decode()] = self.group(child, path, level + 1)
            elif isinstance(child, self.h5.h5d.DatasetID):
                arrays[name.decode()] = self.array(child, path)
            else:
                raise Refused(f"{path!r} is neither a group nor an array")
        return {"name": self.text(group, b"name", where or "/"), "groups": groups, "arrays": arrays}

    def note(self, names, name):
        """Keeps a name; libhdf5 would call this without an end where a table leads to itself."""
        names.append(name)
        return True if len(self.met) + len(names) > self.most_objects else None

    def meet(self, found, path):
        """Returns the address of a group or array that must not have been met before."""
        address = self.h5.h5o.get_info(found).addr
        if address in self.met:
            raise Refused(f"{path!r} can be reached by two ways")
        self.met.add(address)
        if len(self.met) >= self.most_objects:
            raise Refused(f"it holds more than {self.most_objects:,} groups and arrays")
        return address

    def array(self, dataset, path):
        """Returns an array's type, shape and number, if its values are in the file."""
        kind, space = self.number_type(dataset, path), dataset.get_space()
        if space.get_simple_extent_type() == self.h5.h5s.NULL:
            raise Refused(f"{path!r} has no shape")
        shape, stored = space.shape, dataset.get_create_plist()
        if stored.get_layout() == self.h5.h5d.VIRTUAL:
            raise Refused(f"{path!r} is a virtual array, of values elsewhere")
        if stored.get_external_count():
            raise Refused(f"{path!r} is stored in another file")
        filters = [stored.get_filter(index)[0] for index in range(stored.get_nfilters())]
        if not all(self.h5.h5z.filter_avail(code) for code in filters):
            raise Refused(f"{path!r} is compressed in a way that is not supported")
        if math.prod(shape):
            there = dataset.get_storage_size()
            needed = math.prod(shape) * dataset.get_type().get_size()
            if stored.get_layout() == self.h5.h5d.CHUNKED:
                chunks = zip(shape, stored.get_chunk(), strict=True)
                needed = math.prod(-(-size // chunk) for size, chunk in chunks)
                there = dataset.get_num_chunks()
            if there < needed:
                raise Refused(f"{path!r} declares the shape {shape} without its data")
        self.arrays.append((path, self.meet(dataset, path), kind))
        return [kind, shape, len(self.arrays) - 1]

    def number_type(self, dataset, path):
        """Returns the name of an array's type, in the byte order of this machine."""
        kind = dataset.get_type()
        is_pair_of_bytes = kind.get_class() == self.h5.h5t.OPAQUE and kind.get_size() == 2
        if is_pair_of_bytes and self.text(dataset, b"dtype", path) == "bfloat16":
            return "bfloat16"  # as Keras stores it
        if kind.get_class() in (self.h5.h5t.INTEGER, self.h5.h5t.FLOAT, self.h5.h5t.ENUM):
            name = kind.dtype.name
            if name in NUMBERS and (name == "bool") == (kind.get_class() == self.h5.h5t.ENUM):
                return name
        raise Refused(f"{path!r} does not hold numbers")

    def text(self, owner, name, path):
        """Returns the attribute of this name, if there is one that is a text."""
        if not self.h5.h5a.exists(owner, name):
            return None
        attribute = self.h5.h5a.open(owner, name)
        kind, space = attribute.get_type(), attribute.get_space()
        is_text = kind.get_class() == self.h5.h5t.STRING
        if not is_text or space.get_simple_extent_type() != self.h5.h5s.SCALAR:
            return None
        data = b""
        if kind.is_variable_str() or kind.get_size() <= MOST_NAME_BYTES:
            value = self.np.empty((), attribute.dtype)
            attribute.read(value)
            data = value[()]
        if kind.get_size() > MOST_NAME_BYTES or len(data) > MOST_NAME_BYTES:
            raise Refused(f"'{path}@{name.decode()}' is longer than {MOST_NAME_BYTES:,} bytes")
        return data.decode()

    def read(self, number):
        """Returns an array's values as bytes."""
        path, address, kind = self.arrays[number]
        dataset = self.h5.h5o.open(self.root.id, path.encode())
        if self.h5.h5o.get_info(dataset).addr != address:
            raise Refused(f"{path!r} can be reached by two ways")
        values = self.np.empty(dataset.shape, "uint16" if kind == "bfloat16" else kind)
        if values.size:
            own = dataset.get_type() if kind == "bfloat16" else None
            dataset.read(self.h5.h5s.ALL, self.h5.h5s.ALL, values, mtype=own)
        return memoryview(values.reshape(-1).view("uint8"))


if __name__ == "__main__":
    main()
