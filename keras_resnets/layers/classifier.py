"""The last layer of a classifier, which knows what its classes are called."""

from collections.abc import Iterable, Mapping

import keras


@keras.saving.register_keras_serializable(package="keras_resnets")
class Classifier(keras.layers.Dense):
    """A dense layer whose configuration carries the names of its classes.

    The names belong to this layer, so that a `.keras` file, a clone or a plain twin of the model
    keeps them, and another classifier on the same backbone does not inherit them.

    Args:
        units: Number of classes; 1 for the probability of the second of two.
        class_names: Name of each class, in the order of the outputs; `None` if they are not known.
            One unit has two names, or one: that of the second class.
        **kwargs: The other arguments of `keras.layers.Dense`.

    Raises:
        ValueError: If there are not as many names as classes, or one has several lines.
        TypeError: If `class_names` is not a list of names in an order.

    Example:

    >>> classifier = keras_resnets.layers.Classifier(2, class_names=("cat", "dog"))
    >>> classifier.get_config()["class_names"]
    ['cat', 'dog']
    """

    def __init__(self, units, class_names=None, **kwargs):
        super().__init__(units, **kwargs)
        self.class_names = class_names

    @property
    def class_names(self):
        """Name of each class, a tuple; `None` if they are not known."""
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        self._class_names = None if names is None else check_class_names(names, self.units)

    def quantize(self, mode=None, type_check=True, config=None):
        # Keras's layer refuses subclasses, which may compute something else; this one does not.
        super().quantize(mode, type_check=False, config=config)

    def get_config(self):
        names = self.class_names
        return {**super().get_config(), **({} if names is None else {"class_names": list(names)})}


def check_class_names(class_names, classes) -> tuple[str, ...]:
    """Returns the names of so many classes as texts, or raises if they are not in an order."""
    others = (str, bytes, set, frozenset, Mapping)  # a text's letters would be names
    if not isinstance(class_names, Iterable) or isinstance(class_names, others):
        raise TypeError(
            "`class_names` must be a list of names in the order of the classes. "
            f"Received: class_names={class_names!r}"
        )
    names = tuple(class_names)
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise (ValueError if isinstance(name, str) else TypeError)(
                f"`class_names` must hold texts that are not empty. Received: the name {name!r}"
            )
        if len(f"{name}.".splitlines()) > 1:  # a line of labels.txt
            raise ValueError(
                f"`class_names` must be names of one line each. Received: the name {name!r}"
            )
    if len(names) != classes and (len(names), classes) != (2, 1):
        rule = (
            "one name for one unit, or two: the negative class's and the positive's"
            if classes == 1
            else f"a name for each of the {classes} classes"
        )
        raise ValueError(f"`class_names` must hold {rule}. Received: {len(names)} names")
    return names
