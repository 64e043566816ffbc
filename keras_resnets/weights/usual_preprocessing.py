"""What a converted model's images are to go through, as far as that is known."""

from keras_resnets.preprocessing import Preprocessing
from keras_resnets.preprocessing.fit import fit_preprocessing
from keras_resnets.preprocessing.model import without_scaling
from keras_resnets.weights.matching import STEM
from keras_resnets.weights.recognition import Checkpoint


def usual_preprocessing_for(
    model, checkpoint: Checkpoint, usual: Preprocessing | None = None
) -> tuple[Preprocessing | None, list[str]]:
    """Returns what was done to the images of a checkpoint, fitted to the size of a model's.

    Args:
        model: The model that is to have the weights.
        checkpoint: The arrays, and their family.
        usual: The `Preprocessing` that the weights were published with; by default, that of the
            family's published networks, if this is one of them.

    Returns:
        The `Preprocessing`, or `None` where it is not known or has another number of channels; and
        sentences about that.
    """
    if usual is None:
        notes = _differences(checkpoint)
        if notes:
            return None, notes
        usual = checkpoint.family.preprocessing
    [kernel] = [weight for weight in model.weights if weight.path == STEM]
    if kernel.shape[2] != len(usual.mean):  # of another number of channels it says nothing
        return None, []
    return without_scaling(fit_preprocessing(usual, model), model), []


def _differences(checkpoint):
    """Says by what a network is none of its family's published ones, if it is not."""
    family = checkpoint.family
    present = dict(vars(checkpoint.spec))
    top = family.names(checkpoint.spec, include_top=True)
    bias = checkpoint.arrays.get(top["predictions/bias"])
    if bias is not None:
        present["classes"] = bias.size
    return [
        f"no preprocessing is noted, for {family.name}'s networks have {field}={value!r}, this one "
        f"{present[field]!r}; `set_preprocessing` notes what it was trained on"
        for field, value in family.published.items()
        if present.get(field, value) != value
    ][:1]
