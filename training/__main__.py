"""The command line: `python -m training COMMAND`."""

import os
import sys

# TensorFlow reads these when it is first imported. Left to itself it turns oneDNN on only where
# the processor has AVX512-VNNI, though training gains by it on older ones too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import tyro

from training.stderr import held_stderr

with held_stderr():
    import tensorflow  # noqa: F401

from training.commands import (
    evaluate_command,
    index,
    publish_command,
    recipes,
    train_command,
)
from training.dataset_commands import data_command, validate_command
from training.demo import demo
from training.state import Diverged


def main(arguments: list[str]) -> int:
    """Runs a command and returns its exit status; a wrong argument is one line on stderr and 2."""
    try:
        # These two take a recipe, whose values become their flags' defaults.
        behind = arguments[1:] if arguments[:1] in (["train"], ["data"]) else []
        application = tyro.extras.SubcommandApp()
        for command in (demo, train_command(behind), data_command(behind), recipes, index):
            application.command(command)
        application.command(name="validate")(validate_command)
        application.command(name="evaluate")(evaluate_command)
        application.command(name="publish")(publish_command)
        return application.cli(prog="python -m training", args=arguments, description=__doc__) or 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (Diverged, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
