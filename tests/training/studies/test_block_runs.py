"""Studies of shortcuts and blocks that really run, on networks with one block a stage."""

import numpy as np
import pytest

from tests.training.studies.conducting import conducted, mean
from training.studies import blocks, shortcuts
from training.studies.command import load_study
from training.studies.reading import test_error as error_of
from training.studies.reading import train_loss

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortcuts, "DEPTH", 8)
        patch.setitem(shortcuts.GATES_DEPTH, "quick", 8)
        patch.setitem(blocks.ORDERED_DEPTH, "quick", 8)
        yield tmp_path_factory.mktemp("studies")


@pytest.mark.parametrize(
    ("name", "worse", "better"),
    [
        # F is multiplied by σ(−6), 0.0025, at first.
        ("gates", "exclusive gate, bias −6", "identity"),
        ("block-depth", "sigmoid, 1 a block", "ReLU, 1 a block"),
    ],
)
def test_what_harms_on_the_digits_too(name, worse, better, folder):
    found = conducted(name, folder)
    assert mean(found, worse, error_of) > mean(found, better, error_of)


@pytest.mark.parametrize(("name", "seeds"), [("shortcuts", 1), ("order", 1), ("dimensions", 2)])
def test_the_others_run_to_their_page(name, seeds, folder):
    found = conducted(name, folder, seeds)
    assert found.labels == [*load_study(name).contenders("quick")]
    assert found.seeds == [*range(seeds)]
    assert all(np.isfinite(train_loss(trial)) for trial in found.trials)
