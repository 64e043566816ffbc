"""The feature maps of the stages."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import feature_extractor, feature_strides
from tests.layer_checks import numpy
from tests.models.networks import SPECS, TINY, images


@pytest.mark.usefixtures("without_values")
@pytest.mark.parametrize(
    ("options", "strides", "channels"),
    [
        ({"block": "basic"}, (4, 8, 16, 32), (4, 6, 8, 10)),
        ({"block": "basic", "stem": "cifar", "shortcut": None}, (1, 2, 4, 8), (4, 6, 8, 10)),
        ({"block": "bottleneck", "output_stride": 16}, (4, 8, 16, 16), (16, 24, 32, 40)),
        ({"block": "basic", "output_stride": 8}, (4, 8, 8, 8), (4, 6, 8, 10)),
        ({"block": "basic", "stem": "deep", "stem_width": 6}, (4, 8, 16, 32), (4, 6, 8, 10)),
        (
            {"block": "bottleneck", "stem": "deep_strided", "pre_activation": True}
            | {"anti_alias": "blur", "shortcut": "D", "output_stride": 16},
            *((4, 8, 16, 16), (16, 24, 32, 40)),
        ),
    ],
)
def test_strides_and_shapes(options, strides, channels):
    spec = keras_resnets.ResNetSpec(repeats=(1, 2, 1, 1), widths=(4, 6, 8, 10), **options)
    model = keras_resnets.build_model(spec, include_top=False, input_shape=(64, 96, 3))
    extractor = feature_extractor(model)
    names = ["stage1", "stage2", "stage3", "stage4"]
    assert feature_strides(model) == dict(zip(names, strides, strict=True))
    assert feature_strides(extractor) == feature_strides(model)
    assert {name: tuple(output.shape[1:]) for name, output in extractor.output.items()} == {
        name: (64 // stride, 96 // stride, filters)
        for name, stride, filters in zip(names, strides, channels, strict=True)
    }


@pytest.mark.parametrize("pre_activation", [False, True])
def test_the_last_feature_map_is_the_model_s_own_and_the_weights_are_shared(pre_activation):
    spec = dataclasses.replace(TINY, pre_activation=pre_activation)
    model = keras_resnets.build_model(spec, include_top=False)
    extractor = feature_extractor(model)
    x = images(2, 16, 16, 3)
    kernel = model.get_layer("stem_conv").conv.kernel
    for _ in range(2):
        np.testing.assert_allclose(numpy(extractor(x)["stage2"]), numpy(model(x)), rtol=1e-6)
        kernel.assign(kernel * 2.0)
    assert extractor.count_params() == model.count_params()


def test_layers_before_the_network_stay():
    scaled = keras.layers.Rescaling(1 / 255)(keras.Input((16, 16, 3)))
    extractor = feature_extractor(keras_resnets.build_model(TINY, input_tensor=scaled))
    bare = feature_extractor(keras_resnets.build_model(TINY, include_top=False))
    bare.set_weights(extractor.get_weights())
    x = images(1, 16, 16, 3)
    expected = numpy(bare(x)["stage2"])
    np.testing.assert_allclose(numpy(extractor(255 * x)["stage2"]), expected, atol=1e-4)


def test_strides_outlast_saving_and_cloning(tmp_path):
    model = keras_resnets.build_model(SPECS["v1"], include_top=False)
    extractor = feature_extractor(model)
    extractor.save(tmp_path / "features.keras")
    expected = {"stage1": 4, "stage2": 4}
    for again in (
        keras.saving.load_model(tmp_path / "features.keras"),
        keras.models.clone_model(extractor),
    ):
        assert feature_strides(again) == expected
        assert set(again.output) == set(expected)
