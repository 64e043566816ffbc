"""Whether a model is one that a family's arrays can fill."""

from keras_resnets.models import ResNetSpec, model_spec
from keras_resnets.weights.family import Family


def check_model(model, family: Family) -> ResNetSpec:
    """Returns the spec of a model of the zoo whose weights the family has names for.

    Raises:
        ValueError: If the family has no such network, or the model has other layers with weights.
        TypeError: If `model` is not a Keras model.
    """
    spec = model_spec(model)
    family.check_spec(spec)
    present = {weight.path for weight in model.weights}
    known = family.names(spec, include_top="predictions/kernel" in present)
    differing = sorted(present ^ known.keys())
    if differing:
        raise ValueError(
            "`model` must have the layers of a model of this package and no others with "
            f"weights. Received: {model.name!r}, which differs in {differing[0]!r}"
        )
    return spec
