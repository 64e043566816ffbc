"""Fields on the command line."""

import pytest

from tests.training.command_line import parsed_recipe
from training.recipe import Recipe, Schedule
from training.recipe_files import recipe_differences, recipe_to_toml

STEP = Recipe(schedule=Schedule(name="step", boundaries=("5 epochs", "10 epochs")))


@pytest.fixture
def parse(tmp_path, monkeypatch):
    """Parses a command line by a recipe in a file."""

    def parsed(recipe, arguments):
        path = tmp_path / "recipe.toml"
        path.write_text("# A recipe.\n" + recipe_to_toml(recipe), encoding="utf-8")
        return parsed_recipe(path, arguments, monkeypatch)

    return parsed


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ([], []),
        (["--batch", "64"], ["batch: 128 before, 64 now"]),
        (["--optimizer.learning-rate", "0.2"], ["optimizer.learning_rate: 0.1 before, 0.2 now"]),
        (["--optimizer.learning_rate", "2"], ["optimizer.learning_rate: 0.1 before, 2.0 now"]),
        (["--optimizer.nesterov"], ["optimizer.nesterov: False before, True now"]),
        (["--augmentation.no-flip"], ["augmentation.flip: True before, False now"]),
        (["--length", "3 epochs", "--schedule.boundaries", "1 epochs", "2 epochs"], None),
        (
            ["--augmentation.crop", "resized", "--augmentation.area", "0.25", "1"],
            [
                "augmentation.crop: 'pad' before, 'resized' now",
                "augmentation.area: (0.08, 1.0) before, (0.25, 1.0) now",
            ],
        ),
        (
            ["--schedule.name", "cosine", "--schedule.boundaries"],
            [
                "schedule.name: 'step' before, 'cosine' now",
                "schedule.boundaries: ('5 epochs', '10 epochs') before, () now",
            ],
        ),
    ],
)
def test_fields_are_set_and_the_others_stay(arguments, changes, parse):
    recipe = parse(STEP, arguments)
    if changes is not None:
        assert recipe_differences(STEP, recipe) == changes
    assert parse(recipe, []) == recipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bach", "64"], "--batch"),
        (["--learning-rate", "0.2"], "--optimizer.learning-rate"),
        (["--optimizer.lerning-rate", "0.2"], "--optimizer.learning-rate"),
        (["--optimser.momentum", "0.2"], "--optimizer.momentum"),
        (["--batch", "many"], "--batch"),
        (["--schedule.name", "cosin"], "cosine"),
        # A contradiction within a group, and one between groups.
        (["--schedule.name", "cosine"], "no effect beside"),
    ],
)
def test_a_mistake_ends_with_status_2_and_names_what_is_meant(arguments, words, parse, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(STEP, arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_a_value_out_of_range_is_named(parse):
    with pytest.raises(ValueError, match=r"`batch` must be in \[1, inf\). Received: batch=0"):
        parse(STEP, ["--batch", "0"])


def test_help_lists_every_field_with_its_value_in_this_recipe(parse, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(STEP, ["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "--optimizer.learning-rate" in shown
    assert "'10 epochs'" in shown or "10 epochs" in shown
