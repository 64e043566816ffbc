"""Writes the README's table of models from the table of variants: `python -m docs.models`."""

import re
from pathlib import Path

import keras_resnets
from keras_resnets.architecture.spec import FAMILIES, find_variants
from keras_resnets.cli.networks import variant_row

PAGE = Path(__file__).parents[1] / "README.md"
HEADER = "| model | parameters | multiply-adds | family and source |\n| --- | ---: | ---: | --- |\n"


def table() -> str:
    """Returns the table of the named networks, by family."""
    factories = {name.lower(): name for name in keras_resnets.models.__all__}
    rows = []
    for name, family in FAMILIES.items():
        source = f"`{name}`: [{family.source}](https://arxiv.org/abs/{family.arxiv})"
        for key in find_variants(family=name):
            _, parameters, macs, _ = variant_row(key)
            rows.append((f"`{factories[key]}`", parameters, macs, source))
            source = ""  # once, at the first of the family
    return HEADER + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page() -> str:
    """Returns the README with the table as it is now."""
    first = rf"{re.escape(HEADER)}(?:\|.*\n)*"
    return re.sub(first, lambda _: table(), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
