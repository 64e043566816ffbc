"""Small studies that really run, to their page."""

import io

import numpy as np
from rich.console import Console

from training.studies.command import load_study
from training.studies.page import write_page
from training.studies.trials import conduct


def conducted(name, folder, seeds=1):
    """Conducts a quick study; studies in one folder share their runs."""
    study = load_study(name)
    found = conduct(study, "quick", folder, seeds, None, Console(file=io.StringIO()))
    page = write_page(study, folder).read_text()
    assert "nan" not in page
    for line in page.splitlines():
        if line.startswith("!["):
            picture = folder / line.split("](")[1].rstrip(")")
            assert picture.read_bytes().startswith(b"\x89PNG")
    return found


def mean(outcome, label, read):
    """Returns the mean over a contender's seeds."""
    return float(np.mean(outcome.values(label, read)))
