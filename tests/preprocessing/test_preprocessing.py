"""The fields of a preprocessing: what they may be, and that they survive JSON."""

import dataclasses
import json

import pytest

from keras_resnets import Preprocessing


def test_the_named_ones_have_the_published_numbers():
    torch = Preprocessing.imagenet()
    assert (torch.resize, torch.crop, torch.interpolation) == (256, 224, "bilinear")
    assert (torch.mean, torch.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    caffe = Preprocessing.imagenet_caffe()
    assert (caffe.mean, caffe.std) == ((103.939, 116.779, 123.68), (1.0,))
    assert (caffe.channel_order, caffe.value_range) == ("bgr", (0.0, 255.0))


def test_it_is_frozen_compares_by_value_and_goes_through_json():
    preprocessing = Preprocessing(resize=(40, 30), crop=[20, 30], mean=1, std=[2, 3, 4])
    assert preprocessing.crop == (20, 30)
    assert preprocessing.mean == (1.0,)
    read = Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict())))
    assert read == preprocessing
    assert hash(read) == hash(preprocessing)
    with pytest.raises(dataclasses.FrozenInstanceError):
        preprocessing.crop = 3


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"resize": 0}, ValueError, "`resize` must be a positive integer"),
        ({"resize": "256"}, TypeError, "`resize`"),
        ({"crop": (1, 2, 3)}, ValueError, "`crop`"),
        ({"resize": 200, "crop": 224}, ValueError, "must fit.*resize=200, crop=224"),
        ({"resize": (300, 200), "crop": (200, 224)}, ValueError, "must fit"),
        ({"interpolation": "lanczos"}, ValueError, "`interpolation`"),
        ({"antialias": 1}, TypeError, "`antialias`"),
        ({"value_range": (1, 0)}, ValueError, "lower number first"),
        ({"value_range": (0, 1, 2)}, ValueError, "must be a pair"),
        ({"mean": "0.5"}, TypeError, "`mean`"),
        ({"mean": (True,)}, TypeError, "`mean`"),
        ({"mean": (float("nan"),)}, ValueError, "`mean` must be finite"),
        ({"std": (1, 0, 1)}, ValueError, "`std` must be positive"),
        ({"mean": (1, 2, 3), "std": (1, 2)}, ValueError, "one number a channel"),
        ({"channel_order": "RGB"}, ValueError, "`channel_order`"),
    ],
)
def test_wrong_fields_are_named(fields, error, message):
    with pytest.raises(error, match=message):
        Preprocessing(**fields)


def test_an_unknown_field_of_a_dictionary_is_named():
    with pytest.raises(ValueError, match="Received: 'size'"):
        Preprocessing.from_dict({"size": 224})
    with pytest.raises(TypeError, match=r"`values` must be a dictionary.*values=3"):
        Preprocessing.from_dict(3)
