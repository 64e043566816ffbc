"""The instructions that a pickle may use: those by which protocol 2 writes plain values."""

from collections.abc import Callable

from keras_resnets.files.errors import WeightsFileError, shown
from keras_resnets.files.pickle_machine import Function, Machine


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


INSTRUCTIONS: dict[bytes, Callable[[Machine], None]] = {
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
