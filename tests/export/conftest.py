"""Fixtures of every export."""

import functools

import pytest

from keras_resnets.export import parity


@pytest.fixture(autouse=True)
def images_are_drawn_once(monkeypatch):
    """Drawing the images that files are compared on takes longer than most exports."""
    monkeypatch.setattr(parity, "random_images", RANDOM_IMAGES)


RANDOM_IMAGES = functools.cache(parity.random_images)
