"""Fixtures of the trainer's tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data():
    """The folder with CIFAR-10 and photographs; without it the test is skipped."""
    beside_checkout = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("KERAS_RESNETS_DATA", beside_checkout))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}; KERAS_RESNETS_DATA names another folder")
    return folder
