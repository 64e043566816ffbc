"""Tables in plain text."""

import contextlib
import io
import sys


@contextlib.contextmanager
def plain_where_needed():
    """Has stdout show "?" for what its encoding lacks: a pipe or a log file is often ASCII."""
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper):
        yield
        return
    before = stdout.errors
    stdout.reconfigure(errors="replace")
    try:
        yield
    finally:
        if not stdout.closed:
            stdout.reconfigure(errors=before)


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
