"""Every bad argument of a factory: refused at once, by name, with what is allowed."""

import keras
import numpy as np
import pytest

import keras_resnets

IMAGE = (224, 224, 3)
CASES = [
    # include_top
    ({"include_top": "yes"}, TypeError, ["`include_top`", "True or False", "'yes'"]),
    ({"include_top": 1}, TypeError, ["`include_top`", "include_top=1"]),
    # weights
    ({"weights": "imagenet21k"}, ValueError, ["`weights`", "imagenet", "'imagenet21k'"]),
    ({"weights": "gone.weights.h5"}, ValueError, ["`weights`", "exist", "'gone.weights.h5'"]),
    ({"weights": "net.npz"}, ValueError, ["`weights`", ".weights.h5", "'net.npz'"]),
    ({"weights": "net.h5"}, ValueError, ["`weights`", "exist", "'net.h5'"]),
    ({"weights": ""}, ValueError, ["`weights`", ".weights.h5", "''"]),
    ({"weights": 3}, TypeError, ["`weights`", "path", "weights=3"]),
    ({"weights": True}, TypeError, ["`weights`", "path", "True"]),
    # input_shape
    ({"input_shape": [224, 224, 3]}, TypeError, ["`input_shape`", "tuple", "[224, 224, 3]"]),
    ({"input_shape": 224}, TypeError, ["`input_shape`", "tuple", "224"]),
    ({"input_shape": (224, 224)}, ValueError, ["`input_shape`", "three", "(224, 224)"]),
    ({"input_shape": ()}, ValueError, ["`input_shape`", "three", "()"]),
    ({"input_shape": (None, *IMAGE)}, ValueError, ["`input_shape`", "three", "batch"]),
    ({"input_shape": (224, 224, None)}, ValueError, ["`input_shape`", "channels", "None"]),
    ({"input_shape": (224, 224, 0)}, ValueError, ["`input_shape`", "positive", "0"]),
    ({"input_shape": (-1, 224, 3)}, ValueError, ["`input_shape`", "positive", "-1"]),
    ({"input_shape": (224.0, 224, 3)}, TypeError, ["`input_shape`", "integer", "224.0"]),
    ({"input_shape": (True, 224, 3)}, TypeError, ["`input_shape`", "integer", "True"]),
    ({"input_shape": (31, 224, 3)}, ValueError, ["`input_shape`", "at least 32", "31"]),
    ({"input_shape": (3, 224, 224)}, ValueError, ["`input_shape`", "at least 32", "(3, 224, 224)"]),
    # pooling
    (
        {"pooling": "AVG", "include_top": False},
        ValueError,
        ["`pooling`", "None, 'avg', 'max'", "'AVG'"],
    ),
    ({"pooling": True, "include_top": False}, ValueError, ["`pooling`", "'avg'", "True"]),
    ({"pooling": "avg"}, ValueError, ["`pooling`", "include_top=False", "'avg'"]),
    # classes
    ({"classes": 0}, ValueError, ["`classes`", "positive", "0"]),
    ({"classes": 10.0}, TypeError, ["`classes`", "integer", "10.0"]),
    ({"classes": "10"}, TypeError, ["`classes`", "integer", "'10'"]),
    ({"classes": True}, TypeError, ["`classes`", "integer", "True"]),
    ({"classes": 10, "include_top": False}, ValueError, ["`classes`", "include_top=True", "10"]),
    # classifier_activation
    (
        {"classifier_activation": "sotfmax"},
        ValueError,
        ["`classifier_activation`", "'softmax'", "'sotfmax'"],
    ),
    (
        {"classifier_activation": np.array(["relu", "tanh"])},
        ValueError,
        ["`classifier_activation`", "'relu'"],
    ),
    ({"classifier_activation": 3}, (TypeError, ValueError), ["`classifier_activation`", "3"]),
    (
        {"classifier_activation": None, "include_top": False},
        ValueError,
        ["`classifier_activation`", "include_top=True", "None"],
    ),
    (
        {"classifier_activation": "sigmoid", "include_top": False},
        ValueError,
        ["`classifier_activation`", "include_top=True", "'sigmoid'"],
    ),
    # name
    ({"name": 18}, TypeError, ["`name`", "string", "18"]),
    ({"name": ""}, ValueError, ["`name`", "empty", "''"]),
    ({"name": "a/b"}, ValueError, ["`name`", "a/b"]),
    # A field of the spec; test_spec.py has them all.
    ({"shortcut": "D"}, ValueError, ["`shortcut`", "'A', 'B', 'C', None", "'D'"]),
]


def case_id(value):
    return ",".join(f"{k}={v!r}" for k, v in value.items()) if isinstance(value, dict) else None


@pytest.mark.parametrize(("arguments", "error", "words"), CASES, ids=case_id)
def test_resnet18(arguments, error, words):
    with pytest.raises(error) as caught:
        keras_resnets.ResNet18(**arguments)
    message = str(caught.value)
    assert "Received: " in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("shape", "input_shape", "error", "words"),
    [
        ((32, 32, 3), (32, 32, 1), ValueError, ["`input_shape`", "`input_tensor`", "(32, 32, 1)"]),
        ((32, 32, 3), [32, 32, 3], TypeError, ["`input_shape`", "tuple"]),
        ((32, 32), None, ValueError, ["`input_tensor`", "(None, 32, 32)"]),
        ((32, 32), (32, 32, 3), ValueError, ["`input_tensor`", "(None, 32, 32)"]),
        ((32, 32, None), None, ValueError, ["`input_tensor`", "channels"]),
        ((32, 16, 3), None, ValueError, ["`input_tensor", "at least 32", "16"]),
    ],
)
def test_input_tensor(shape, input_shape, error, words):
    with pytest.raises(error) as caught:
        keras_resnets.ResNet18(input_tensor=keras.Input(shape), input_shape=input_shape)
    for word in ["Received: ", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
def test_input_tensor_of_integers(dtype):
    with pytest.raises(ValueError, match=rf"`input_tensor` must hold floating.*dtype='{dtype}'"):
        keras_resnets.ResNet18(input_tensor=keras.Input((32, 32, 3), dtype=dtype))


@pytest.mark.parametrize("name", ["stem_conv", "stage1_block1"])
def test_input_tensor_from_a_layer_of_the_same_name(name):
    x = keras.layers.Conv2D(3, 1, name=name)(keras.Input((32, 32, 3)))
    x = keras.layers.Rescaling(2.0)(x)
    with pytest.raises(ValueError, match=rf"`input_tensor`.*Received: .* a layer '{name}'"):
        keras_resnets.ResNet18(input_tensor=x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((1, 32, 32, 3), "float32"),
        lambda: keras.ops.zeros((1, 32, 32, 3)),
        lambda: [keras.Input((32, 32, 3))],
        lambda: keras.layers.Rescaling(2.0),
        lambda: (32, 32, 3),
    ],
)
def test_no_input_tensor(make):
    with pytest.raises(TypeError, match=r"`input_tensor` must be a Keras tensor.*Received: "):
        keras_resnets.ResNet18(input_tensor=make())


@pytest.mark.parametrize(
    ("factory", "arguments", "name"),
    [
        (keras_resnets.ResNet18, {"depth": 18}, "depth"),
        (keras_resnets.ResNet18, {"block": "bottleneck"}, "block"),
        (keras_resnets.PlainNet18, {"shortcut": "A"}, "shortcut"),
        (keras_resnets.PlainNet20, {"zero_init_residual": True}, "zero_init_residual"),
    ],
)
def test_no_such_argument(factory, arguments, name):
    with pytest.raises(TypeError, match=name):
        factory(**arguments)
