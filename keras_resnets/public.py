"""The public names, which `import keras_resnets` gives."""

from typing import TYPE_CHECKING

import keras_resnets.analysis as analysis
import keras_resnets.layers as layers
import keras_resnets.models
import keras_resnets.preprocessing
from keras_resnets.export.export_model import export_model as export_model
from keras_resnets.models import *  # noqa: F403
from keras_resnets.preprocessing import *  # noqa: F403
from keras_resnets.weights import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers export what stands above, but cannot join lists
    __all__ = [
        "analysis",
        "export_model",
        "layers",
        *keras_resnets.models.__all__,
        *keras_resnets.preprocessing.__all__,
        *keras_resnets.weights.__all__,
    ]
