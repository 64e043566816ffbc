"""Fixtures of every test."""

import os

# For this process and all that it starts. TensorFlow's own choice of oneDNN depends on the
# processor, and the trainer's commands turn it on: a test and its child would compute other bits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import pytest

from tests.backends import skip_without_16_bits


def pytest_configure(config):
    # Keras's tensors and variables do not know NumPy 2's argument yet.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    )


@pytest.fixture(autouse=True)
def keras_defaults():
    """Fixes Keras's seed, and restores the global settings that a test may change."""
    policy = keras.config.dtype_policy()
    data_format = keras.config.image_data_format()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(data_format)


@pytest.fixture(autouse=True)
def sixteen_bits_where_they_run(monkeypatch):
    """Skips the rest of a test that asks for a layer of 16 bits where there are no kernels."""
    if "ONEDNN_MAX_CPU_ISA" not in os.environ:
        return
    init = keras.DTypePolicy.__init__

    def checked_init(self, name=None):
        if "float16" in str(name):
            skip_without_16_bits()
        init(self, name)

    monkeypatch.setattr(keras.DTypePolicy, "__init__", checked_init)


@pytest.fixture
def rng():
    """A NumPy generator that begins alike in every test."""
    return np.random.default_rng(0)
