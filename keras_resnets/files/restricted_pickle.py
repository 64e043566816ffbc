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
from typing import Any, BinaryIO

from keras_resnets.files.errors import WeightsFileError
from keras_resnets.files.pickle_instructions import INSTRUCTIONS
from keras_resnets.files.pickle_machine import Machine, Vocabulary

# What torch writes of a ResNet-1202, optimizer included, is 1.4 MB and 380,000 instructions.
MOST_BYTES = 2**24
MOST_INSTRUCTIONS = 10**6


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
    machine = Machine(file, vocabulary, min(most_bytes, _bytes_ahead(file)))
    for _ in range(most_instructions):
        code = machine.take(1)
        if code == b".":
            return machine.result()
        instruction = INSTRUCTIONS.get(code)
        if instruction is None:
            raise WeightsFileError(f"The pickle uses {_title(code)}, which is not allowed.")
        instruction(machine)
    raise WeightsFileError(f"The pickle has more than {most_instructions:,} instructions.")


def _bytes_ahead(file):
    position = file.tell()
    end = file.seek(0, 2)
    file.seek(position)
    return end - position


def _title(code):
    names = {known.code.encode("latin-1"): known.name for known in pickletools.opcodes}
    return f"the instruction {names[code]}" if code in names else f"an unknown instruction {code!r}"
