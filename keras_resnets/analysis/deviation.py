"""One point in which a model departs from the paper."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Deviation:
    """One point in which a model departs from He et al., 2015.

    Attributes:
        what: The point, in a word or two.
        paper: The paper's choice.
        here: The model's.
        consequence: What follows for cost, accuracy or use.
    """

    what: str
    paper: str
    here: str
    consequence: str

    def __str__(self):
        return f"{self.what}: {self.here}; in the paper, {self.paper}. {self.consequence}"


def name_of(activation):
    """Returns what a reader knows an activation by; Keras would write a function's bytes down."""
    return getattr(activation, "__name__", type(activation).__name__)
