"""What changes during a run, beside the variables, and what must not happen to it."""

import dataclasses
import math
from typing import Any


class Diverged(RuntimeError):
    """A loss, a gradient, a weight or an output of the network that is not a finite number."""


@dataclasses.dataclass
class State:
    """What changes during a run, and goes into its checkpoints with all variables.

    Attributes:
        step: Number of steps done.
        evaluated: Number of steps done when the test split was last measured.
        seconds: Time that training took, over all sittings: from asking for a batch to the outcome
            of the step. What builds the graph, once a sitting, is in it; evaluations, checkpoints
            and the start are not.
        steady_seconds: That of the calls which did not have to build the graph.
        steps_of_steady_seconds: Number of steps that these took.
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
    steady_seconds: float = 0.0
    steps_of_steady_seconds: int = 0
    best_accuracy: float = 0.0
    best_step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    examples: int = 0
    skipped: int = 0

    @classmethod
    def from_values(cls, values: Any) -> "State":
        """Returns the state of a checkpoint's JSON values; raises `ValueError` if it is none."""
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != fields.keys():
            raise ValueError(
                f"A state must have the fields {', '.join(fields)}. Received: {values!r}"
            )
        for name, value in values.items():
            is_number = type(value) is int or (fields[name] is float and type(value) is float)
            if not is_number or not 0 <= value < math.inf:
                raise ValueError(
                    f"`{name}` must be a number from 0 on, and whole if it counts. "
                    f"Received: {name}={value!r}"
                )
        state = cls(**values)
        if max(state.evaluated, state.best_step) > state.step or state.best_accuracy > 1:
            raise ValueError(f"A state's numbers must agree. Received: {values!r}")
        return state

    @property
    def steps_per_second(self) -> float:
        """The pace of training: that of calls which build no graph, if there was one."""
        if self.steps_of_steady_seconds:
            return self.steps_of_steady_seconds / self.steady_seconds
        return self.step / self.seconds
