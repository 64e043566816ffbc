"""A marker for tests whose outcome no backend can change: they run on TensorFlow only."""

import pytest

from tests.backends import BACKEND

once = pytest.mark.skipif(BACKEND != "tensorflow", reason="the same on every backend")
