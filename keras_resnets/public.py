"""The public names, which `import keras_resnets` gives."""

import keras_resnets.analysis as analysis
import keras_resnets.layers as layers
import keras_resnets.models as models
import keras_resnets.preprocessing as preprocessing
from keras_resnets.export.export_model import export_model
from keras_resnets.models import *  # noqa: F403
from keras_resnets.preprocessing import *  # noqa: F403
from keras_resnets.weights import PRESETS, convert_weights, to_torch_state_dict

__all__ = [
    "PRESETS",
    "analysis",
    "convert_weights",
    "export_model",
    "layers",
    "to_torch_state_dict",
    *models.__all__,
    *preprocessing.__all__,
]
