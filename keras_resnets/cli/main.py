"""The command line: which command there is, and how it fails."""

import argparse
import inspect
import os
import sys
import warnings

import keras_resnets
from keras_resnets.cli import networks, serving
from keras_resnets.cli.tables import plain_where_needed
from keras_resnets.command_start import raise_on_interrupt, without_chatter
from keras_resnets.files.elements import printable

# What each command does, and its arguments; the docstring is its help.
COMMANDS = {
    "list": (networks.list_command, networks.LIST_ARGUMENTS),
    "describe": (networks.describe_command, networks.DESCRIBE_ARGUMENTS),
    "convert": (networks.convert_command, networks.CONVERT_ARGUMENTS),
    "predict": (serving.predict_command, serving.PREDICT_ARGUMENTS),
    "export": (serving.export_command, serving.EXPORT_ARGUMENTS),
    "benchmark": (serving.benchmark_command, serving.BENCHMARK_ARGUMENTS),
}
# A list of arrays that do not fit may be long, and a name in a file endless.
MOST_LETTERS = 100_000
# What wrong arguments, files and networks raise, and a package that is not installed.
EXPECTED = (ValueError, TypeError, OSError, ImportError)


def main(arguments=None) -> int:
    """Runs a command of `keras-resnets`; what goes wrong is one line on stderr.

    Args:
        arguments: The words behind `keras-resnets`, as a list; `None` for those of this process.

    Returns:
        The exit status: 0; 1 if a format could not be exported; 2 if an argument, a file or the
        network was not as it must be.

    Example:

    >>> keras_resnets.cli.main(["list", "plainnet20"])
    model       parameters  multiply-adds  image
    plainnet20     269,722     40.55 MMAC  32×32×3
    0
    """
    parser = _parser()
    with plain_where_needed():
        try:
            parsed = parser.parse_args(arguments)
        except SystemExit as stop:  # argparse has written the line, or the help
            return int(stop.code or 0)
        with without_chatter():
            return _run(parsed)


def _run(parsed):
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            raise_on_interrupt()
            run, _ = COMMANDS[parsed.command]
            failure = run(parsed)
            sys.stdout.flush()
        if failure is not None:
            _print_error(failure)
            return 1
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except EXPECTED as error:
        _print_error(error)
        return 2
    except KeyboardInterrupt:
        print("keras-resnets: stopped", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message}. See {self.prog} --help\n")


def _parser():
    parser = _Parser(
        prog="keras-resnets",
        description="Lists, describes, converts, runs and exports residual networks.",
    )
    parser.add_argument("--version", action="version", version=keras_resnets.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (run, arguments) in COMMANDS.items():
        description = inspect.getdoc(run) or ""
        command = commands.add_parser(
            name,
            help=description.partition("\n")[0],
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for names, options in arguments:
            command.add_argument(*names, **options)
    return parser


def _print_error(error):
    print(f"keras-resnets: error: {_one_line(error)}", file=sys.stderr)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"note: {_one_line(message)}", file=sys.stderr)


def _one_line(message):
    text = " ".join(str(message).split()) or type(message).__name__
    return printable(text, most_letters=MOST_LETTERS)
