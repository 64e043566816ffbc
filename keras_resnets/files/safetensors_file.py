"""The safetensors format: a JSON table of names, types, shapes and positions, then the elements.

The `safetensors` package reads and checks the table: the tensors lie inside the file, one after
another, without gaps. The elements are read here, so that bfloat16, which NumPy has not, can be
widened as it comes.
"""

import math
import struct
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from keras_resnets.files.elements import BFLOAT16, ElementType, check_shape, read_elements
from keras_resnets.files.errors import WeightsFileError, printable, shown

# The table of a ResNet-1202 has under 1 MB. The package's own limit of 100 MB of names alone would
# take a multiple of the file's size in memory.
MOST_TABLE_BYTES = 2**23
TYPES = {
    "BF16": BFLOAT16,
    "BOOL": ElementType("bool"),
    **{f"F{bits}": ElementType(f"float{bits}") for bits in (16, 32, 64)},
    **{f"I{bits}": ElementType(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": ElementType(f"uint{bits}") for bits in (8, 16, 32, 64)},
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file, read-only; bfloat16 as float32."""
    arrays = {}
    with open(path, "rb") as file:
        head = file.read(8)
        if len(head) != 8:
            raise WeightsFileError("A safetensors file must begin with the length of its table.")
        (table_bytes,) = struct.unpack("<Q", head)
        if table_bytes > MOST_TABLE_BYTES:
            raise WeightsFileError(
                f"The table of a safetensors file must have at most {MOST_TABLE_BYTES:,} bytes; "
                f"it has {table_bytes:,}."
            )
        table = _read_table(path)
        file.seek(8 + table_bytes)
        for name, (element_type, shape) in table.items():
            array = read_elements(file, element_type, math.prod(shape)).reshape(shape)
            array.flags.writeable = False
            arrays[name] = array
        if file.read(1):
            raise WeightsFileError("A safetensors file must end with its last tensor.")
    return arrays


def _read_table(path):
    """Returns {name: (type, shape)}, in the order of the tensors in the file."""
    table = {}
    try:
        with safe_open(path, framework="numpy") as checked:
            for name in checked.offset_keys():
                tensor = checked.get_slice(name)
                kind, shape = tensor.get_dtype(), tuple(tensor.get_shape())
                if kind not in TYPES:
                    raise WeightsFileError(
                        f"A tensor must be of a type that NumPy has, or bfloat16; {shown(name)} "
                        f"is of type {kind}."
                    )
                check_shape(shape)
                table[name] = TYPES[kind], shape
    except SafetensorError as error:
        raise WeightsFileError(
            f"The safetensors file is broken ({printable(str(error))})."
        ) from error
    return table
