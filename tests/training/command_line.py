"""The command line of `train`, without the training."""

import tyro

from training import commands
from training.__main__ import check_option_names
from training.run.session import Session


def parsed_recipe(name, arguments, monkeypatch):
    """Returns the recipe that `train NAME --run-dir run ARGUMENTS` would run."""
    seen = []
    monkeypatch.setattr(commands, "check_run", lambda *run: None)
    monkeypatch.setattr(Session, "run", lambda session: seen.append(session.recipe) or 0)
    line = [str(name), "--run-dir", "run", *arguments]
    command = commands.train_command(line)
    check_option_names(command, line)
    tyro.cli(command, prog="train", args=line)
    return seen[0]
