"""A model that resizes its images itself, and the formats that have no operation for it."""

import sys

import keras
import numpy as np
import pytest

from keras_resnets import Preprocessing, export_model
from keras_resnets.export.served_model import check_resizing
from tests.backends import requires_tensorflow
from tests.export.networks import classifier

OTHERS = ("onnx", "litert", "litert_int8", "openvino")


def with_layer(**options):
    """A model of images of any size, which it resizes to 20 and crops to 16."""
    pixels = keras.Input((None, None, 3))
    layer = Preprocessing(**{"resize": 20, "crop": 16, **options}).as_layer(name="prepare")
    return keras.Model(pixels, classifier(preprocessing=None)(layer(pixels)), name="whole")


@requires_tensorflow
@pytest.mark.parametrize("other", OTHERS)
def test_it_is_refused_before_anything_is_done(other, tmp_path, monkeypatch):
    # Of the same name as the function in it, which hides it from `import`.
    monkeypatch.delattr(sys.modules["keras_resnets.export.export_model"], "ServedModel")
    model, images = with_layer(), [np.zeros((30, 30, 3), "uint8")]
    with pytest.raises(ValueError, match="has the format 'saved_model' alone") as raised:
        export_model(model, tmp_path / "m", ("saved_model", other), images=images)
    assert str(raised.value).endswith(
        f"Received: formats=({other!r},), 'whole' with the layer 'prepare' of "
        "interpolation='bilinear', antialias=True"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "is_refused"),
    [
        ({"interpolation": "bicubic"}, True),
        ({"interpolation": "bicubic", "antialias": False}, True),
        ({"antialias": False}, False),
        ({"interpolation": "nearest"}, False),
        ({"resize": None}, False),
    ],
)
def test_only_what_no_converter_knows_is_refused(options, is_refused):
    model = with_layer(**options)
    check_resizing(model, ("saved_model",))
    if not is_refused:
        check_resizing(model, OTHERS)
        return
    with pytest.raises(ValueError, match="'bicubic', antialias="):
        check_resizing(model, OTHERS)
