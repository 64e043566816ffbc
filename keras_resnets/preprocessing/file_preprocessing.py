"""The preprocessing that a `.keras` file notes."""

from keras_resnets.files.errors import WeightsFileError, printable
from keras_resnets.models.file_configuration import own_layers
from keras_resnets.preprocessing.fit import fit_preprocessing
from keras_resnets.preprocessing.model import (
    set_preprocessing,
    stem_convolution,
    without_scaling,
)
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.preprocessing.scaling import leaves_values


def take_over_preprocessing(model, path):
    """Makes a model carry what a file's network carries, at the size of its own images.

    A model that carries one already keeps it. One of grey levels as they are is left out, for the
    file's model may have scaled them by layers that are not in this one.

    Args:
        model: A model of the zoo with the file's weights.
        path: Path of a `.keras` file.

    Raises:
        WeightsFileError: If what the file notes is no preprocessing.
    """
    noted = [
        config["preprocessing"]
        for name, config in own_layers(path).items()
        if name.rpartition("/")[2] == "stem_conv" and config.get("preprocessing") is not None
    ]
    if not noted or stem_convolution(model).preprocessing is not None:
        return
    try:
        preprocessing = Preprocessing.from_dict(noted[0])
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsFileError(
            "A .keras file must note a preprocessing as this package does: "
            f"{printable(str(error))}. Received: weights={str(path)!r}"
        ) from error
    if leaves_values(preprocessing):  # of a model that may have scaled its images itself
        return
    set_preprocessing(model, without_scaling(fit_preprocessing(preprocessing, model), model))
