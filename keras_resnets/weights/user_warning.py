"""Warnings at the line that called this package."""

import sys
import types
import warnings


def warn_user(message):
    """Warns at the user's line, however many functions of this package are between.

    A factory comes to its weights by more of them than `convert_weights`.

    Args:
        message: What the user is told.
    """
    warnings.warn(message, stacklevel=_levels_in_package() + 1)


def _levels_in_package():
    """Returns how many callers, from this function's on, are this package's own."""
    levels = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("keras_resnets"):
        levels, frame = levels + 1, frame.f_back
    return levels
