"""The preprocessing that a model carries survives what models go through."""

import keras
import pytest

import keras_resnets
from keras_resnets import Preprocessing, model_preprocessing, set_preprocessing
from keras_resnets.preprocessing.model import fit_preprocessing, image_size

CARRIED = Preprocessing(
    resize=40, crop=(32, 24), antialias=False, mean=(1, 2, 3), channel_order="bgr"
)


@pytest.fixture
def bare():
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1, 1), widths=(4, 6), stem="cifar")
    return keras_resnets.build_model(spec, classes=3, input_shape=(32, 24, 3))


@pytest.fixture
def model(bare):
    set_preprocessing(bare, CARRIED)
    return bare


CHANGES = {
    "itself": lambda model: model,
    "cloned": keras.models.clone_model,
    "twin": keras_resnets.plain_twin,
    "features": keras_resnets.feature_extractor,
    "built upon": lambda model: keras.Model(
        model.input, keras.layers.Dense(2)(model.get_layer("avg_pool").output)
    ),
    "nested": lambda model: keras.Sequential(
        [keras.Input((32, 24, 3)), model, keras.layers.Dense(2)]
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_survives(model, tmp_path, change):
    changed = change(model)
    assert model_preprocessing(changed) == CARRIED
    changed.save(tmp_path / "model.keras")
    assert model_preprocessing(keras.models.load_model(tmp_path / "model.keras")) == CARRIED


def test_a_new_model_says_nothing_and_what_is_said_can_be_taken_back(bare):
    assert model_preprocessing(bare) is None
    set_preprocessing(bare, CARRIED)
    set_preprocessing(bare, None)
    assert model_preprocessing(bare) is None


def test_errors(bare):
    with pytest.raises(TypeError, match="None or a Preprocessing"):
        set_preprocessing(bare, {"crop": 3})
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        model_preprocessing("resnet50")
    with pytest.raises(ValueError, match="'stem_conv'"):
        model_preprocessing(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match="`preprocessing` must be None or a dictionary"):
        keras_resnets.layers.ConvNorm(3, 3, preprocessing=CARRIED)


@pytest.mark.parametrize(
    "preprocessing",
    [Preprocessing.imagenet(), Preprocessing(resize=40, crop=32), Preprocessing(resize=(24, 32))],
)
def test_one_that_makes_another_size_is_refused_at_once(model, preprocessing):
    with pytest.raises(ValueError, match=r"32×24 for .* makes them (224×224|32×32|24×32)$"):
        set_preprocessing(model, preprocessing)
    assert model_preprocessing(model) == CARRIED


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(mean=0.5),
        Preprocessing(resize=40),
        Preprocessing(resize=(32, 24)),
        Preprocessing(resize=99, crop=(32, 24)),
    ],
)
def test_one_that_makes_the_model_s_size_or_depends_on_the_image_is_not(bare, preprocessing):
    set_preprocessing(bare, preprocessing)
    assert model_preprocessing(bare) == preprocessing


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
