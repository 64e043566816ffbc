"""Weights of other libraries, in and out."""

from keras_resnets.weights.convert import ConversionReport, convert_weights
from keras_resnets.weights.presets import PRESETS
from keras_resnets.weights.torch_export import to_torch_state_dict

__all__ = ["PRESETS", "ConversionReport", "convert_weights", "to_torch_state_dict"]
