"""The one error of all readers."""

import os

SHOWN_LETTERS = 80


class WeightsFileError(ValueError):
    """A file that cannot, or must not, be read as weights.

    Args:
        reason: What a file must be and this one is not, in whole sentences.
        path: Path of the file; `None` until a reader that knows it adds it.

    Attributes:
        reason: As given.
        path: As given.
    """

    def __init__(self, reason: str, path: str | os.PathLike | None = None):
        super().__init__(reason)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        if self.path is None:
            return self.reason
        return f"{self.reason} Received: path={os.fspath(self.path)!r}"


def shown(value: str) -> str:
    """Quotes a text out of a file for a message: no control characters, and cut when long."""
    if len(value) > SHOWN_LETTERS:
        return f"{value[:SHOWN_LETTERS]!r}…"
    return repr(value)


def printable(text: str, most_letters: int = 300) -> str:
    """Escapes and cuts a message that may repeat what is in a file, without quoting it."""
    cut = text if len(text) <= most_letters else f"{text[:most_letters]}…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
