"""What keeps a checkpoint from fitting a model, listed under both names."""

from keras_resnets.weights.recognition import Checkpoint

# More lines of a kind than these say nothing new.
MOST_LINES = 8


class Problems:
    """Lists what is missing, left over, or of the wrong shape, and raises if anything is.

    Args:
        checkpoint: The arrays that were given.
    """

    def __init__(self, checkpoint: Checkpoint):
        self.checkpoint = checkpoint
        self.missing: list[str] = []
        self.surplus: list[str] = []
        self.misshapen: list[str] = []

    def add_misshapen(self, name, path, wanted):
        """Notes that the array of this name does not fit the variable at our path."""
        array = self.checkpoint.arrays[name]
        self.misshapen.append(
            f"{self.checkpoint.given_names[name]!r} is {array.dtype} {array.shape}, "
            f"our {path!r} {wanted}"
        )

    def raise_if_any(self):
        """Raises one `ValueError` that lists everything."""
        lines = []
        for kind in ("missing", "surplus", "misshapen"):
            entries = getattr(self, kind)
            lines += [f"\n  {kind}: {entry}" for entry in entries[:MOST_LINES]]
            if len(entries) > MOST_LINES:
                lines.append(f"\n  {kind}: {len(entries) - MOST_LINES} more")
        if lines:
            raise ValueError(
                "`source` must hold exactly the arrays of the model, under the names of "
                f"{self.checkpoint.family.name}. Received:{''.join(lines)}"
            )
