"""Input preprocessing, and class names and scores of predictions."""

from keras_resnets.preprocessing.classify import classify, preprocess_input
from keras_resnets.preprocessing.model import (
    model_class_names,
    model_preprocessing,
    set_class_names,
    set_preprocessing,
)
from keras_resnets.preprocessing.predictions import Prediction, decode_predictions
from keras_resnets.preprocessing.preprocessing import Preprocessing

__all__ = [
    "Prediction",
    "Preprocessing",
    "classify",
    "decode_predictions",
    "model_class_names",
    "model_preprocessing",
    "preprocess_input",
    "set_class_names",
    "set_preprocessing",
]
