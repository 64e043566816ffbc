"""What changes during a run, beside the variables, and what must not happen to it."""

import dataclasses


class Diverged(RuntimeError):
    """A loss or a gradient that is not a finite number."""


@dataclasses.dataclass
class State:
    """What changes during a run, and goes into its checkpoints with all variables.

    Attributes:
        step: Number of steps done.
        evaluated: Number of steps done when the test split was last measured.
        seconds: Time spent on them, over all sittings.
        best_accuracy: Best test accuracy so far, in [0, 1].
        best_step: Where it was reached.
        loss_sum: Training loss, summed over the examples since the last evaluation.
        correct: Number of them whose likeliest class was right.
        examples: Number of them.
        skipped: Number of times, over the whole run, that another image stood in for one that
            could not be read.
    """

    step: int = 0
    evaluated: int = 0
    seconds: float = 0.0
    best_accuracy: float = 0.0
    best_step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    examples: int = 0
    skipped: int = 0
