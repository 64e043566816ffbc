"""What users and their files rely on: public names, signatures, and what is written into files.

After a change that is meant, `python -m tests.public_api` writes `public_api.json` anew.
"""

import importlib
import inspect
import json
from pathlib import Path

import keras
import numpy as np

import keras_resnets

FILE = Path(__file__).with_name("public_api.json")
MODULES = ("", ".analysis", ".export", ".files", ".layers", ".models", ".preprocessing", ".weights")
# What these layers cannot do without.
ARGUMENTS = {
    "Classifier": {"units": 3},
    "ConvNorm": {"filters": 4, "kernel_size": 3},
    "GatedBlock": {"filters": 4, "gate": "exclusive"},
    "IdentityShortcut": {"filters": 4},
    "ProjectionShortcut": {"filters": 4},
    "ShortcutGate": {"gate": "exclusive"},
}


def public_api():
    """Returns what the package promises, as JSON has it."""
    names, signatures, members = {}, {}, {}
    for module in (importlib.import_module(f"keras_resnets{name}") for name in MODULES):
        names[module.__name__] = sorted(module.__all__)
        for name in names[module.__name__]:
            value = getattr(module, name)
            if inspect.isclass(value):
                members[name] = _members(value)
            if inspect.isfunction(value) or (inspect.isclass(value) and "__init__" in vars(value)):
                signatures[name] = _signature(value)
    return {
        "names": names,
        "signatures": signatures,
        "members": members,
        "layers": {name: _layer(name) for name in keras_resnets.layers.__all__},
        "networks": {
            name: _network(name) for name in ("resnet18", "resnet50", "plainnet20", "resnet20")
        },
    }


def _members(kind):
    """Returns the public methods, properties and fields that this package gives a class."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("keras_resnets")]
    return sorted({name for base in own for name in vars(base) if not name.startswith("_")})


def _signature(value):
    """Returns the parameters without their annotations, which mypy checks.

    Those that are given by keyword alone have no order.
    """
    parameters = inspect.signature(value).parameters.values()
    ordered = sorted(
        parameters,
        key=lambda parameter: parameter.name if parameter.kind is parameter.KEYWORD_ONLY else "",
    )
    return [str(parameter.replace(annotation=parameter.empty)) for parameter in ordered]


def _layer(name):
    """Returns a layer's registered name, the keys of its configuration, and its weights."""
    kind = getattr(keras_resnets.layers, name)
    if inspect.isabstract(kind):
        return None
    is_block = issubclass(kind, keras_resnets.layers.ResidualBlock)
    arguments = ARGUMENTS.get(name, {"filters": 4} if is_block else {})
    layer = kind(name="layer", **arguments)
    layer(np.zeros((1, 4, 4, 2 if is_block else 4), "float32"))
    return {
        "registered": keras.saving.get_registered_name(kind),
        "configuration": sorted(layer.get_config()),
        "weights": _weights(layer),
    }


def _network(name):
    model = keras_resnets.create_model(name)
    return {"layers": [layer.name for layer in model.layers], "weights": _weights(model)}


def _weights(layer):
    return [f"{weight.path} {tuple(weight.shape)}" for weight in layer.weights]


if __name__ == "__main__":
    text = json.dumps(public_api(), indent=1, sort_keys=True)
    FILE.write_text(f"{text}\n", encoding="utf-8")
