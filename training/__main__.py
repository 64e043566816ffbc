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

from training.demo import demo

COMMANDS = {"demo": demo}


def main() -> int:
    """Runs a command; a wrong argument is one line on stderr and exit status 2."""
    application = tyro.extras.SubcommandApp()
    for name, command in COMMANDS.items():
        application.command(name=name)(command)
    try:
        application.cli(prog="python -m training", description=__doc__)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
