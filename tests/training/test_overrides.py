"""Fields on the command line."""

import re
import shlex
from dataclasses import asdict, replace

import pytest
import tyro

from tests.training.command_line import parsed_recipe
from training.__main__ import (
    COMMANDS,
    SYNONYMS,
    _command,
    _options,
    check_option_names,
    main,
)
from training.optim.schedules import build_schedule
from training.recipe.fields import Unset
from training.recipe.files import (
    differences,
    list_recipes,
    load_recipe,
    named_recipe,
    recipe_to_toml,
)
from training.recipe.recipe import Recipe, Schedule

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
        assert differences(asdict(STEP), asdict(recipe)) == changes
    assert parse(recipe, []) == recipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
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


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["--bach", "64"], "'--batch'"),
        (["--learning-rate", "0.2"], "'--optimizer.learning-rate'"),
        (["--optimizer.lerning-rate", "0.2"], "'--optimizer.learning-rate'"),
        (["--optimiser.lr", "0.1"], "'--optimizer.learning-rate'"),
        (["--lr", "0.1"], "'--optimizer.learning-rate'"),
        (["--epochs", "3"], "'--length'"),
        (["--flipp"], "'--augmentation.flip'"),
        (["--dowload"], "'--download'"),
        (["--evaluation.bach", "2"], "'--evaluation.batch' or '--batch'"),
        (["--no-nesterov"], "'--optimizer.no-nesterov'"),
    ],
)
def test_the_nearest_options_are_named(arguments, meant, parse):
    with pytest.raises(ValueError, match="There is no option") as caught:
        parse(STEP, arguments)
    assert f" Did you mean {meant}" in str(caught.value)
    assert str(caught.value).endswith(f" Received: {' '.join(arguments)}")
    assert "\n" not in str(caught.value)


def test_where_no_option_is_near_the_help_is_named(parse):
    with pytest.raises(ValueError, match=r"`--zzz`. `python -m training --help` lists them all."):
        parse(STEP, ["--zzz"])


@pytest.mark.parametrize(
    "arguments", [["--optimizer.nesterov", "False"], ["--optimizer.nesterov=true"]]
)
def test_a_switch_takes_no_value(arguments, parse):
    with pytest.raises(ValueError, match="takes no value; its opposite is") as caught:
        parse(STEP, arguments)
    assert "`--optimizer.no-nesterov`" in str(caught.value)


def test_every_option_of_every_command_is_known(capsys):
    for name in COMMANDS:
        command = _command(name, [])
        with pytest.raises(SystemExit):
            tyro.cli(command, args=["--help"])
        shown = set(re.findall(r"(?<![\w-])--[a-z][\w.-]+", capsys.readouterr().out))
        check_option_names(command, sorted(shown))
        assert "--help" in shown


def test_the_command_line_ends_with_one_line_and_status_2(capsys):
    assert main(["evaluate", "runs/a", "--splt", "train"]) == 2
    told = capsys.readouterr().err
    assert told == (
        "error: There is no option `--splt`. Did you mean '--split'? Received: --splt train\n"
    )


def test_errors_within_a_group_name_the_page_that_has_its_fields(capsys):
    with pytest.raises(SystemExit):
        main(["train", "digits", "--run-dir", "none", "--schedule.boundaries", "1 epochs"])
    told = capsys.readouterr().err
    assert "has no effect beside" in told
    assert "python -m training train --help" in told
    assert "dummy" not in told


@pytest.mark.parametrize("command", ["validate", "train digits --run-dir x", "data digits"])
@pytest.mark.parametrize("option", ["--dataset", "--data.source"])
def test_the_data_set_has_the_same_names_in_every_command(command, option, capsys):
    for words in ([option, "folder:no"], [f"{option}=folder:no"]):
        assert main([*command.split(), *words]) == 2
        assert "existing folder after 'folder:'. Received: data.source=" in capsys.readouterr().err


def test_all_commands_that_split_a_folder_call_the_share_the_same():
    for name in ("validate", "evaluate", "train", "data"):
        options = _options(_command(name, []))
        assert {"data.source", "data.test-share"} <= set(options)
    assert set(SYNONYMS.values()) == {"--data.source", "--data.test-share"}


@pytest.mark.parametrize("length", ["1 steps", "5 steps", "1 epochs"])
@pytest.mark.parametrize("name", list_recipes())
def test_a_run_that_is_too_short_for_its_parts_names_all_options_at_once(name, length, monkeypatch):
    """What it says is passed along as it was printed, and is enough; or no options would be."""
    recipe = load_recipe(name)
    if recipe.head_only != "0 epochs":
        recipe = replace(recipe, model=replace(recipe.model, weights="imagenet"))
    try:
        build_schedule(replace(recipe, length=length), examples=50_000)
    except ValueError as error:
        told = re.search(r"pass (?:(.*), or )?a longer --length", str(error))
        if not told[1]:
            assert length == "1 steps"
            return
        options = ["--model.weights", recipe.model.weights, *shlex.split(told[1])]
        build_schedule(parsed_recipe(name, ["--length", length, *options], monkeypatch), 50_000)


def test_the_recipe_comes_first():
    with pytest.raises(ValueError, match=r"must come first.* Received: '--run-dir'"):
        named_recipe(["--run-dir", "runs/a", "digits"])


def test_help_lists_every_field_with_its_value_in_this_recipe(parse, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(STEP, ["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "--optimizer.learning-rate" in shown
    assert "'10 epochs'" in shown or "10 epochs" in shown


def test_what_is_given_is_told_from_the_same_default(monkeypatch):
    """Weights decide the normalization that is not given."""
    default = (0.485, 0.456, 0.406)
    for arguments in ([], ["--data.mean", *map(str, default)]):
        mean = parsed_recipe("finetune", arguments, monkeypatch).data.mean
        assert mean == default
        assert isinstance(mean, Unset) == (not arguments)
