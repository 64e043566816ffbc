"""Writes the table of `docs/converting.md` from the families: `python -m docs.families`."""

import re
from pathlib import Path

from keras_resnets.weights.families import FAMILIES

PAGE = Path(__file__).with_name("converting.md")
HEADER = ("saved by", "what", "what you get", "argument to change it", "family")


def table() -> str:
    """Returns the table of the forms in which checkpoints are saved."""
    rows = [HEADER, ("---",) * len(HEADER)]
    rows += [(*form, f"`{family.name}`") for family in FAMILIES for form in family.forms]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page() -> str:
    """Returns the page with the table as it is now."""
    first = rf"\| {HEADER[0]} \| {HEADER[1]} .*\n(?:\|.*\n)*"
    return re.sub(first, lambda _: table(), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
