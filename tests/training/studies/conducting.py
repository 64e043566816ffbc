"""Small studies that really run, to their page."""

import io

from rich.console import Console

from training.studies.command import STUDIES, conduct
from training.studies.page import write_page


def conducted(name, folder, seeds=1):
    """Conducts a quick study; studies in one folder share their runs."""
    found = conduct(STUDIES[name], "quick", folder, seeds, None, Console(file=io.StringIO()))
    page = write_page(STUDIES[name], folder).read_text()
    assert "nan" not in page
    for line in page.splitlines():
        if line.startswith("!["):
            picture = folder / line.split("](")[1].rstrip(")")
            assert picture.read_bytes().startswith(b"\x89PNG")
    return found
