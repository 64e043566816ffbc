"""The command line: its commands and their arguments, and how it fails."""

import argparse
import importlib
import os
import reprlib
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import keras_resnets
from keras_resnets.architecture.spec import FAMILIES, VARIANTS, find_variants
from keras_resnets.arguments import nearest, printable
from keras_resnets.cli.tables import plain_where_needed
from keras_resnets.command_start import (
    end_on_interrupt,
    imports_of_the_command,
    missing_package,
    raise_on_interrupt,
    without_chatter,
)

# Those of `keras_resnets.export` and `keras_resnets.weights`, which import a backend.
FORMATS = ("saved_model", "onnx", "litert", "litert_int8", "openvino")
# What has weights under its own name, with a network that has them.
DATASETS = {"cifar10": "resnet20", "imagenet": "resnet50"}
PRESETS = (
    "keras_resnets/resnet20",
    *(f"torchvision/resnet{depth}-v1" for depth in (18, 34, 50, 101, 152)),
    *(f"torchvision/resnet{depth}-v2" for depth in (50, 101, 152)),
    *(
        f"torchvision/{model}-{version}"
        for model in ("resnext50_32x4d", "resnext101_32x8d", "wideresnet50_2", "wideresnet101_2")
        for version in ("v1", "v2")
    ),
    "torchvision/resnext101_64x4d-v1",
    *(f"timm/resnet{depth}-{recipe}" for depth in (18, 34, 50) for recipe in ("a1", "a2", "a3")),
    *(f"timm/resnet{depth}d-ra2" for depth in (34, 50, 101, 152, 200)),
    *(f"timm/{model}-a1" for model in ("resnet50d", "resnext50_32x4d", "seresnet50")),
    *(
        f"timm/{model}-bt"
        for model in ("resnet26", "resnet26d", "resnext50d_32x4d", "resnetblur50")
    ),
    *("timm/seresnet50-ra2", "timm/seresnext50_32x4d-racm", "timm/wideresnet50_2-racm"),
    *(f"timm/resnetrs{depth}-tf" for depth in (50, 101, 152)),
)
# What `convert` writes.
WRITTEN = (".keras", ".weights.h5", ".safetensors")
# A model's or its weights' files.
SUFFIXES = (".keras", ".safetensors", ".pth", ".pt", ".th", ".ckpt", ".bin", ".tar", ".h5")
# A list of arrays that do not fit may be long, and a name in a file endless.
MOST_LETTERS = 100_000
MOST_DIGITS = 9
# What wrong arguments, files and networks raise, and a package that cannot be imported.
EXPECTED = (ValueError, TypeError, OSError, ImportError)


def argument(*names, **options):
    """Declares an argument of a command, as `argparse` takes it."""
    return names, options


def positive(word):
    """Returns the whole number of at least 1 that a word is, for `argparse`."""
    if not word.isdecimal() or len(word.lstrip("0")) > MOST_DIGITS or not int(word):
        shown = reprlib.repr(word)
        raise argparse.ArgumentTypeError(f"it must be a positive integer, not {shown}")
    return int(word)


HELP = (
    "a network's or preset's name, a run's folder, a file (.keras, .safetensors, .pth …), a folder "
    "of Hugging Face's, or hf://OWNER/NAME on its hub"
)
MODEL = argument("model", metavar="MODEL", help=HELP)
WEIGHTS = argument(
    "--weights",
    help="for a network's name: a file, or a preset's name, as imagenet",
)
CLASS_NAMES = argument(
    "--class-names",
    metavar="NAMES",
    help="what the classes are called: imagenet, cifar10, or a text file with a name a line",
)


class Command(NamedTuple):
    """A command: the module with its function `<name>_command`, its help and its arguments."""

    module: str
    description: str
    arguments: tuple[Any, ...]


# The modules are imported only when their command runs: with a backend, that takes seconds.
COMMANDS = {
    "list": Command(
        "networks",
        "Lists the networks, with parameters and multiply-adds, and their published weights.",
        (
            argument("pattern", nargs="?", default="*", help="a pattern of names, as 'resnet5*'"),
            argument("--family", choices=FAMILIES, help="only the networks of this family"),
        ),
    ),
    "describe": Command(
        "networks",
        """Describes a network: layers and cost, preprocessing, and how it departs from the paper.

For a file, or for a network by its name, whose weights are then new ones.""",
        (
            MODEL,
            WEIGHTS,
            argument("--size", type=positive, help="image size, for a model of any size"),
            argument(
                "--layers",
                action="store_true",
                help="list every layer with weights, not only the stages",
            ),
        ),
    ),
    "convert": Command(
        "networks",
        """Converts a checkpoint to a file of Keras, or a model to a file for torch.

The suffix of DEST says which: .keras for a whole model, .weights.h5 for its weights alone, and
.safetensors for torch: under torchvision's names, which are timm's too, or another family's.""",
        (
            argument("source", metavar="SOURCE", help=HELP),
            argument(
                "dest",
                metavar="DEST",
                type=Path,
                nargs="?",
                help="the file to write (default: SOURCE's name with .keras, in this folder)",
            ),
            argument("--overwrite", action="store_true", help="replace DEST if it exists"),
            WEIGHTS,
            argument("--classes", type=positive, help="a new classifier of so many classes"),
            argument(
                "--entry",
                help="which weights of several in a checkpoint: what they are under, as model_ema",
            ),
            argument("--verbose", action="store_true", help="say what was taken and left out"),
            argument(
                "--stride-on",
                choices=("3x3", "1x1"),
                help="which of a bottleneck's convolutions has the stride; no checkpoint says it",
            ),
            argument(
                "--resize",
                type=positive,
                help="preprocessing to note: the shorter side; ImageNet's mean and deviation where "
                "the source notes no preprocessing and does not scale its images itself",
            ),
            argument("--crop", type=positive, help="preprocessing to note: the central crop"),
            argument(
                "--interpolation",
                choices=("nearest", "bilinear", "bicubic"),
                help="preprocessing to note: the interpolation",
            ),
            CLASS_NAMES,
            argument(
                "--family",
                choices=("torchvision", "timm_v2", "hugging_face", "akamaster"),
                help="for .safetensors: whose names (default: torchvision)",
            ),
        ),
    ),
    "predict": Command(
        "serving",
        "Classifies images: the best classes of each, as bars or as JSON.",
        (
            argument("images", metavar="IMAGE", nargs="+", help="an image file"),
            argument("--model", required=True, help=HELP),
            WEIGHTS,
            argument("--top", type=positive, default=5, help="how many classes (default: 5)"),
            CLASS_NAMES,
            argument("--json", action="store_true", help="print JSON instead"),
        ),
    ),
    "export": Command(
        "serving",
        """Exports a model to be served: as a SavedModel, and in other formats.

Each file is loaded again and compared with the model. A format that cannot be written, or whose
outputs differ, is left out; the exit status is then 1.""",
        (
            MODEL,
            argument("path", metavar="PATH", help="the folder to write the numbered version into"),
            WEIGHTS,
            argument(
                "--formats",
                nargs="+",
                default=["saved_model"],
                choices=FORMATS,
                metavar="FORMAT",
                help=f"some of {', '.join(FORMATS)} (default: saved_model)",
            ),
            CLASS_NAMES,
            argument(
                "--images",
                nargs="+",
                metavar="IMAGE",
                help="image files to compare on (default: images of random discs, which a trained "
                "model knows as little as noise); litert_int8 needs them, to take its ranges from",
            ),
        ),
    ),
    "benchmark": Command(
        "serving",
        """Times a model in each format that it can be exported in, in turns.

Compare only the ratios within one table: times depend on the machine, and on what else it does.
They are to the fastest way that gives the model's own outputs, which 8 bits do not.

Beside a network that torchvision has too, torchvision's is timed in ONNX Runtime, if torch,
torchvision and onnx are installed.""",
        (
            argument("models", metavar="MODEL", nargs="+", help=HELP),
            argument(
                "--formats",
                nargs="+",
                choices=FORMATS,
                metavar="FORMAT",
                help=f"some of {', '.join(FORMATS)} (default: all that are installed)",
            ),
            argument(
                "--batches",
                nargs="+",
                type=positive,
                default=[1, 16],
                metavar="N",
                help="how many images at once (default: 1 16)",
            ),
            argument("--rounds", type=positive, default=10, help="turns of each (default: 10)"),
            argument("--json", metavar="FILE", help="write the figures to a file, too"),
        ),
    ),
}


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
        return _run(parsed)


def _run(parsed):
    try:
        _check_names(**vars(parsed))
        if parsed.command in ("predict", "export"):
            _check_weights(parsed.model, parsed.weights)
        if parsed.command == "convert":
            parsed.dest = parsed.dest or _default_dest(parsed.source)
            _check_dest(parsed.dest, parsed.overwrite, parsed.family)
        with imports_of_the_command():
            module = importlib.import_module(f"keras_resnets.cli.{COMMANDS[parsed.command].module}")
        with without_chatter(*EXPECTED, KeyboardInterrupt), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            raise_on_interrupt()
            failure = getattr(module, f"{parsed.command}_command")(parsed)
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
    finally:
        end_on_interrupt()  # libraries may take a while to end
    return 0


def _check_names(
    pattern=None,
    family=None,
    model=None,
    models=(),
    source=None,
    weights=None,
    class_names=None,
    images=(),
    **_,
):
    """Raises for a name or a file that is not there, before a backend is imported."""
    if pattern is not None and not find_variants(pattern, family):
        which = "network" if family is None else f"network of the family {family!r}"
        hint = nearest(pattern, find_variants(family=family))
        raise ValueError(f"No {which} matches the pattern.{hint} Received: {pattern!r}")
    names = {name: name.lower() for name in (model, source, *models) if name}  # in any case
    networks, presets = (*VARIANTS, *PRESETS), (*DATASETS, *PRESETS)
    for kind, name, known in (
        *(("model", name, networks) for name in names),
        ("weights", weights, presets),
        ("", class_names, DATASETS),
        *(("", name, ()) for name in images or ()),
    ):
        is_of_hub = kind and (name or "").startswith("hf://")
        if name is None or names.get(name, name) in known or os.path.exists(name) or is_of_hub:
            if name in (images or ()) and os.path.isdir(name):
                raise ValueError(
                    f"IMAGE must be a file: name those in the folder, as {os.path.join(name, '*')}."
                    f" Received: {name!r}"
                )
            continue
        if not kind or name.endswith(SUFFIXES):
            hint = nearest(name, known) if not kind else ""
            raise ValueError(f"No such file: {name!r}{hint and '.'}{hint}")
        hint = nearest(name, known)
        if name in DATASETS:
            hint = f" It goes with a network, as in {DATASETS[name]} --weights {name}."
        raise ValueError(
            f"The {kind} must be a name that `keras-resnets list` gives, or the path of a file or "
            f"of a training run's folder.{hint} Received: {name!r}"
        )


def _check_weights(model, weights):
    if model.lower() in VARIANTS and weights is None:
        raise ValueError(
            "A network by its name alone has new weights, which know nothing: give a file or a "
            f"preset as --weights. Received: {model!r}"
        )


def _default_dest(source):
    """Returns the source's name with `.keras`, in the current folder."""
    name = Path(source).name
    suffix = next((end for end in SUFFIXES if name.endswith(end)), "")
    # `resnet20.pth.tar` has two endings.
    name = name.removesuffix(suffix).removesuffix(".pth") or name
    return Path(f"{name}.keras")


def _check_dest(dest, overwrite, family):
    if not dest.name.endswith(WRITTEN):
        hint = ""
        if dest.suffix in (".pth", ".pt", ".th", ".bin", ".ckpt"):
            hint = " torch loads a .safetensors file by `safetensors.torch.load_file`."
        raise ValueError(f"DEST must end in {', '.join(WRITTEN)}.{hint} Received: {str(dest)!r}")
    if dest.exists() and not overwrite:
        raise ValueError(f"DEST must not exist, without --overwrite. Received: {str(dest)!r}")
    if not dest.parent.is_dir():
        raise ValueError(f"DEST must lie in an existing folder. Received: {str(dest)!r}")
    if family is not None and not dest.name.endswith(".safetensors"):
        raise ValueError(f"`--family` belongs to .safetensors. Received: --family {family}")


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
    for name, (_, description, arguments) in COMMANDS.items():
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
    message = missing_package(error) if isinstance(error, ModuleNotFoundError) else error
    print(f"keras-resnets: error: {_one_line(message)}", file=sys.stderr)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    print(f"note: {_one_line(message)}", file=sys.stderr)


def _one_line(message):
    text = " ".join(str(message).split()) or type(message).__name__
    return printable(text, most_letters=MOST_LETTERS)
