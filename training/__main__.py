"""The command line: `python -m training COMMAND`."""

import signal

# Where the process is to ignore Ctrl-C, as `cmd &` in a script, Python has no handler either.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until a run can be saved, Ctrl-C ends the process at once. Python's own handler would raise
    # wherever it strikes: within a library's import, or in a callback of the garbage collector,
    # where the exception is printed and lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import contextlib
import importlib
import importlib.util
import os
import sys

import tyro

from training.option_names import check_option_names
from training.stderr import held_stderr
from training.stopping import Diverged, StopSignals

# Where each command is found. Only that which is called is imported.
COMMANDS = {
    "demo": "training.demo:demo",
    "recipes": "training.commands:recipes",
    "validate": "training.commands:validate_command",
    "data": "training.commands:data_command",
    "train": "training.commands:train_command",
    "evaluate": "training.commands:evaluate_command",
    "publish": "training.commands:publish_command",
    "index": "training.commands:index",
    "study": "training.studies.command:study_command",
    "benchmark": "training.benchmark.command:benchmark",
}
WITHOUT_TENSORFLOW = ("benchmark",)
# Their runs handle signals themselves; before and after a run there is nothing to clean up.
WITH_RUNS = ("demo", "train", "study")
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
            with contextlib.nullcontext() if name in WITH_RUNS else StopSignals():
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
        import_tensorflow()
    module, _, attribute = COMMANDS[name].partition(":")
    function = getattr(importlib.import_module(module), attribute)
    return function(arguments) if name in OF_A_RECIPE else function


def import_tensorflow() -> None:
    """Imports TensorFlow with the settings that every command runs with."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError(
            "All commands but "
            f'{", ".join(WITHOUT_TENSORFLOW)} need TensorFlow: python -m pip install ".[cpu]"'
        )
    if "tensorflow" not in sys.modules:  # it reads these only when it is imported
        # Left to itself, TensorFlow turns oneDNN on only where the processor has AVX512-VNNI,
        # though training gains by it on older ones too.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with held_stderr():
        importlib.import_module("tensorflow")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
