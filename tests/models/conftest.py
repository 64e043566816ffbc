"""Fixtures of the models' tests."""

import keras
import pytest


@pytest.fixture
def without_values():
    """Models are built, in a tenth of the time, with weights that have shapes but no values."""
    with keras.StatelessScope(initialize_variables=False):
        yield
