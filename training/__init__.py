"""The trainer: TensorFlow, run from a checkout as `python -m training`."""
