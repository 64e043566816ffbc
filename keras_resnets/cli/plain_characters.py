"""Output where the encoding lacks some characters."""

import codecs
import contextlib
import io
import sys

# One for one, so that columns stay in line.
PLAIN = {"×": "x", "·": "*", "…": "~"}
HANDLER = "keras_resnets.plain"


@contextlib.contextmanager
def plain_where_needed():
    """Has stdout show "x" for "×", and "?" for others, where its encoding has no such character.

    Python would raise, and what a pipe or a log file gets is often ASCII.
    """
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper):
        yield
        return
    before = stdout.errors
    codecs.register_error(HANDLER, _plain)
    stdout.reconfigure(errors=HANDLER)
    try:
        yield
    finally:
        if not stdout.closed:
            stdout.reconfigure(errors=before)


def _plain(error):
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in missing), error.end
