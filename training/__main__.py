"""The command line: `python -m training COMMAND`."""

import importlib
import importlib.util
import os
import sys

import tyro

from training.option_names import check_option_names
from training.state import Diverged
from training.stderr import held_stderr

# TensorFlow reads these when it is first imported. Left to itself it turns oneDNN on only where
# the processor has AVX512-VNNI, though training gains by it on older ones too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Where each command is found. Only that which is called is imported.
COMMANDS = {
    "demo": "training.demo:demo",
    "recipes": "training.commands:recipes",
    "validate": "training.dataset_commands:validate_command",
    "data": "training.dataset_commands:data_command",
    "train": "training.commands:train_command",
    "evaluate": "training.commands:evaluate_command",
    "publish": "training.commands:publish_command",
    "index": "training.commands:index",
    "study": "training.studies.command:study_command",
    "benchmark": "training.benchmark.command:benchmark",
}
WITHOUT_TENSORFLOW = ("benchmark",)
# These make the command, for the recipe whose values its help is to show.
OF_A_RECIPE = ("data", "train")


def main(arguments: list[str]) -> int:
    """Runs a command and returns its exit status; a wrong argument is one line on stderr and 2."""
    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    try:
        if arguments and arguments[0] in COMMANDS:
            name, *rest = arguments
            command, program = _command(name, rest), f"python -m training {name}"
            check_option_names(command, rest, program)
            return tyro.cli(command, prog=program, args=rest) or 0
        application = tyro.extras.SubcommandApp()
        for name in COMMANDS if has_tensorflow else WITHOUT_TENSORFLOW:
            application.command(name=name)(_command(name, []))
        return application.cli(prog="python -m training", args=arguments, description=__doc__) or 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (Diverged, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _command(name, arguments):
    """Returns a command as the function that does it."""
    if name not in WITHOUT_TENSORFLOW:
        _import_tensorflow()
    module, _, attribute = COMMANDS[name].partition(":")
    function = getattr(importlib.import_module(module), attribute)
    return function(arguments) if name in OF_A_RECIPE else function


def _import_tensorflow():
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError(
            "All commands but "
            f'{", ".join(WITHOUT_TENSORFLOW)} need TensorFlow: python -m pip install ".[cpu]"'
        )
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with held_stderr():
        importlib.import_module("tensorflow")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
