"""The one error of all readers."""


class WeightsFileError(ValueError):
    """A file that cannot, or must not, be read as weights; the message says why."""
