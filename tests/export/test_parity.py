"""How far an exported file may be from its model."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_resnets.export.parity import Parity, ParityError


@pytest.mark.parametrize(
    ("precision", "passes", "fails"),
    [
        ("float64", 0.9e-5, 1.1e-5),
        ("float32", 0.9e-5, 1.1e-5),
        # Ten steps of the type at 1: 10 · 2⁻¹⁰ and 10 · 2⁻⁷.
        ("float16", 0.008, 0.012),
        ("bfloat16", 0.07, 0.09),
    ],
)
def test_16_bits_may_differ_by_what_their_mantissa_rounds(precision, passes, fails):
    inputs = np.linspace(0, 1, 64).reshape(32, 2)
    served = SimpleNamespace(precision=precision, tensor=lambda batch: {"outputs": batch})
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: inputs))

    def off_by(error):
        return {"tensor": lambda batch: {"outputs": batch + error}}

    assert parity.check("onnx", off_by(passes)) == pytest.approx(passes)
    with pytest.raises(ParityError, match=f"a difference of {fails:.2g}"):
        parity.check("onnx", off_by(fails))


def test_what_a_signature_calls_scores_must_be_probabilities():
    inputs = np.linspace(-1, 2, 64).reshape(32, 2)
    served = SimpleNamespace(
        precision="float32",
        image=lambda batch: {"scores": batch},
        model=SimpleNamespace(name="changed"),
    )
    parity = Parity(served, SimpleNamespace(inputs=lambda signature: inputs))
    with pytest.raises(ValueError, match=r"let a softmax follow.*'changed', .* from -1 to 2$"):
        parity.check("saved_model", {"image": lambda batch: {"scores": batch}})
