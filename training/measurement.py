"""What was measured on what: the scores of a model, and all that they depend on."""

import dataclasses
import re
from pathlib import Path

from training.evaluate import Scores


@dataclasses.dataclass(frozen=True)
class Conditions:
    """All that an evaluation's figures depend on.

    Attributes:
        model: Path of the model, as it was given.
        weights_sha256: Over the bytes of all its variables, as in a run's `result.json`.
        data: The data set, as `data.source` of a recipe.
        split: Its split.
        image_size: Height and width of what the model gets, in pixels.
        crops: Views of each image, whose probabilities are averaged: 1 or 10.
        crop_ratio: Size of the central crop over the shorter side after resizing.
    """

    model: str
    weights_sha256: str
    data: str
    split: str
    image_size: int
    crops: int
    crop_ratio: float

    def name(self, usual_data: str, usual_crop_ratio: float) -> str:
        """Returns a name for files of this measurement: the split, and what is not as usual.

        Args:
            usual_data: The data set that goes without saying: that of the run.
            usual_crop_ratio: Likewise.

        Example:

        >>> conditions = Conditions("runs/1", "", "cifar10", "train[:90%]", 32, 10, 0.875)
        >>> conditions.name(usual_data="cifar10", usual_crop_ratio=0.875)
        'train-to90%-ten-crop'
        """
        path = Path(self.model)
        parts = [path.stem] if path.suffix == ".keras" and path.name != "model.keras" else []
        if self.data != usual_data:
            parts.append(self.data)
        parts.append(self.split)
        if self.crops == 10:
            parts.append("ten-crop")
        if self.crop_ratio != usual_crop_ratio:
            parts.append(f"crop-{self.crop_ratio:g}")
        # In a slice, [:90%] and [90%:] must stay two.
        return re.sub(r"[^\w.%-]+", "-", "-".join(parts).replace("]", "").replace("[:", "-to"))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The scores of a model on a split.

    Attributes:
        scores: What it did with each example.
        class_names: Names of the classes.
        conditions: What was measured, and how.
        name: For the names of files, so that measurements of one model do not take each other's.
    """

    scores: Scores
    class_names: tuple[str, ...]
    conditions: Conditions
    name: str
