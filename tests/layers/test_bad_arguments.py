"""Every bad argument is refused at once, by an error that names it, what came, and what may."""

import json
import math
import re

import keras
import numpy as np
import pytest

from keras_resnets.layers import (
    AveragePooling2D,
    BasicBlock,
    BatchNormalization,
    BlurPooling2D,
    BottleneckBlock,
    ConvNorm,
    IdentityShortcut,
    OrderedBlock,
    ProjectionShortcut,
    SqueezeExcitation,
    StackedBlock,
    SymmetricMaxPooling2D,
    UnnormalizedBlock,
)

NAN = float("nan")

# Rule: what the message must say, and the values that break it.
INTEGER = (
    "positive integer",
    [
        *(0, -1, 1.5, 3.0, True, "3", None, NAN, [], (1, 2, 3), {}, b"3", 2j),
        *(np.float32(2), np.array([1, 2]), np.int64(0), np.bool_(True)),
    ],
)
OPTIONAL_INTEGER = "positive integer", [value for value in INTEGER[1] if value is not None]
PAIR = "positive integer", [*INTEGER[1], (0, 1), (1, -1), (1, 1.5), (1, True), (1,), (1, None)]
BOOLEAN = "True or False", [0, 1, None, "True", "no", [], NAN, 1.0]
RATE = r"\[0, 1\)", [-0.1, 1.0, 1, 2, -1, True, "0.5", None, NAN, math.inf, [], (0.1, 0.2), 0.1j]
RATIO = r"\(0, 1\]", [0, 0.0, -0.5, 1.5, True, "0.5", NAN, math.inf, [], (0.5,), 0.5j]
PRE_ACTIVATION = "True, False or 'both'", [0, 1, None, "Both", "True", [], ("both",), NAN, 1.0]
ANTI_ALIAS = "'blur', 'average', None", ["Blur", "avg", "", 0, True, False, [], ("blur",)]
SHORTCUT = (
    "'A', 'B', 'C', 'D', None",
    [
        *("a", "b", "E", "", "AB", 0, 1, True, False, NAN, [], ["A"], ("A", "B"), {}, b"A"),
        np.array(["A", "B"]),
    ],
)
ZERO_PAD = "'end', 'both'", ["End", "BOTH", "start", None, "", 0, True, [], ("end", "both")]
STRIDE_ON = "'3x3', '1x1'", ["3X3", "3×3", "3", 3, (3, 3), None, True, "", []]
DATA_FORMAT = (
    "'channels_last', 'channels_first'",
    [
        *("CHANNELS_LAST", "channels_middle", "NHWC", "", 1, True, False, []),
        np.array(["channels_last", "channels_first"]),
    ],
)
ACTIVATION = "function", ["Relu", "rellu", "", 3, 1.5, True, [], ("relu",), keras.layers.ReLU]
INITIALIZER = "initializer", ["Onez", "", 3, 1.5, True, None, [], ("ones",)]
MOMENTUM = r"\[0, 1\]", [-0.1, 1.1, 2, True, "0.9", None, NAN, math.inf, [], (0.9,)]
EPSILON = "positive", [0, -1e-5, True, "1e-5", None, NAN, math.inf, [], (1e-5,)]
AXIS = "integer", [1.5, True, "1", None, NAN, [], (1,), [1, 2]]

RULES = {
    "axis": AXIS,
    "momentum": MOMENTUM,
    "epsilon": EPSILON,
    "filters": INTEGER,
    "pool_size": INTEGER,
    "strides": INTEGER,
    "dilation": INTEGER,
    "first_dilation": OPTIONAL_INTEGER,
    "groups": INTEGER,
    "width_per_group": INTEGER,
    "pre_activation": PRE_ACTIVATION,
    "anti_alias": ANTI_ALIAS,
    "ratio": RATIO,
    "se_ratio": RATIO,
    "dropout_rate": RATE,
    "shortcut": SHORTCUT,
    "activation": ACTIVATION,
    "drop_path_rate": RATE,
    "zero_pad": ZERO_PAD,
    "stride_on": STRIDE_ON,
    "gamma_initializer": INITIALIZER,
    "data_format": DATA_FORMAT,
    **dict.fromkeys(("center", "scale", "synchronized", "zero_init_residual"), BOOLEAN),
    **dict.fromkeys(("normalize", "folded", "use_bias", "pads_zeros"), BOOLEAN),
}
PAIRS = dict.fromkeys(("kernel_size", "strides", "dilation"), PAIR)
OF_A_BLOCK = ("filters", "strides", "shortcut", "activation", "dilation", "zero_init_residual")
OF_A_BLOCK += ("drop_path_rate", "zero_pad", "first_dilation", "data_format", "folded")
OF_A_BLOCK += ("pre_activation", "anti_alias", "se_ratio", "dropout_rate")
OF_CONV_NORM = ("normalize", "folded", "use_bias")
# What each layer needs, and the arguments that it checks.
LAYERS = {
    BatchNormalization: ({}, ("axis", "momentum", "epsilon", "center", "scale", "synchronized")),
    ConvNorm: (
        {"filters": 4, "kernel_size": 3},
        (*PAIRS, "filters", "gamma_initializer", "data_format", "groups", *OF_CONV_NORM),
    ),
    AveragePooling2D: ({}, ("pool_size", "strides", "dilation", "data_format")),
    BlurPooling2D: ({}, ("strides", "dilation", "data_format")),
    SqueezeExcitation: ({}, ("ratio", "data_format")),
    SymmetricMaxPooling2D: ({}, ("pool_size", "strides", "data_format", "pads_zeros")),
    IdentityShortcut: ({"filters": 4}, ("filters", "strides", "zero_pad", "data_format")),
    ProjectionShortcut: (
        {"filters": 4},
        ("filters", "strides", "data_format", "pool_size", "dilation", "normalize", "folded"),
    ),
    BasicBlock: ({"filters": 4}, OF_A_BLOCK),
    BottleneckBlock: ({"filters": 4}, ("stride_on", "groups", "width_per_group")),
}
# Where None stands for another argument's value.
NONE_ALLOWED = [(AveragePooling2D, "strides")]
CASES = [
    pytest.param(cls, name, value, id=f"{cls.__name__}-{name}-{value!r}")
    for cls, (_, names) in LAYERS.items()
    for name in names
    for value in (PAIRS if cls is ConvNorm and name in PAIRS else RULES)[name][1]
    if value is not None or (cls, name) not in NONE_ALLOWED
]


@pytest.mark.parametrize(("cls", "name", "value"), CASES)
def test_bad_argument(cls, name, value):
    allowed, _ = (PAIRS if cls is ConvNorm and name in PAIRS else RULES)[name]
    required, _ = LAYERS[cls]
    with pytest.raises((ValueError, TypeError)) as raised:
        cls(**required | {name: value})
    message = str(raised.value)
    assert f"`{name}`" in message
    assert re.search(allowed, message), message
    assert re.search(f"Received: .*{name}=", message), message


@pytest.mark.parametrize(
    ("cls", "arguments", "named"),
    [
        (
            ConvNorm,
            {"filters": 4, "kernel_size": 3, "strides": (1, 2), "dilation": (2, 1)},
            r"strides=\(1, 2\), dilation=\(2, 1\)",
        ),
        (SymmetricMaxPooling2D, {"pool_size": 2}, "odd.* pool_size=2"),
        (BasicBlock, {"filters": 4, "strides": 2, "dilation": 2}, "strides=2, dilation=2"),
        (BasicBlock, {"filters": 4, "strides": 2, "first_dilation": 2}, "first_dilation=2"),
        (
            BottleneckBlock,
            {"filters": 4, "dilation": 2, "first_dilation": 1, "stride_on": "1x1"},
            "first_dilation=1, dilation=2, stride_on='1x1'",
        ),
        (BasicBlock, {"filters": 4, "zero_pad": "both"}, "zero_pad='both', shortcut='B'"),
        (
            BasicBlock,
            {"filters": 4, "shortcut": None, "zero_init_residual": True},
            "zero_init_residual=True, shortcut=None",
        ),
        (
            BasicBlock,
            {"filters": 4, "shortcut": None, "drop_path_rate": 0.1},
            "drop_path_rate=0.1, shortcut=None",
        ),
        (
            BasicBlock,
            {"filters": 4, "pre_activation": "both", "shortcut": None},
            "pre_activation='both', shortcut=None",
        ),
        (
            BasicBlock,
            {"filters": 4, "pre_activation": True, "zero_init_residual": True},
            "zero_init_residual=True, pre_activation=True",
        ),
        (
            StackedBlock,
            {"filters": 4, "depth": 1, "dropout_rate": 0.1},
            "dropout_rate=0.1, depth=1",
        ),
        (
            StackedBlock,
            {"filters": 4, "depth": 1, "folded": True, "pre_activation": True},
            "folded=True, depth=1, pre_activation=True",
        ),
        *(
            (cls, {"filters": 4, name: value}, f"{name}={value!r}")
            for cls in (OrderedBlock, UnnormalizedBlock)
            for name, value in (
                *(("pre_activation", True), ("anti_alias", "blur"), ("dropout_rate", 0.1)),
            )
        ),
        (BottleneckBlock, {"filters": 4, "width_per_group": 8}, "width_per_group=8, filters=4"),
        (ConvNorm, {"filters": 4, "kernel_size": 3, "groups": 3}, "groups=3, filters=4"),
        (ConvNorm, {"filters": 4, "kernel_size": 3, "use_bias": True}, "use_bias=True, normalize="),
        (
            ConvNorm,
            {"filters": 4, "kernel_size": 3, "normalize": False, "folded": True},
            "folded=True, normalize=False",
        ),
        (
            ConvNorm,
            {"filters": 4, "kernel_size": 3, "normalize": False, "gamma_initializer": "zeros"},
            "gamma_initializer='zeros', normalize=False",
        ),
        (AveragePooling2D, {"pool_size": 1, "dilation": 2}, "dilation=2, pool_size=1"),
        (ProjectionShortcut, {"filters": 4, "dilation": 2}, "dilation=2, pool_size=1"),
    ],
)
def test_arguments_that_contradict_each_other(cls, arguments, named):
    with pytest.raises(ValueError, match=rf"Received: .*{named}|{named}"):
        cls(**arguments)


def test_groups_that_do_not_divide_the_channels():
    with pytest.raises(ValueError, match=r"`groups` must divide the channels.*groups=4"):
        ConvNorm(8, 3, groups=4).build((None, 5, 6, 6))


@pytest.mark.parametrize("axis", [4, -5])
def test_axis_that_the_input_does_not_have(axis):
    with pytest.raises(ValueError, match=f"(?i)axis.*{axis}"):
        BatchNormalization(axis=axis).build((None, 5, 6, 3))


@pytest.mark.parametrize(
    ("activation", "error", "message"),
    [
        ("Relu", ValueError, "Did you mean 'relu'"),
        (keras.layers.PReLU(), TypeError, "`activation` must be a function without weights"),
    ],
)
def test_an_activation_is_a_function(activation, error, message):
    with pytest.raises(error, match=message):
        BasicBlock(4, activation=activation)


@pytest.mark.parametrize("integer", [np.int64, np.uint8])
def test_numpy_integers_are_integers(integer):
    two = integer(2)
    layers = [
        ConvNorm(two, (two, two), strides=two),
        ConvNorm(two, two, dilation=[two, two]),
        SymmetricMaxPooling2D(integer(3), two),
        IdentityShortcut(two, two),
        ProjectionShortcut(two, two),
        BasicBlock(two, two),
        BottleneckBlock(two, dilation=two, first_dilation=two),
    ]
    for layer in layers:
        json.dumps(keras.saving.serialize_keras_object(layer))
        assert isinstance(layer.compute_output_shape((None, 8, 8, 2))[1], int)


@pytest.mark.parametrize("rate", [0, np.float64(0.5), np.float32(0.5)])
def test_numpy_rates_are_rates(rate):
    block = BasicBlock(4, drop_path_rate=rate)
    assert block.drop_path_rate == rate
    json.dumps(keras.saving.serialize_keras_object(block))
