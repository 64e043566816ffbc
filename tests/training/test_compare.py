"""Runs beside each other, and the grid of runs that ends in that."""

import dataclasses
import json
from pathlib import Path

import pytest

pytest.importorskip("tyro")
pytest.importorskip("tensorflow")

from keras_resnets import VARIANTS
from training.__main__ import main
from training.process import Diverged
from training.recipe.files import load_recipe, recipe_to_toml
from training.recipe.recipe import Model
from training.run.compare import compare, draw_errors, rows, write
from training.run.session import Session
from training.sweep import planned_runs

DIGITS = load_recipe("digits")


def write_run(folder, accuracy=0.9, seed=0, is_complete=True, epochs=2, **changes):
    """Writes the files of a run, with figures that nothing computed."""
    folder.mkdir(parents=True)
    recipe = dataclasses.replace(DIGITS, seed=seed, **changes)
    (folder / "recipe.toml").write_text(recipe_to_toml(recipe))
    entry = {"learning_rate": 0.1, "seconds": 1.0, "train_loss": 0.5, "test_loss": 0.5}
    entry |= {"train_accuracy": 0.5, "test_accuracy": accuracy}
    lines = [entry | {"step": 10 * epoch, "epoch": epoch} for epoch in range(1, epochs + 1)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    result = {
        **{"test_accuracy": accuracy, "best_test_accuracy": accuracy, "train_loss": 0.5},
        **{"parameters": 269_434, "multiply_adds": 2_520_000, "seconds": 7.0},
    }
    if is_complete:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def twins(tmp_path):
    """Three seeds of a network, and two of its plain twin."""
    runs = [write_run(tmp_path / f"a{n}", 0.9 + n / 100, seed=n) for n in range(3)]
    plain = Model(name="plainnet20")
    return runs + [write_run(tmp_path / f"b{n}", 0.8, seed=n, model=plain) for n in range(2)]


def test_seeds_of_one_recipe_are_a_row_with_mean_and_standard_deviation(twins):
    """0.90, 0.91 and 0.92 have the mean 0.91 and, with n - 1, the deviation 0.01."""
    comparison = compare([*twins, twins[0].parent / "." / twins[0].name])  # twice the same
    cells = {row[0]: row for row in rows(comparison)}
    assert list(cells) == ["resnet20", "plainnet20"]
    assert cells["resnet20"][1:3] == ("3", "91.00 ± 1.00")
    assert cells["plainnet20"][1:3] == ("2", "80.00 ± 0.00")
    assert cells["resnet20"][5:7] == ("269,434", "2.52 M")
    assert comparison.fields == {"model.name": {"resnet20": "resnet20", "plainnet20": "plainnet20"}}
    assert comparison.left_out == []


def test_networks_noted_as_json_have_short_names_beside_their_numbers(
    tmp_path, capsys, monkeypatch
):
    """So that the table shows every number at 80 columns, and the plot its curves."""
    monkeypatch.setenv("COLUMNS", "80")
    changes = [{}, {"shortcut": "C"}, {"activation": "sigmoid", "drop_path_rate": 0.1}]
    for number, change in enumerate(changes):
        spec = dataclasses.replace(VARIANTS["resnet20"], **change).to_json()
        write_run(tmp_path / str(number), 0.9 + number / 100, model=Model(name="own", spec=spec))
    assert main(["compare", str(tmp_path / "*")]) == 0
    shown = capsys.readouterr().out
    for words in ("90.00", "91.00", "92.00", "model.spec.shortcut: 'A' (own #1, own #3), 'C' ("):
        assert words in shown
    first, other = compare([tmp_path / "0", tmp_path / "1"]).runs
    assert (first, other) == ("own shortcut=A", "own shortcut=C")


def test_what_is_no_complete_run_is_named(tmp_path, twins):
    half = write_run(tmp_path / "half", is_complete=False)
    damaged = write_run(tmp_path / "damaged")
    (damaged / "result.json").write_text('{"seconds": 7.0}')
    (tmp_path / "notes.txt").touch()
    comparison = compare([*twins, half, damaged, tmp_path / "notes.txt"])
    assert comparison.left_out == [
        f"{half}: not complete; the same command resumes it",
        f"{damaged}: result.json has no test_accuracy, best_test_accuracy, train_loss, parameters",
        f"{tmp_path / 'notes.txt'}: not a run's folder",
    ]
    with pytest.raises(ValueError, match=r"must be folders of complete runs.*half: not complete"):
        compare([half])
    with pytest.raises(ValueError, match="not a run's folder"):
        compare([tmp_path])


def test_the_command_takes_the_runs_in_a_folder(tmp_path, twins, capsys):
    shown = []
    for runs in ([str(twins[0].parent)], [str(twins[0].parent / "*")], map(str, twins)):
        assert main(["compare", *runs]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]


def test_a_network_and_its_twin_share_a_colour_and_each_ends_where_its_runs_do(tmp_path, twins):
    longer = write_run(tmp_path / "longer", epochs=5, length="5 epochs")
    runs = compare([*twins, longer]).runs
    metrics = {label: [run.metrics for run in seeds] for label, seeds in runs.items()}
    ends = {"resnet20 length=10 epochs": 2, "plainnet20": 2, "resnet20 length=5 epochs": 5}
    for axes in draw_errors(metrics, "epoch").axes:
        lines = {line.get_label(): line for line in axes.lines}
        assert {label: lines[label].get_xdata()[-1] for label in metrics} == ends
        assert lines["plainnet20"].get_linestyle() == "--"
        residual = lines["resnet20 length=10 epochs"]
        assert residual.get_linestyle() == "-"
        assert len(axes.collections) == 2  # the residual networks' bands; a plain one's has edges
    twins = {label.split()[0]: metrics[label] for label in [*metrics][:2]}
    lines = {line.get_label(): line for line in draw_errors(twins, "step").axes[0].lines}
    assert lines["resnet20"].get_color() == lines["plainnet20"].get_color()


def test_the_page_and_the_numbers_are_written_and_are_no_runs(tmp_path, twins, capsys):
    page, plot, numbers = write(compare(twins), tmp_path)
    text = page.read_text()
    assert "| resnet20 | 3 | 91.00 ± 1.00 |" in text
    assert "| `model.name` | 'resnet20' | 'plainnet20' |" in text
    assert plot.stat().st_size > 0
    values = json.loads(numbers.read_text())
    assert [run["seed"] for run in values["runs"]["resnet20"]] == [0, 1, 2]
    assert main(["compare", str(tmp_path / "*")]) == 0
    assert "left out" not in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a*"), "--output", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "91.00 ± 1.00" in shown
    assert "plainnet20" not in shown


def test_one_seed_has_no_spread(tmp_path):
    text = write(compare([write_run(tmp_path / "run")]), tmp_path / "out")[0].read_text()
    assert "| resnet20 | 1 | 90.00 | 90.00 | 0.500 |" in text
    assert not {"±", "seeds;", "span", "differ"} & set(text.split())


def test_a_grid_has_a_run_of_each_combination():
    """A list, such as the mean, is one setting; a switch has no value."""
    line = ["cifar10_fast", "--model.name", "resnet20", "plainnet20", "--seed", "0", "1"]
    line += ["--run-dir", "runs", "--data.mean", "0.1", "0.2", "0.3", "--batch=32"]
    runs = list(planned_runs([*line, "--optimizer.no-nesterov", "--data-dir", "there"]))
    assert [(str(run.run_dir), run.recipe.model.name, run.recipe.seed) for run in runs] == [
        (str(Path("runs") / f"{name}-seed-{seed}"), name, seed)
        for name in ("resnet20", "plainnet20")
        for seed in (0, 1)
    ]
    for run in runs:
        assert (run.recipe.batch, run.recipe.data.mean) == (32, (0.1, 0.2, 0.3))
        assert not run.recipe.optimizer.nesterov
        assert run.options.data_dir == Path("there")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["digits", "--seed", "0", "1"], "`--run-dir` must be one folder"),
        (["digits", "--run-dir", "a", "b"], "`--run-dir` must be one folder"),
        (["digits", "0", "--run-dir", "a"], "Options must begin with `--`. Received: '0'"),
        (["digitz", "--run-dir", "a"], "A recipe must be one of"),
        (["digits", "--run-dir", "a", "--seed", "0", "--seed", "1"], "must be given once"),
        (["digits", "--run-dir", "a", "--lr", "1"], "Did you mean '--optimizer.learning-rate'"),
        (["digits", "--run-dir", "a", "--batch", "8", "many"], "many"),
        (["digits", "--run-dir", "a", "--data-dir", "b", "c"], "c"),
    ],
)
def test_a_wrong_line_is_an_error_before_any_run(line, message, monkeypatch, capsys):
    monkeypatch.setattr(Session, "run", lambda session: pytest.fail("a run began"))
    try:
        status = main(["sweep", *line])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Sweeps over rates, with runs that return a status or raise, by the rate."""

    def run_sweep(ends, *rates):
        def run(session):
            folder, optimizer = session.folder.path, session.recipe.optimizer
            end = ends.get(optimizer.learning_rate, 0)
            if not folder.exists():
                write_run(folder, is_complete=isinstance(end, int), optimizer=optimizer)
            if isinstance(end, Exception):
                raise end
            return end

        monkeypatch.setattr(Session, "run", run)
        line = ["sweep", "digits", "--run-dir", str(tmp_path), "--optimizer.learning-rate"]
        return main([*line, *rates])

    return run_sweep


def test_a_sweep_stops_with_a_stopped_run_and_compares_at_the_end(sweep, tmp_path, capsys):
    assert sweep({0.2: 143}, "0.1", "0.2", "0.3") == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("learning-rate-0.1", "learning-rate-0.2")
    ]
    assert sweep({}, "0.1", "0.2", "0.3") == 0
    assert capsys.readouterr().out.count("90.00") == 3
    assert (tmp_path / "compare.png").is_file()


def test_a_run_of_a_sweep_that_diverges_leaves_the_others_alone(sweep, tmp_path, capsys):
    diverged = Diverged("Step 3 of 9: the loss is not finite")
    assert sweep({5.0: diverged}, "5", "0.1") == 1
    shown = capsys.readouterr()
    assert "error: Step 3 of 9" in shown.err
    assert "90.00" in shown.out
    assert f"left out: {tmp_path / 'learning-rate-5'}: not complete" in shown.out
    assert sweep({6.0: diverged, 7.0: diverged}, "6", "7") == 1  # nothing to compare
