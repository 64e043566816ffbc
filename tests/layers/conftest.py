"""Fixtures of the layers' tests."""

import pytest

from tests.backends import BACKEND


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    """JAX compiles thousands of tiny operations here: spares it the optimizations."""
    if BACKEND != "jax":
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
