"""The stack machine of a pickle, and what the pickle may refer to."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_resnets.files.errors import WeightsFileError, shown

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


class Machine:
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
            raise WeightsFileError("The pickle is cut off, or longer than is allowed.")
        self.bytes_left -= count
        return self.file.read(count)

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self):
        data = self.file.readline(min(LONGEST_NAME, self.bytes_left))
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
