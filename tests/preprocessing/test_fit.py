"""A preprocessing brought to the size of a model's images."""

import keras
import pytest

import keras_resnets
from keras_resnets import Preprocessing
from keras_resnets.preprocessing.model import fit_preprocessing, image_size


def network(size):
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    return keras_resnets.build_model(spec, include_top=False, input_shape=(*size, 3))


@pytest.mark.parametrize(
    ("given", "size", "expected"),
    [
        # torchvision's 256 and 224 are 8 to 7.
        ((256, 224), (112, 112), (128, (112, 112))),
        ((256, 224), (56, 112), (128, (56, 112))),
        (((64, 48), (32, 24)), (64, 48), ((128, 96), (64, 48))),
        (((64, 48), None), (32, 12), ((32, 12), None)),
        ((None, 32), (16, 16), (None, (16, 16))),
    ],
)
def test_the_resized_image_stays_in_proportion_to_the_crop(given, size, expected):
    resize, crop = given
    fitted = fit_preprocessing(Preprocessing(resize=resize, crop=crop, mean=0.5), network(size))
    assert fitted == Preprocessing(resize=expected[0], crop=expected[1], mean=0.5)


@pytest.mark.parametrize("given", [(None, None), (40, None), (256, 224)])
def test_a_model_of_any_size_takes_it_as_it_is(given):
    preprocessing = Preprocessing(resize=given[0], crop=given[1])
    assert fit_preprocessing(preprocessing, network((None, 8))) is preprocessing


def test_a_model_of_two_inputs_has_no_one_size():
    inputs = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    assert image_size(keras.Model(inputs, keras.layers.Add()(inputs))) is None
