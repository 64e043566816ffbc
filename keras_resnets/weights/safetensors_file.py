"""Writing a safetensors file: a header of JSON, then the arrays' bytes."""

import json
import os
import struct
from pathlib import Path

import numpy as np

TYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int64": "I64"}


def write_safetensors(path, arrays):
    """Writes arrays to a file that appears at its path only when it is whole.

    Args:
        path: Path of the file; one that is there is replaced.
        arrays: A dictionary of NumPy arrays of the types in `TYPES`.
    """
    header: dict = {"__metadata__": {"format": "pt"}}  # Hugging Face asks for it
    position = 0
    for name, array in arrays.items():
        end = position + array.nbytes
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the arrays to eight bytes
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(unfinished, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for array in arrays.values():
                little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
                file.write(np.ascontiguousarray(little_endian).tobytes())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
