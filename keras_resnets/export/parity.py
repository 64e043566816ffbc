"""Whether an exported file answers as the model does."""

import keras
import numpy as np

from keras_resnets.export.report import ExportError
from keras_resnets.preprocessing.scores import check_probabilities, ends_in_probabilities

BATCHES = (1, 2, 3, 7, 32)
# By what the model computes in. Of 16 bits, about ten steps of the type at 1, which are 2⁻¹⁰ and
# 2⁻⁷: folding rounds each kernel anew.
TOLERANCES = {"float64": 1e-5, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


class ParityError(ExportError):
    """An exported file does not answer as the model does, and has been removed."""


class Parity:
    """The model's own answers to the samples, to hold files against.

    Args:
        served: A `ServedModel` of the model as it was given.
        samples: The `Samples`.
    """

    def __init__(self, served, samples):
        self._served = served
        self._samples = samples
        self._expected: dict = {}
        self.tolerance = TOLERANCES[served.precision]

    def check(self, name, runners):
        """Returns the largest difference, over all signatures and batch sizes.

        Raises:
            ParityError: If one exceeds the tolerance.
        """
        largest = 0.0
        for signature, run in runners.items():
            inputs, expected = self.answers(signature)
            for batch in BATCHES:
                actual = run(inputs[:batch])
                wanted = {key: value[:batch] for key, value in expected.items()}
                difference = self._difference(actual, wanted)
                if not difference <= self.tolerance:
                    raise ParityError(
                        f"The {name!r} file must answer as the model does, to {self.tolerance:g}. "
                        f"Received: a difference of {difference:.2g} in the signature "
                        f"{signature!r} with a batch of {batch}"
                    )
                largest = max(largest, difference)
        return largest

    def agreement(self, run):
        """Returns how near a calibrated file is: the largest difference, and the agreement."""
        tensors = self._samples.tensors
        expected = keras.ops.convert_to_numpy(self._served.tensor(tensors)["outputs"])
        actual = np.concatenate([run(tensor[None])["outputs"] for tensor in tensors])
        if expected.shape[-1] == 1:  # one unit: the same side of what decides between two classes
            middle = 0.5 if ends_in_probabilities(self._served.model) else 0.0
            same = (actual > middle) == (expected > middle)
        else:
            same = np.argmax(actual, axis=-1) == np.argmax(expected, axis=-1)
        return _relative(actual, expected), float(np.mean(same))

    def answers(self, signature):
        """Returns the inputs of a signature, and what the model answers, which it must be fit for.

        Raises:
            ValueError: If what it would give as scores are no probabilities.
        """
        if signature not in self._expected:
            inputs = self._samples.inputs(signature)
            outputs = getattr(self._served, signature)(inputs)
            arrays = {key: keras.ops.convert_to_numpy(value) for key, value in outputs.items()}
            if "scores" in arrays and self._served.score_function is None:
                check_probabilities(self._served.model, arrays["scores"])
            self._expected[signature] = inputs, arrays
        return self._expected[signature]

    def _difference(self, actual, expected):
        if set(actual) != set(expected):
            return np.inf
        if "top_names" in actual and not self._names_its_scores(actual):
            return np.inf
        return max(
            _relative(actual[key], expected[key])
            for key in expected
            # Of two scores that are nearly equal, either may come first.
            if key not in ("top_classes", "top_names")
        )

    def _names_its_scores(self, actual):
        classes = actual["top_classes"]
        scores = np.take_along_axis(actual["scores"], classes, axis=1)
        names = np.array(self._served.class_names)[classes]
        return np.array_equal(scores, actual["top_scores"]) and np.array_equal(
            names, np.char.decode(actual["top_names"].astype(bytes), "utf-8")
        )


def _relative(actual, expected):
    """Returns the largest difference, relative to the largest value if that exceeds 1."""
    if actual.shape != expected.shape:
        return np.inf
    expected = expected.astype("float64")
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))
