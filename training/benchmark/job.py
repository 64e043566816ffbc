"""What a worker measures, and what it has to know."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Literal


def process_peak_bytes() -> int:
    """Returns the most memory that this process has held, on Linux or macOS."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _nothing():
    pass


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is measured with.

    Attributes:
        model: A name that `keras_resnets.list_models` gives.
        batch: Images a step.
        image_size: Height and width of an image, in pixels.
        classes: Number of classes.
        precision: `"float32"`, or `"bfloat16"` for computing in it with float32 weights.
        photos: Folder with JPEG files; the empty string for none.
        options: What tells one contender's job from another's that is of the same kind.
    """

    model: str
    batch: int
    image_size: int
    classes: int
    precision: str = "float32"
    photos: str = ""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def policy(self) -> Literal["float32", "mixed_bfloat16"]:
        """Keras's name of the precision."""
        return "float32" if self.precision == "float32" else "mixed_bfloat16"


@dataclasses.dataclass(frozen=True)
class Job:
    """Something that can be done again and again.

    Attributes:
        take: Does it a number of times, waits for the end, and returns what a test can look at:
            the last loss, or another number that depends on the work.
        facts: What the results say of it: `images` or `operations` of one time; for a network
            `parameters` (trainable ones) and `macs` (multiply-adds for one image); `device` and
            `versions`.
        before: Called before a turn, untimed.
        after: Called after a turn, untimed: what would go on computing must end here.
        peak_bytes: Returns the most memory that was in use: an accelerator's, or this process's.
    """

    take: Callable[[int], float]
    facts: dict[str, Any]
    before: Callable[[], object] = _nothing
    after: Callable[[], object] = _nothing
    peak_bytes: Callable[[], int] = process_peak_bytes
