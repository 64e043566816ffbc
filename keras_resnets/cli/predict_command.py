"""Says what is on images, with the best classes of each as bars, or as JSON."""

import json
import sys

from keras_resnets.cli.open_model import CLASS_NAMES_HELP, HELP, open_model, read_class_names
from keras_resnets.cli.tables import bar, format_table
from keras_resnets.models import list_models
from keras_resnets.preprocessing import classify, model_preprocessing
from keras_resnets.preprocessing.model import image_size, required_preprocessing, scales_itself
from keras_resnets.preprocessing.predictions import number_of_classes

# With names of the usual length, a line then fits into 80 columns.
BAR_WIDTH = 30
NAME_WIDTH = 36
USUAL_SIZE = 224


def add_arguments(parser):
    """Adds the command's arguments to its parser."""
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="an image file")
    parser.add_argument("--model", help=f"required: {HELP}")
    parser.add_argument("--weights", help="for a network's name: a file, or a preset's name")
    parser.add_argument("--top", type=int, default=5, help="how many classes, at most (default: 5)")
    parser.add_argument("--class-names", metavar="NAMES", help=CLASS_NAMES_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON instead")


def run(arguments):
    """Prints the best classes of each image."""
    if arguments.model is None:
        raise ValueError(
            "`--model` must say which network looks: `--model resnet20.keras`, or, downloaded "
            "once, `--model resnet50 --weights imagenet`. Received: no --model"
        )
    if arguments.weights is None and arguments.model.lower() in list_models():
        raise ValueError(
            "A network by its name alone has new weights, which know nothing: give a file or a "
            f"preset as --weights. Received: --model {arguments.model}"
        )
    model = open_model(arguments.model, arguments.weights)
    classes = number_of_classes(model)
    _check_preprocessing(model, arguments)
    names = read_class_names(arguments.class_names, classes)
    answers = classify(model, arguments.images, top=arguments.top, class_names=names)
    images = list(zip(arguments.images, answers, strict=True))
    if arguments.class_names is None and names is not None:
        print(
            "note: the model does not say what its classes are called; --class-names does",
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps([_as_json(image, found) for image, found in images], indent=2))
        return
    for number, (image, predictions) in enumerate(images):
        print(f"\n{image}" if number else image)
        print(format_table([_row(each) for each in predictions], "<<><"))


def _check_preprocessing(model, arguments):
    if model_preprocessing(model) is not None:
        return
    if scales_itself(model):  # but not from grey levels: there is no preprocessing to be noted
        required_preprocessing(model)
    weights = f" --weights {arguments.weights}" if arguments.weights else ""
    if str(arguments.weights).endswith(".keras"):  # whose model may scale its images itself
        raise ValueError(
            "The weights alone do not say how the images are prepared: give the whole model, "
            f"`--model {arguments.weights}`. Received: --model {arguments.model}{weights}"
        )
    resize = max(image_size(model) or (USUAL_SIZE,))
    raise ValueError(
        "The model must note how its images are prepared. If by ImageNet's mean and deviation, "
        f"`keras-resnets convert {arguments.model} noted.keras{weights} --resize {resize}` writes "
        f"one that does. Received: --model {arguments.model}{weights}"
    )


def _row(prediction):
    name = prediction.name
    if len(name) > NAME_WIDTH:
        name = f"{name[: NAME_WIDTH - 1]}…"
    return "", name, f"{prediction.score:.2%}", bar(prediction.score, BAR_WIDTH)


def _as_json(image, predictions):
    return {"image": image, "predictions": [each._asdict() for each in predictions]}
