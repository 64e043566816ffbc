"""The preprocessing of torchvision's published weights, and its names of classes."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import Preprocessing
from keras_resnets.preprocessing.predictions import imagenet_classes
from tests.subprocesses import ROOT
from tests.weights.peers import import_torchvision

PHOTOS = sorted((ROOT.parent / "shared" / "data" / "photos").glob("*.JPEG"))
pytestmark = pytest.mark.peers


@pytest.mark.skipif(not PHOTOS, reason="the photographs are not here")
def test_photographs_come_out_as_from_torchvision_s_transform():
    weights = import_torchvision().models.ResNet50_Weights.IMAGENET1K_V1
    transform, layer = weights.transforms(), Preprocessing.imagenet().as_layer()
    for path in PHOTOS[::10]:
        with Image.open(path) as file:
            image = file.convert("RGB")
        expected = transform(image).permute(1, 2, 0).numpy()
        ours = keras.ops.convert_to_numpy(layer(np.asarray(image)[None]))[0]
        grey_levels = np.abs(ours - expected) * np.array([0.229, 0.224, 0.225]) * 255
        assert grey_levels.mean() < 0.3
        assert grey_levels.max() < 2


def test_the_classes_are_torchvision_s_in_its_order():
    names = import_torchvision().models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    ours = [name for _, name in imagenet_classes()]
    differing = {a: b for a, b in zip(names, ours, strict=True) if a != b}
    assert differing == {
        "crane bird": "crane (bird)",
        "crane": "crane (machine)",
        "maillot tank suit": "tank suit",
    }
