"""Which weights a run hands on: the last, or those of the best evaluation."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("tyro")
pytest.importorskip("tensorflow")

from tests.training.pretended_learner import RECIPE, PretendedLearner, pretend  # noqa: F401
from training.options import RunOptions
from training.run import session
from training.run.checkpoint import load_checkpoint

BEST = dataclasses.replace(RECIPE, length="12 steps", keep="best")
ACCURACIES = {3: 0.9, 6: 0.4, 9: 0.5, 12: 0.1}
pytestmark = pytest.mark.usefixtures("pretend")


@pytest.fixture(autouse=True)
def accuracies(pretend):  # noqa: F811
    """The evaluation of step 3 is the best by far."""
    evaluate = PretendedLearner.evaluate

    def scored(self, *arguments):
        scores = evaluate(self, *arguments)
        wanted = ACCURACIES[self.step] if self.step else None
        right = np.arange(len(scores.labels)) < round((wanted or 0.9) * len(scores.labels))
        return dataclasses.replace(
            scores, predictions=np.where(right, scores.labels, 1 - scores.labels)
        )

    pretend.setattr(PretendedLearner, "evaluate", scored)


def trained(folder, recipe, console=None):
    run = session.Session(
        recipe, folder, RunOptions(strategy="one-device"), console or Console(quiet=True)
    )
    return run, run.run()


def weights_at(folder, step):
    return load_checkpoint(folder / "checkpoints" / f"step-{step:08d}").arrays


def test_the_best_checkpoint_outlasts_the_others_and_its_weights_are_handed_on(tmp_path, pretend):  # noqa: F811
    """They are taken before the model is made of them."""
    handed_on = []

    class Written:
        def save(self, path):
            path.write_bytes(b"a model")

    def noted(recipe, measured, *others):
        handed_on.append({key: np.array(value) for key, value in run.learner.variables.items()})
        return Written()

    pretend.setattr(session, "finished_model", noted)
    run = session.Session(BEST, tmp_path, RunOptions(strategy="one-device"), Console(quiet=True))
    assert run.run() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["kept_step"], result["best_step"], result["steps"]) == (3, 3, 12)
    for name, array in weights_at(tmp_path, 3).items():
        np.testing.assert_array_equal(handed_on[0][name], array)


def test_by_default_the_last_are_and_a_better_one_is_mentioned(tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    run, _ = trained(tmp_path, dataclasses.replace(BEST, keep="last"), console)
    for name, array in weights_at(tmp_path, 12).items():
        if name.startswith("model/"):
            np.testing.assert_array_equal(run.learner.variables[name], array)
    assert "at step 3. `--keep best`" in console.export_text()
    assert not (tmp_path / "checkpoints" / "step-00000003").exists()


def test_a_best_checkpoint_that_is_damaged_leaves_the_last_weights(tmp_path):
    """The run ends all the same, and says so."""
    console = Console(record=True, width=300, file=io.StringIO())
    evaluate = PretendedLearner.evaluate

    def damaging(self, *arguments):
        if self.step == 12:
            (tmp_path / "checkpoints" / "step-00000003" / "variables.npz").write_bytes(b"")
        return evaluate(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretendedLearner, "evaluate", damaging)
        _, status = trained(tmp_path, BEST, console)
    assert status == 0
    assert json.loads((tmp_path / "result.json").read_text())["kept_step"] == 12
    assert "the last weights are kept instead of the best" in console.export_text()


def test_where_nothing_was_right_the_last_weights_are_kept(tmp_path, pretend):  # noqa: F811
    pretend.setattr(session.Session, "_go_back_to_the_best", lambda self: pytest.fail("went back"))
    for step in ACCURACIES:
        pretend.setitem(ACCURACIES, step, 1e-9)
    assert trained(tmp_path, BEST)[1] == 0
