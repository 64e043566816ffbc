"""Tensors that are windows on a storage."""

import pytest

from keras_resnets.files import WeightsFileError
from keras_resnets.files.elements import ElementType
from keras_resnets.files.torch_files import load_tensors
from keras_resnets.files.torch_pickle import Storage, Tensor


def test_very_many_tensors_on_one_number_are_refused_before_any_array():
    """Of rank 32 each of them takes half a kilobyte, and 15 bytes of the file."""
    tensor = Tensor(Storage(ElementType("float32"), "0", 1), 0, (1,) * 32, (0,) * 32)

    def load(storage):
        pytest.fail("elements were read")

    with pytest.raises(WeightsFileError, match=r"at most 65,536 tensors; this one holds 65,537"):
        load_tensors({str(number): tensor for number in range(2**16 + 1)}, load, 2**20)
