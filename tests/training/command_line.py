"""The command line of `train`, without the training."""

import tyro

from training import commands
from training.option_names import check_option_names


def parsed_recipe(name, arguments, monkeypatch):
    """Returns the recipe that `train NAME --run-dir run ARGUMENTS` would run."""
    seen = []
    monkeypatch.setattr(commands, "run", lambda recipe, *others: seen.append(recipe) or 0)
    line = [str(name), "--run-dir", "run", *arguments]
    command = commands.train_command(line)
    check_option_names(command, line)
    tyro.cli(command, prog="train", args=line)
    return seen[0]
