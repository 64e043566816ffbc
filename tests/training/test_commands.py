"""Commands answer what needs no TensorFlow before it is imported."""

import pytest

pytest.importorskip("tyro")

from tests.subprocesses import NO_BACKEND, run_with_stubs


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """Runs a command where no backend can be imported; returns its status and what it prints."""
    folder = tmp_path_factory.mktemp("stubs")
    (folder / "file").touch()
    (folder / "begun").mkdir()
    recipe = 'model.weights = "gone.keras"\ndata.source = "gone"\n'
    (folder / "begun" / "recipe.toml").write_text(recipe)
    environment = {"TFDS_DATA_DIR": str(folder), "COLUMNS": "200"}

    def run(line):
        command = ("training", *line.split())
        result = run_with_stubs(command, NO_BACKEND, folder, cwd=folder, **environment)
        return result.returncode, result.stdout + result.stderr

    return run


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("demo --help", 0, "--epochs"),
        ("study --help", 0, "--quick"),
        ("sweep --help", 0, "--run-dir DIR"),
        ("demo --epochs 0", 2, "`epochs` must be at least 1. Received: epochs=0"),
        ("demo --output file", 2, "`output` must be a folder. Received: output='file'"),
        ("demo --output a*", 2, "`output` must not contain [, ], * or ?"),
        ("study gtes", 2, "Did you mean 'gates'? Received: 'gtes'"),
        ("study gates --quick --output file", 2, "`output` must be a folder"),
        ("study gates --data-dir no", 2, "'cifar10' is not prepared in 'no'"),
        ("train digits --run-dir file", 2, "`run_dir` must be a folder"),
        ("train digits --run-dir run --data.source digitz", 2, "Did you mean 'digits'?"),
        ("sweep digits --run-dir runs --seed 0 1 --data.source digitz", 2, "Did you mean"),
        ("data digits --data.source cifar11", 2, "Did you mean 'cifar10' or 'cifar100'?"),
        ("validate --dataset digitz", 2, "Did you mean 'digits'?"),
        ("evaluate . --dataset digitz", 2, "Did you mean 'digits'?"),
        ("benchmark --model resnet21", 2, "`model` must be one of"),
        ("compare no", 2, "`RUNS` must be an existing path. Received: RUNS='no'"),
    ],
)
def test_help_and_mistyped_names_do_not_wait_for_tensorflow(line, status, words, answer):
    returned, shown = answer(line)
    assert (returned, words in shown) == (status, True), shown


def test_a_run_that_has_begun_needs_neither_its_initial_weights_nor_its_data_to_be_looked_at(
    answer,
):
    """A complete run says so, and another one is resumed without its initial weights."""
    returned, shown = answer("train begun/recipe.toml --run-dir begun")
    assert (returned, "imports tensorflow" in shown) == (1, True), shown
