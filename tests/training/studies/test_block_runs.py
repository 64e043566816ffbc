"""Studies of what is in a block, and what harms on the digits too."""

import numpy as np
import pytest

from training.studies.reading import test_error as error_of

pytestmark = pytest.mark.soak


def means(outcome, read):
    return {label: np.mean(outcome.values(label, read)) for label in outcome.labels}


@pytest.mark.finding
@pytest.mark.parametrize(
    ("name", "worse", "better"),
    [
        # F is multiplied by σ(−6), 0.0025, at first.
        ("gates", "exclusive gate, bias −6", "identity"),
        ("block-depth", "sigmoid, 1 a block", "ReLU, 1 a block"),
    ],
)
def test_what_harms_on_the_digits_too(name, worse, better, conducted):
    errors = means(conducted(name), error_of)
    assert errors[worse] > errors[better]


@pytest.mark.parametrize(
    "name",
    [
        "dimensions",
        pytest.param("shortcuts", marks=pytest.mark.finding),
        pytest.param("order", marks=pytest.mark.finding),
        pytest.param("family", marks=pytest.mark.finding),
    ],
)
def test_the_others_run_to_their_page(name, conducted):
    conducted(name)
