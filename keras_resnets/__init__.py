"""Residual networks and their plain twins for Keras 3."""

__version__ = "0.1.0"

from keras_resnets.command_start import imports_of_the_command

# Beside another backend, TensorFlow is imported by Keras while our first spec is made.
with imports_of_the_command():
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("tensorflow", "jax", "jaxlib", "torch", "openvino"):
            raise
        raise ModuleNotFoundError(
            "keras_resnets needs a backend for Keras, and the one it would use, "
            f"{error.name!r}, is not installed. Install TensorFlow with `pip install "
            "tensorflow-cpu` or `pip install 'tensorflow[and-cuda]'`; or install JAX or PyTorch "
            "and set the environment variable KERAS_BACKEND to 'jax' or 'torch'.",
            name=error.name,
        ) from error

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
