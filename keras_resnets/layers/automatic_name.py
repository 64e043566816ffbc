"""Names that Keras gave, and numbered by what the session had built before."""

import re


def automatic_stem(layer):
    """Returns what Keras names a layer of this class, before the number: `"conv2d"`."""
    name = re.sub(r"\W+", "", type(layer).__name__)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_automatic(name, stem):
    """Whether a name is the stem, or the stem and a number."""
    return re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name) is not None
