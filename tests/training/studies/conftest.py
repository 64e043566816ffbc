"""Small studies that really run, to their page."""

import io

import numpy as np
import pytest
from rich.console import Console

from training.studies import blocks, family, shortcuts, study
from training.studies.command import load_study
from training.studies.page import write_page
from training.studies.reading import train_loss
from training.studies.trials import conduct


@pytest.fixture(scope="module")
def conducted(tmp_path_factory):
    """Conducts quick studies, which share their runs; those of one depth are shorter."""
    folder = tmp_path_factory.mktemp("studies")

    def run(name, seeds=1):
        conducting = load_study(name)
        found = conduct(conducting, "quick", folder, seeds, None, Console(file=io.StringIO()))
        assert found.labels == [*conducting.contenders("quick")]
        assert found.seeds == [*range(seeds)]
        assert all(np.isfinite(train_loss(trial)) for trial in found.trials)
        page = write_page(conducting, folder).read_text()
        assert "nan" not in page
        pictures = [line for line in page.splitlines() if line.startswith("![")]
        for line in pictures:
            picture = folder / line.split("](")[1].rstrip(")")
            assert picture.read_bytes().startswith(b"\x89PNG")
        assert pictures
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcuts, "DEPTH", 8)
        patch.setitem(shortcuts.GATES_DEPTH, "quick", 8)
        patch.setitem(blocks.ORDERED_DEPTH, "quick", 8)
        patch.setattr(family, "BLOCKS_A_STAGE", 1)
        patch.setitem(study.SHORT, "quick", "4 epochs")
        yield run
