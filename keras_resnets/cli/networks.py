"""The commands about networks: what there is, what one is, and its file in another format."""

import dataclasses
import sys
import textwrap

import keras

from keras_resnets.analysis import count_parameters, explain, layer_costs, summarize
from keras_resnets.architecture.plan import make_plan
from keras_resnets.architecture.reading import stem_name
from keras_resnets.architecture.spec import OPTIONS, STEMS, describe_spec
from keras_resnets.cli.open_model import open_model, read_class_names
from keras_resnets.cli.tables import format_table
from keras_resnets.models import VARIANTS, list_models, model_spec
from keras_resnets.preprocessing import (
    Preprocessing,
    model_preprocessing,
    set_class_names,
    set_preprocessing,
)
from keras_resnets.preprocessing.model import (
    image_size,
    required_preprocessing,
    scales_itself,
    stem_convolution,
)
from keras_resnets.preprocessing.preprocessing import spatial_axes
from keras_resnets.weights import PRESETS, to_torch_state_dict
from keras_resnets.weights.keras_files import written_whole

TERMINAL_WIDTH = 80

# What shows in no array's shape, and changes what a network computes of them.
SILENT_OPTIONS = [name for name, option in OPTIONS.items() if option.changes == "answers"]


def list_command(arguments):
    """Lists the networks, with parameters and multiply-adds, and their published weights."""
    names = list_models(arguments.pattern, arguments.family)
    header = ("model", "parameters", "multiply-adds", "image")
    print(format_table([header, *map(variant_row, names)], "<>><"))
    presets = [_preset_row(preset) for preset in PRESETS.values() if preset.model in names]
    if presets:
        print(
            "\nWeights, with the accuracy in % on ImageNet's validation or CIFAR-10's test\n"
            "images; `imagenet` or `cifar10` is the best of a network's:\n"
        )
        preset_header = ("preset", "top-1", "top-5", "resized, cropped", "licence")
        print(format_table([preset_header, *presets], "<>><<"))


def variant_row(name):
    """Returns a network's name, parameters, multiply-adds and image size, as texts."""
    spec = VARIANTS[name]
    size = STEMS[spec.stem].image_size
    cost = make_plan(spec).cost(size, 3, STEMS[spec.stem].classes)
    is_cifar = spec.stem == "cifar"
    macs = f"{cost.macs / 1e6:.2f} MMAC" if is_cifar else f"{cost.macs / 1e9:.4f} GMAC"
    return name, f"{cost.parameters:,}", macs, f"{size}×{size}×3"


def _preset_row(preset):
    images = preset.preprocessing
    return (
        preset.name,
        f"{preset.top1:.1f}",
        "" if preset.top5 is None else f"{preset.top5:.1f}",
        f"{images.resize}, {images.crop}, {images.interpolation}",
        preset.license,
    )


def describe_command(arguments):
    """Describes a network: layers and cost, preprocessing, and how it departs from the paper."""
    model = open_model(arguments.model, arguments.weights)
    shape = _image_shape(model, arguments.size)
    count = count_parameters(model)
    explanation = str(explain(model))
    paragraphs = [
        _filled(f"{model.name}: {_structure(model)}"),
        *([_layers(model, shape)] if arguments.layers else []),
        str(summarize(model, shape)),
        f"{count.total:,} parameters with the statistics of batch normalization.",
        _filled(f"Preprocessing: {_preprocessing(model)}"),
        "\n".join(map(_filled, explanation.splitlines())),
    ]
    print("\n\n".join(paragraphs))


def _structure(model):
    try:
        spec = model_spec(model)
    except ValueError:
        return "no spec describes its blocks."
    return f"{describe_spec(spec)}."


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
    fields = []
    for name, value in dataclasses.asdict(preprocessing).items():
        if isinstance(value, tuple):
            value = f"({', '.join(f'{number:g}' for number in value)})"
        fields.append(f"{name} {value}")
    return ", ".join(fields) + "."


def _filled(line):
    return textwrap.fill(line, TERMINAL_WIDTH, subsequent_indent="  ", break_long_words=False)


def convert_command(arguments):
    """Converts a checkpoint to a file of Keras, or a model to a file for torch."""
    dest = arguments.dest
    model = open_model(
        arguments.source,
        arguments.weights,
        classes=arguments.classes,
        stride_on=arguments.stride_on,
        entry=arguments.entry,
        report=print if arguments.verbose else None,
    )
    notes = _note_preprocessing(model, arguments)
    names = read_class_names(arguments.class_names, model)
    if names is not None:
        set_class_names(model, names)
        if not dest.name.endswith(".keras"):
            notes.append(f"only a .keras file holds class names, and {dest.name} does not")
    if arguments.weights is None and arguments.source.lower() in list_models():
        notes.append("the weights are new ones, untrained; --weights takes a file or a preset")
    if dest.name.endswith(".safetensors"):
        to_torch_state_dict(model, dest, arguments.family or "torchvision")
    else:
        suffix = ".keras" if dest.name.endswith(".keras") else ".weights.h5"
        with written_whole(dest, suffix) as unfinished:
            (model.save if suffix == ".keras" else model.save_weights)(unfinished)
    if dest.name.endswith(".weights.h5"):
        notes += _options_lost(model)
    images, numbers = _sizes(model.inputs), _sizes(model.outputs)
    print(f"Wrote {dest}: {model.name}, from images {images} to {numbers} numbers.")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _sizes(tensors):
    return " and ".join(
        "×".join("any" if size is None else str(size) for size in tensor.shape[1:])
        for tensor in tensors
    )


def _options_lost(model):
    """Returns a note of the options that a `.weights.h5` file does not hold, where they matter."""
    try:
        spec = model_spec(model)
    except ValueError:  # of other blocks, or a network within another model
        return []
    options = {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name in SILENT_OPTIONS and getattr(spec, field.name) != field.default
    }
    head = next((layer for layer in model.layers if layer.name == "predictions"), None)
    if head is not None and head.activation is not keras.activations.softmax:
        options["classifier_activation"] = keras.activations.serialize(head.activation)
    listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return [f"a .weights.h5 file does not say {listed}; a .keras file does"] if options else []


def _note_preprocessing(model, arguments):
    """Makes a model carry what the arguments say, and returns what is to be said of it."""
    given = {
        name: value
        for name in ("resize", "crop", "interpolation")
        if (value := getattr(arguments, name)) is not None
    }
    if not given:
        return []
    present = model_preprocessing(model)
    notes = []
    if present is None:
        present = _first_preprocessing(model, given)
        notes = ["the source notes no preprocessing: ImageNet's mean and deviation are noted"]
    set_preprocessing(model, dataclasses.replace(present, **given))
    return notes


def _first_preprocessing(model, given):
    """Returns ImageNet's for a model that notes none, at the size of its images."""
    if scales_itself(model):  # but not from grey levels
        required_preprocessing(model)
    if stem_convolution(model).conv.kernel.shape[2] != 3:
        raise ValueError(
            "`--resize`, `--crop` and `--interpolation` change a preprocessing that the source "
            f"has, or note ImageNet's for a network of three channels. Received: {given}"
        )
    size = image_size(model)
    is_square = size is not None and size[0] == size[1]
    crop = given.get("crop") or (size[0] if is_square else size)
    resize = given.get("resize") or (max(crop) if isinstance(crop, tuple) else crop)
    return Preprocessing.imagenet(resize, crop)
