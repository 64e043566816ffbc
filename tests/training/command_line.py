"""The command line of `train`, without the training."""

import tyro

from training import commands


def parsed_recipe(name, arguments, monkeypatch):
    """Returns the recipe that `train NAME --run-dir run ARGUMENTS` would run."""
    seen = []
    monkeypatch.setattr(commands, "run", lambda recipe, *others: seen.append(recipe) or 0)
    line = [str(name), "--run-dir", "run", *arguments]
    tyro.cli(commands.train_command(line), prog="train", args=line)
    return seen[0]
