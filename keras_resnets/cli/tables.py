"""Tables in plain text."""

import codecs
import contextlib
import io
import sys

# One for one, so that columns stay in line.
PLAIN = {"×": "x", "·": "*", "…": "~"}
HANDLER = "keras_resnets.plain"


@contextlib.contextmanager
def plain_where_needed():
    """Has stdout show "x" for "×", and so on, where it is ASCII: a pipe or a log file often is."""
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


EIGHTHS = " ▏▎▍▌▋▊▉█"


def format_table(rows, alignment):
    """Returns rows of texts as lines with columns two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, alignment, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def bar(share, width):
    """Returns a bar of at most `width` characters, exact to an eighth; of `#` in ASCII."""
    try:
        EIGHTHS.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "#" * round(share * width)
    whole, rest = divmod(round(share * width * 8), 8)
    return (EIGHTHS[8] * whole + EIGHTHS[rest]).rstrip()
