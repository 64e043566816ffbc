"""Studies of shortcuts and blocks that really run, on networks with one block a stage."""

import numpy as np
import pytest

from tests.training.studies.conducting import conducted
from training.studies import blocks, shortcuts
from training.studies.command import STUDIES
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


def test_an_exclusive_gate_that_begins_closed_harms(folder):
    found = conducted("gates", folder)
    # F is then multiplied by σ(−6), 0.0025.
    assert found.every_seed("exclusive gate, bias −6", "identity", error_of) == (1, 1)


def test_sigmoid_harms_the_networks_of_one_layer_blocks_more_than_relu(folder):
    found = conducted("block-depth", folder)
    assert found.every_seed("sigmoid, 1 a block", "ReLU, 1 a block", error_of) == (1, 1)


@pytest.mark.parametrize(("name", "seeds"), [("shortcuts", 1), ("order", 1), ("dimensions", 2)])
def test_the_others_run_to_their_page(name, seeds, folder):
    found = conducted(name, folder, seeds)
    assert len(found.labels) == len(STUDIES[name].contenders("quick"))
    assert all(np.isfinite(train_loss(trial)) for trial in found.trials)
