"""What a model's classes are called."""

from pathlib import Path

from keras_resnets.preprocessing.predictions import check_class_names, imagenet_classes

# In the order of the data set's labels.
CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
HELP = "what the classes are called: imagenet, cifar10, or a text file with a name a line"


def read_class_names(source, classes):
    """Returns a name for each class of a model.

    No model says what its classes are called. By default, one with 1000 is taken for ImageNet's,
    and the classes of any other have their numbers as names. A single unit has two: it gives the
    probability of class 1.

    Args:
        source: `"imagenet"`, `"cifar10"`, the path of a text file with a name a line, or `None`.
        classes: The model's number of classes.

    Returns:
        A list of names; `None` for ImageNet's, as `classify` takes it.

    Raises:
        ValueError: If there is not exactly one name a class, or the file is no text.
        OSError: If there is no such file.

    Example:

    >>> read_class_names(None, 3)
    ['class 0', 'class 1', 'class 2']
    """
    if source is None:
        return None if classes == 1000 else [f"class {number}" for number in range(max(2, classes))]
    if source == "imagenet":
        names = [name for _, name in imagenet_classes()]
    elif source == "cifar10":
        names = list(CIFAR10)
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"`--class-names` must be a text file in UTF-8. Received: {source!r} ({error})"
            ) from error
        names = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        check_class_names(names, classes)
    except ValueError as error:
        raise ValueError(f"{error} of --class-names {source!r}") from error
    return None if source == "imagenet" else names
