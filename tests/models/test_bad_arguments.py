"""Every bad argument of a factory: refused at once, by name, with what is allowed."""

import re

import keras
import numpy as np
import pytest

import keras_resnets

# What the message must say, and the values that break the rule.
RULES = {
    "include_top": [("True or False", "yes", 1)],
    "weights": [
        ("preset|imagenet", "imagenet21k"),
        ("There is no such file", "gone.weights.h5", "net.h5", "net.npz", "weights.h5.txt"),
        (r"The folder has no model\.keras", ""),
        ("path", 3, True, b"net.h5", ["net.keras"]),
    ],
    "input_shape": [
        ("tuple of three", [224, 224, 3], 224, (224, 224), (), (None, 224, 224, 3)),
        ("channels", (224, 224, None)),
        ("positive integers", (224, 224, 0), (-1, 224, 3), (224.0, 224, 3), (True, 224, 3)),
        ("at least 32", (31, 224, 3), (3, 224, 224)),
    ],
    "pooling": [("None, 'avg', 'max'", "AVG", True), ("include_top=False", "avg")],
    "classes": [("positive integer", 0, 10.0, "10", True)],
    "classifier_activation": [
        ("Did you mean 'softmax'", "sotfmax"),
        ("function", np.array(["relu", "tanh"]), 3),
    ],
    "name": [("string", 18), ("empty", "", "a/b")],
    "shortcut": [("'A', 'B', 'C', 'D', None", "E")],  # test_spec.py has all fields of the spec
}
WITHOUT_TOP = {
    "pooling": [("None, 'avg', 'max'", "AVG")],
    # Not even the default's number, which `keras.applications` ignores.
    "classes": [("belongs to include_top=True", 10, 1000)],
    "classifier_activation": [("belongs to include_top=True", None, "sigmoid")],
}


@pytest.mark.parametrize(
    ("name", "value", "include_top", "rule"),
    [
        pytest.param(name, value, include_top, rule, id=f"{name}={value!r}-{include_top}")
        for rules, include_top in ((RULES, True), (WITHOUT_TOP, False))
        for name, broken in rules.items()
        for rule, *values in broken
        for value in values
    ],
)
def test_resnet18(name, value, include_top, rule):
    with pytest.raises((ValueError, TypeError)) as caught:
        keras_resnets.ResNet18(**{"include_top": include_top, name: value})
    message = str(caught.value)
    assert f"`{name}`" in message
    assert re.search(rule, message), message
    assert re.search(rf"Received: .*{re.escape(repr(value))}", message), message


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


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("num_classes", "classes"),
        ("pretrained", "weights"),
        ("in_chans", "input_shape"),
        ("global_pool", "pooling"),
        ("Classes", "classes"),
        ("zeropad", "zero_pad"),
    ],
)
def test_an_argument_of_another_library_or_mistyped_is_answered_with_ours(theirs, ours):
    with pytest.raises(TypeError) as raised:
        keras_resnets.ResNet20(**{theirs: 2})
    start = f"ResNet20() has no argument {theirs!r}. Did you mean {ours!r}"
    assert str(raised.value).startswith(start)
    assert "weights, input_tensor" in str(raised.value)


def test_an_argument_that_is_given_twice_is_named():
    with pytest.raises(TypeError, match=r"ResNet20\(\) got multiple values .*'include_top'"):
        keras_resnets.ResNet20(True, include_top=True)
