"""The preprocessing that a `.keras` file notes."""

from keras_resnets.files.errors import WeightsFileError, printable
from keras_resnets.models.file_configuration import own_layers
from keras_resnets.preprocessing.fit import fit_preprocessing
from keras_resnets.preprocessing.model import model_preprocessing, set_preprocessing
from keras_resnets.preprocessing.preprocessing import Preprocessing


def take_over_preprocessing(model, path):
    """Makes a model carry what a file's network carries, at the size of its own images.

    A model that carries one already keeps it.

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
    if not noted or model_preprocessing(model) is not None:
        return
    try:
        preprocessing = Preprocessing.from_dict(noted[0])
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsFileError(
            "A .keras file must note a preprocessing as this package does: "
            f"{printable(str(error))}. Received: weights={str(path)!r}"
        ) from error
    set_preprocessing(model, fit_preprocessing(preprocessing, model))
