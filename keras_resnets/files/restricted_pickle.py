"""A machine for pickles that builds plain values only, and calls nothing that a file names.

A pickle is a program for a stack machine. Python's own `pickle.Unpickler` imports the modules that
the program names and calls what it finds there; that is how a file runs code. This machine knows
the instructions by which protocol 2 writes numbers, texts, tuples, lists and dictionaries. A name
(instruction GLOBAL) is looked up in a table that the caller gives, never imported, and the only
functions ever called are those of that table. Instructions outside the list are refused, among them
all that could build an object (INST, OBJ, NEWOBJ), reach the registry of extensions (EXT), or copy
(DUP).

It is bounded: a limit on bytes and one on instructions, each of which does a constant amount of
work or moves what earlier ones have put on the stack. It does not recurse, and keeps the memo in a
dictionary, so that neither deep nesting nor a huge memo index costs anything.
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from keras_resnets.files.errors import WeightsFileError, shown

# What torch writes of a ResNet-1202, optimizer included, is 1 MB and 400,000 instructions.
MOST_BYTES = 2**24
MOST_INSTRUCTIONS = 10**6
LONGEST_NAME = 200


@dataclass(frozen=True)
class Function:
    """A function of ours that stands for one that a pickle may name.

    Args:
        name: Its name in messages.
        call: The function; it checks the types of its arguments itself.
        counts: How many arguments it may be called with.
    """

    name: str
    call: Callable[..., Any]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may refer to.

    Args:
        names: From "module name" to what stands for it: a `Function`, or any inert value.
        persistent: Turns the key of an object that lies outside of the pickle into what stands for
            it; `None` if there are none.
    """

    names: Mapping[str, Any] = field(default_factory=dict)
    persistent: Callable[[Any], Any] | None = None


def read_pickle(
    file: BinaryIO,
    vocabulary: Vocabulary,
    most_bytes: int = MOST_BYTES,
    most_instructions: int = MOST_INSTRUCTIONS,
) -> Any:
    """Returns the value of the pickle at the position of a file, and leaves the file behind it.

    Args:
        file: A file open for reading bytes.
        vocabulary: What the pickle may refer to.
        most_bytes: Length from which on a pickle is refused.
        most_instructions: Number of instructions from which on it is refused.

    Raises:
        WeightsFileError: If the pickle is broken, too long, or asks for anything else.
    """
    machine = _Machine(file, vocabulary, most_bytes)
    for _ in range(most_instructions):
        code = machine.take(1)
        if code == b".":
            return machine.result()
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            raise WeightsFileError(f"The pickle uses {_title(code)}, which is not allowed.")
        instruction(machine)
    raise WeightsFileError(f"The pickle has more than {most_instructions:,} instructions.")


def _title(code):
    known = pickletools.code2op.get(code.decode("latin-1"))
    return f"the instruction {known.name}" if known else f"an unknown instruction {code!r}"


class _Machine:
    """The state of a run: a stack, the positions of open marks in it, and the memo."""

    def __init__(self, file, vocabulary, most_bytes):
        self.file = file
        self.vocabulary = vocabulary
        self.bytes_left = most_bytes
        self.stack = []
        self.marks = []
        self.memo = {}

    def take(self, count):
        """Returns the next bytes; a length out of the file is checked before it is allocated."""
        if count > self.bytes_left:
            raise WeightsFileError("The pickle is longer than is allowed.")
        self.bytes_left -= count
        data = self.file.read(count)
        if len(data) != count:
            raise WeightsFileError("The file ends within a pickle.")
        return data

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self):
        data = self.file.readline(LONGEST_NAME)
        self.bytes_left -= len(data)
        if not data.endswith(b"\n") or not data.isascii():
            raise WeightsFileError(
                f"The pickle has a broken name: {shown(data.decode('latin-1'))}."
            )
        return data[:-1].decode("ascii")

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise WeightsFileError("The pickle takes a value off an empty stack.")
        return self.stack.pop()

    def pop_to_mark(self):
        if not self.marks:
            raise WeightsFileError("The pickle goes back to a mark that it has not set.")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind):
        value = self.pop()
        self.stack.append(value)
        if type(value) is not kind:
            raise WeightsFileError(f"The pickle fills a {type(value).__name__} as a dict or list.")
        return value

    def result(self):
        value = self.pop()
        if self.stack or self.marks:
            raise WeightsFileError("The pickle ends with values left over.")
        return value


def _protocol(machine):
    version = machine.take(1)[0]
    if version != 2:
        raise WeightsFileError(
            f"The pickle must be of protocol 2, which torch.save writes, not {version}."
        )


def _long(machine):
    size = machine.take(1)[0]
    if size > 8:  # also keeps anyone from choosing integers whose hashes collide
        raise WeightsFileError("The pickle has an integer of more than 64 bits.")
    machine.stack.append(int.from_bytes(machine.take(size), "little", signed=True))


def _text(machine):
    data = machine.take(machine.number("<I"))
    try:
        machine.stack.append(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise WeightsFileError("The pickle has a text that is not UTF-8.") from None


def _put(machine, form):
    machine.memo[machine.number(form)] = value = machine.pop()
    machine.stack.append(value)


def _get(machine, form):
    index = machine.number(form)
    if index not in machine.memo:
        raise WeightsFileError(f"The pickle reads entry {index} of its memo before it is written.")
    machine.stack.append(machine.memo[index])


def _tuple(machine, count):
    values = [machine.pop() for _ in range(count)]
    machine.stack.append(tuple(reversed(values)))


def _append(machine):
    value = machine.pop()
    machine.top(list).append(value)


def _extend(machine):
    values = machine.pop_to_mark()
    machine.top(list).extend(values)


def _set_item(machine):
    value, key = machine.pop(), machine.pop()
    _set(machine.top(dict), key, value)


def _set_items(machine):
    values = machine.pop_to_mark()
    if len(values) % 2:
        raise WeightsFileError("The pickle has a key without a value.")
    target = machine.top(dict)
    for key, value in zip(values[::2], values[1::2], strict=True):
        _set(target, key, value)


def _set(target, key, value):
    if type(key) not in (str, int):
        raise WeightsFileError(f"The pickle has a key of type {type(key).__name__}.")
    if key in target:
        raise WeightsFileError(f"The pickle sets a key twice: {shown(str(key))}.")
    target[key] = value


def _name(machine):
    name = f"{machine.line()} {machine.line()}"
    if name not in machine.vocabulary.names:
        raise WeightsFileError(
            f"The pickle refers to {shown(name.replace(' ', '.'))}, which is not allowed: a file "
            "of weights holds tensors, numbers and texts (`torch.save(model.state_dict(), path)`), "
            "no objects of other classes."
        )
    machine.stack.append(machine.vocabulary.names[name])


def _call(machine):
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, Function) or type(arguments) is not tuple:
        raise WeightsFileError(
            f"The pickle calls a {type(function).__name__} with a {type(arguments).__name__}."
        )
    if len(arguments) not in function.counts:
        raise WeightsFileError(f"The pickle calls {function.name} with {len(arguments)} arguments.")
    machine.stack.append(function.call(*arguments))


def _discard_attributes(machine):
    """BUILD sets attributes; a dictionary here has none, so what torch notes there is dropped."""
    machine.pop()
    machine.top(dict)


def _persistent(machine):
    if machine.vocabulary.persistent is None:
        raise WeightsFileError("The pickle refers to an object outside of it.")
    machine.stack.append(machine.vocabulary.persistent(machine.pop()))


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"(": lambda machine: machine.marks.append(len(machine.stack)),
    b"N": lambda machine: machine.stack.append(None),
    b"\x88": lambda machine: machine.stack.append(True),
    b"\x89": lambda machine: machine.stack.append(False),
    b"J": lambda machine: machine.stack.append(machine.number("<i")),
    b"K": lambda machine: machine.stack.append(machine.number("<B")),
    b"M": lambda machine: machine.stack.append(machine.number("<H")),
    b"\x8a": _long,
    b"G": lambda machine: machine.stack.append(machine.number(">d")),
    b"X": _text,
    b")": lambda machine: machine.stack.append(()),
    b"\x85": lambda machine: _tuple(machine, 1),
    b"\x86": lambda machine: _tuple(machine, 2),
    b"\x87": lambda machine: _tuple(machine, 3),
    b"t": lambda machine: machine.stack.append(tuple(machine.pop_to_mark())),
    b"]": lambda machine: machine.stack.append([]),
    b"a": _append,
    b"e": _extend,
    b"}": lambda machine: machine.stack.append({}),
    b"s": _set_item,
    b"u": _set_items,
    b"q": lambda machine: _put(machine, "<B"),
    b"r": lambda machine: _put(machine, "<I"),
    b"h": lambda machine: _get(machine, "<B"),
    b"j": lambda machine: _get(machine, "<I"),
    b"c": _name,
    b"R": _call,
    b"b": _discard_attributes,
    b"Q": _persistent,
}
