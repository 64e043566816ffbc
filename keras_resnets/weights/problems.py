"""What keeps a checkpoint from fitting a model, listed under both names."""

import numpy as np

from keras_resnets.files.errors import shown
from keras_resnets.weights.recognition import Checkpoint


class Problems:
    """Lists what is missing, left over, misshapen or unsound, and raises if anything is.

    Args:
        checkpoint: The arrays that were given.
    """

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.missing: list[str] = []
        self.surplus: list[str] = []
        self.misshapen: list[str] = []
        self.unsound: list[str] = []

    def check(self, name, path, wanted, use="our"):
        """Notes what is wrong with the array for a variable.

        Args:
            name: Its name in the family.
            path: The variable's path in our model.
            wanted: The shape that the array must have, in the file's order of axes.
            use: What the array is to the variable.
        """
        array = self.checkpoint.arrays.get(name)
        if array is None:
            self.missing.append(f"{name!r}, {use} {path!r}")
            return
        given = self.checkpoint.given_names[name]
        if array.shape != wanted or not _is_float(array):
            # Both shapes in the file's order of axes, or they could not be compared.
            self.misshapen.append(
                f"{shown(given)} is {array.dtype} {array.shape}, must be float {wanted}, "
                f"{use} {path!r}"
            )
        elif not _fits_float32(array):
            self.unsound.append(f"{shown(given)} holds NaN or infinity, {use} {path!r}")
        elif path.endswith("/moving_variance") and array.min(initial=0) < 0:
            self.unsound.append(f"{shown(given)} holds a negative variance, {use} {path!r}")

    def raise_if_any(self):
        """Raises one `ValueError` that lists everything."""
        lines = [
            f"\n  {kind}: {entry}"
            for kind in ("missing", "surplus", "misshapen", "unsound")
            for entry in getattr(self, kind)
        ]
        if lines:
            raise ValueError(
                "`source` must hold exactly the arrays of the model, under the names of "
                f"{self.checkpoint.family.name}, as finite numbers. Received:{''.join(lines)}"
            )


def _is_float(array):
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _fits_float32(array):
    with np.errstate(over="ignore"):
        return bool(np.isfinite(array.astype("float32", copy=False)).all())
