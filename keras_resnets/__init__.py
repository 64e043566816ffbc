"""Residual networks and their plain twins for Keras 3."""

__version__ = "0.1.0"

from keras_resnets.command_start import imports_of_the_command, is_command

with imports_of_the_command():
    # The command answers `--help`, and what was mistyped, before it imports a backend.
    if not is_command():
        from keras_resnets import analysis, layers, models, preprocessing
        from keras_resnets.export import export_model
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
