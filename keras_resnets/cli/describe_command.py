"""Describes a network: its layers and their cost, what it eats, how it departs from the paper.

For a file, or for a network by its name. Of a network by its name, the weights are new ones.
"""

import dataclasses
import textwrap

import keras

from keras_resnets.analysis import count_parameters, explain, layer_costs, summarize
from keras_resnets.architecture.reading import stem_name
from keras_resnets.architecture.spec import STEMS
from keras_resnets.arguments import check_positive_int
from keras_resnets.cli.open_model import HELP, open_model
from keras_resnets.cli.tables import format_table
from keras_resnets.models import model_spec
from keras_resnets.preprocessing import model_preprocessing
from keras_resnets.preprocessing.model import required_preprocessing, scales_itself
from keras_resnets.preprocessing.preprocessing import spatial_axes

WIDTH = 80


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("model", help=HELP)
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument(
        "--size", type=int, help="the image's height and width, for a model that takes any"
    )
    parser.add_argument(
        "--layers", action="store_true", help="list every layer with weights, not the stages alone"
    )


def run(arguments):
    """Prints what the model is, once all of it is known."""
    if arguments.size is not None:
        check_positive_int("--size", arguments.size)
    model = open_model(arguments.model, arguments.weights)
    shape = _image_shape(model, arguments.size)
    count = count_parameters(model)
    explanation = explain(model)
    paragraphs = [
        f"{model.name}: {_structure(model)}",
        *([_layers(model, shape)] if arguments.layers else []),
        str(summarize(model, shape)),
        f"{count.total:,} parameters with the statistics of batch normalization.",
        _filled(f"Preprocessing: {_preprocessing(model)}"),
        "\n".join(_filled(line) for line in str(explanation).splitlines()),
    ]
    print("\n\n".join(paragraphs))


def _structure(model):
    try:
        spec = model_spec(model)
    except ValueError:
        return "no spec describes its blocks."
    shortcut = "no shortcuts" if spec.shortcut is None else f"shortcuts of option {spec.shortcut}"
    repeats = ", ".join(str(count) for count in spec.repeats)
    return f"{spec.depth} layers, {repeats} {spec.block} blocks, {shortcut}."


def _layers(model, shape):
    rows = [("layer", "output", "parameters", "multiply-adds")]
    for cost in layer_costs(model, shape):
        size = "×".join(str(length) for length in cost.output_shape[1:])
        rows.append((cost.name, size, f"{cost.parameters:,}", f"{cost.macs:,}"))
    return format_table(rows, "<>>>")


def _image_shape(model, size):
    """Returns the image's shape, with the usual size where the model leaves it open."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "The model must have one input, a batch of images. "
            f"Received: {model.name!r} with inputs of the shapes {shapes}"
        )
    [shape] = map(list, shapes)
    for axis in spatial_axes(keras.config.image_data_format()):
        if size is not None and shape[axis] not in (None, size):
            raise ValueError(
                f"`--size` belongs to a model that takes images of any size; this one takes "
                f"{shape[axis]}. Received: --size {size}"
            )
        if shape[axis] is None:
            shape[axis] = STEMS[stem_name(model)].image_size if size is None else size
    return tuple(shape[1:])


def _preprocessing(model):
    if scales_itself(model):
        try:
            required_preprocessing(model)
        except ValueError as error:  # not from grey levels
            return str(error)
        return "by layers of the model itself."
    preprocessing = model_preprocessing(model)
    if preprocessing is None:
        return "none is noted; `keras-resnets convert` with `--resize` and `--crop` notes one."
    fields = dataclasses.asdict(preprocessing)
    return ", ".join(f"{name} {_value(value)}" for name, value in fields.items()) + "."


def _value(value):
    if isinstance(value, tuple):
        return "(" + ", ".join(f"{number:g}" for number in value) + ")"
    return str(value)


def _filled(line):
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False)
