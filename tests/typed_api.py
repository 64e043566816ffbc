"""What type checkers, and editors with them, see of the package: `mypy` checks this file.

An ignored error that mypy does not find is an error itself (`warn_unused_ignores`).
"""

from typing import assert_type

import keras_resnets
from keras_resnets.models.factories import PlainNetFactory, ResNetFactory

assert_type(keras_resnets.ResNet34, ResNetFactory)
assert_type(keras_resnets.PlainNet34, PlainNetFactory)
assert_type(keras_resnets.SEResNeXt50_32x4d, ResNetFactory)
assert_type(keras_resnets.list_models("*", family="wide"), list[str])
assert_type(keras_resnets.layers.BasicBlock(64), keras_resnets.layers.BasicBlock)
assert_type(keras_resnets.Preprocessing(resize=36), keras_resnets.Preprocessing)
keras_resnets.ResNet34(include_top=False, pooling="avg", shortcut="A", name=None)

keras_resnets.ResNet34(shortkut="A")  # type: ignore[call-arg]
keras_resnets.ResNet34(shortcut="E")  # type: ignore[arg-type]
keras_resnets.ResNet34(weights=None, shortcut=None)  # type: ignore[arg-type]
keras_resnets.PlainNet34(shortcut="A")  # type: ignore[call-arg]
keras_resnets.Preprocessing(rezise=36)  # type: ignore[call-arg]
keras_resnets.classify()  # type: ignore[call-arg]
keras_resnets.ResNet35()  # type: ignore[attr-defined]
keras_resnets.analysis.sumarize(None)  # type: ignore[attr-defined]
