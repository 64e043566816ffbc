"""What a look at a whole data set has found."""

import dataclasses
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.data.inspection import ERRORS, WARNINGS


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong or unusual.

    Attributes:
        kind: A key of `inspection.ERRORS` or `inspection.WARNINGS`.
        split: The split it was found in.
        name: The file, record or class.
        detail: More about it; perhaps empty.
    """

    kind: str
    split: str
    name: str
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class DatasetReport:
    """What a look at a whole data set has found.

    Attributes:
        class_counts: For each split, the number of images of each class.
        findings: All that is wrong or unusual.
    """

    class_counts: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether there are no errors; warnings do not count."""
        return not any(finding.kind in ERRORS for finding in self.findings)

    def values(self) -> dict[str, Any]:
        """Returns the report as JSON values: a list of findings, with the meaning of each kind."""
        kinds = {finding.kind for finding in self.findings}
        return {
            "sound": self.is_sound,
            "class_counts": self.class_counts,
            "errors": {kind: meaning for kind, meaning in ERRORS.items() if kind in kinds},
            "warnings": {kind: meaning for kind, meaning in WARNINGS.items() if kind in kinds},
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def print(self, console: Console, most: int = 10, most_classes: int = 30) -> None:
        """Prints a table of the classes, and what was found.

        Args:
            console: Where to print.
            most: How many findings of each kind are named.
            most_classes: How many classes are named; of more, those with the fewest images.
        """
        console.print(self._class_table(most_classes))
        kinds = Counter(finding.kind for finding in self.findings)
        for meanings, colour in ((ERRORS, "red"), (WARNINGS, "yellow")):
            for kind in (kind for kind in meanings if kinds[kind]):
                console.print(f"[bold {colour}]{kinds[kind]:,} {kind}[/]: {meanings[kind]}")
                named = [finding for finding in self.findings if finding.kind == kind]
                for finding in named[:most]:
                    detail = f": {finding.detail}" if finding.detail else ""
                    text = Text(f"  {finding.split}  {finding.name}{detail}")
                    console.print(text, soft_wrap=True)
                if len(named) > most:
                    console.print(f"  and {len(named) - most:,} more")
        images = sum(sum(counts.values()) for counts in self.class_counts.values())
        errors = sum(kinds[kind] for kind in ERRORS)
        console.print(
            f"{images:,} images: {errors:,} errors, {len(self.findings) - errors:,} warnings.",
            highlight=False,
        )

    def _class_table(self, most):
        splits = list(self.class_counts)
        table = Table(title="Images of each class", title_justify="left")
        table.add_column("class")
        for split in splits:
            table.add_column(Text(split), justify="right")
        names = dict.fromkeys(name for counts in self.class_counts.values() for name in counts)
        rows = {name: [self.class_counts[split].get(name, 0) for split in splits] for name in names}
        shown = sorted(names, key=rows.__getitem__)[:most] if len(names) > most else names
        for name in shown:
            table.add_row(Text(name), *[f"{count:,}" for count in rows[name]])
        if len(names) > most:
            table.add_row(f"and {len(names) - most:,} classes with more")
        table.add_section()
        table.add_row(
            "all", *[f"{sum(counts.values()):,}" for counts in self.class_counts.values()]
        )
        return table
