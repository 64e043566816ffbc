"""The feature maps of the stages."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import feature_extractor, feature_strides
from tests.layer_checks import numpy


@pytest.mark.parametrize(
    ("build", "strides", "channels"),
    [
        (keras_resnets.ResNet18, (4, 8, 16, 32), (64, 128, 256, 512)),
        (keras_resnets.ResNet50, (4, 8, 16, 32), (256, 512, 1024, 2048)),
        (keras_resnets.PlainNet20, (1, 2, 4), (16, 32, 64)),
        (
            lambda **arguments: keras_resnets.ResNet50(output_stride=16, **arguments),
            (4, 8, 16, 16),
            (256, 512, 1024, 2048),
        ),
        (
            lambda **arguments: keras_resnets.ResNet18(output_stride=8, **arguments),
            (4, 8, 8, 8),
            (64, 128, 256, 512),
        ),
    ],
)
def test_strides_and_shapes(build, strides, channels):
    model = build(include_top=False, input_shape=(64, 96, 3))
    extractor = feature_extractor(model)
    names = [f"stage{number}" for number in range(1, len(strides) + 1)]
    assert feature_strides(model) == dict(zip(names, strides, strict=True))
    assert feature_strides(extractor) == feature_strides(model)
    assert {name: tuple(output.shape[1:]) for name, output in extractor.output.items()} == {
        name: (64 // stride, 96 // stride, filters)
        for name, stride, filters in zip(names, strides, channels, strict=True)
    }


def test_the_last_feature_map_is_the_model_s_own_and_the_weights_are_shared(rng):
    model = keras_resnets.ResNet20(include_top=False, input_shape=(16, 16, 3))
    extractor = feature_extractor(model)
    images = rng.normal(size=(2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(numpy(extractor(images)["stage3"]), numpy(model(images)), rtol=1e-6)
    kernel = model.get_layer("stem_conv").conv.kernel
    kernel.assign(kernel * 2.0)
    np.testing.assert_allclose(numpy(extractor(images)["stage3"]), numpy(model(images)), rtol=1e-6)
    assert extractor.count_params() == model.count_params()


def test_any_size_goes_in(rng):
    extractor = feature_extractor(keras_resnets.ResNet20(include_top=False))
    for height, width in ((8, 8), (9, 13)):
        features = extractor(rng.normal(size=(1, height, width, 3)).astype("float32"))
        assert features["stage3"].shape == (1, -(-height // 4), -(-width // 4), 64)


def test_layers_before_the_network_stay(rng):
    pixels = keras.Input((16, 16, 3))
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    extractor = feature_extractor(keras_resnets.ResNet20(input_tensor=scaled))
    images = rng.uniform(0, 255, size=(1, 16, 16, 3)).astype("float32")
    bare = keras_resnets.ResNet20(input_shape=(16, 16, 3))
    bare.set_weights(extractor.get_weights() + bare.get_layer("predictions").get_weights())
    expected = feature_extractor(bare)(images / 255)
    np.testing.assert_allclose(
        numpy(extractor(images)["stage2"]), numpy(expected["stage2"]), atol=1e-4
    )


def test_strides_outlast_saving_and_cloning(tmp_path):
    spec = keras_resnets.ResNetSpec(
        block="bottleneck", repeats=(1, 1, 1), widths=(4, 4, 4), output_stride=8
    )
    extractor = feature_extractor(keras_resnets.build_model(spec, include_top=False))
    extractor.save(tmp_path / "features.keras")
    expected = {"stage1": 4, "stage2": 8, "stage3": 8}
    for again in (
        keras.saving.load_model(tmp_path / "features.keras"),
        keras.models.clone_model(extractor),
    ):
        assert feature_strides(again) == expected
        assert set(again.output) == set(expected)


def test_another_package_s_model_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for read in (feature_extractor, feature_strides):
        with pytest.raises(ValueError, match="residual blocks named stage1_block1"):
            read(model)
        with pytest.raises(TypeError, match=r"`model` must be a keras\.Model"):
            read("resnet20")
