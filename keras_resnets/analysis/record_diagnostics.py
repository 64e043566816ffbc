"""Diagnostics during `fit`."""

import json
from pathlib import Path

import keras

from keras_resnets.analysis.gradient_norms import gradient_norms
from keras_resnets.analysis.layer_responses import layer_responses
from keras_resnets.analysis.shortcut_balance import shortcut_balance
from keras_resnets.analysis.update_ratios import snapshot, update_ratios
from keras_resnets.arguments import check_choice, check_positive_int

DIAGNOSTICS = ("layer_responses", "shortcut_balance", "gradient_norms", "update_ratios")


class RecordDiagnostics(keras.callbacks.Callback):
    """A callback that records diagnostics before the first epoch and after each.

    `records` is a list with a dictionary for each time: `"epoch"`, the number of epochs done, and
    each diagnostic under its name. `"update_ratios"` compare with the time before, and so are
    missing from the first. All of it is plain numbers, lists and strings, ready for JSON.

    Args:
        data: A few images and labels, always the same, as the diagnostics take them: a pair of
            arrays or an iterable of batches that can be gone through again. May be images alone
            where neither the gradients nor the loss are asked for.
        diagnostics: Names among `"layer_responses"`, `"shortcut_balance"` (not for plain
            networks), `"gradient_norms"` and `"update_ratios"`.
        loss: Loss for the gradients; `None` takes the one that the model is compiled with.
        every: Number of epochs between two records.
        path: A JSON file that is written anew at each record, or `None`.

    Raises:
        ValueError: If a name is not known, `every` is not positive, or `loss` has no effect.
        TypeError: If `diagnostics` is a string or `every` not an integer.

    Example:

    >>> data = np.random.default_rng(0).normal(size=(4, 8, 8, 3)), np.arange(4)
    >>> model = keras_resnets.ResNet20(input_shape=(8, 8, 3))
    >>> model.compile("sgd", "sparse_categorical_crossentropy")
    >>> record = keras_resnets.analysis.RecordDiagnostics(data, ["update_ratios"])
    >>> history = model.fit(*data, verbose=0, callbacks=[record])
    >>> [sorted(entry) for entry in record.records]
    [['epoch'], ['epoch', 'update_ratios']]
    """

    def __init__(self, data, diagnostics=DIAGNOSTICS, loss=None, every=1, path=None):
        super().__init__()
        if isinstance(diagnostics, str):
            raise TypeError(
                f"`diagnostics` must be a list of names. Received: diagnostics={diagnostics!r}"
            )
        self.data = data
        self.diagnostics = [check_choice("diagnostics", name, DIAGNOSTICS) for name in diagnostics]
        if loss is not None and "gradient_norms" not in self.diagnostics:
            raise ValueError(
                "`loss` belongs to 'gradient_norms'. "
                f"Received: loss={loss!r}, diagnostics={diagnostics!r}"
            )
        self.loss = loss
        self.every = check_positive_int("every", every)
        self.path = None if path is None else Path(path)
        self.records: list[dict] = []
        self._before = None

    def on_train_begin(self, logs=None):
        self.records, self._before = [], None
        self._record(epoch=0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self._record(epoch + 1)

    def _record(self, epoch):
        record = {"epoch": epoch}
        if "layer_responses" in self.diagnostics:
            record["layer_responses"] = layer_responses(self.model, self.data)
        if "shortcut_balance" in self.diagnostics:
            record["shortcut_balance"] = shortcut_balance(self.model, self.data)
        if "gradient_norms" in self.diagnostics:
            loss = self.model.loss if self.loss is None else self.loss
            record["gradient_norms"] = gradient_norms(self.model, self.data, loss)
        if "update_ratios" in self.diagnostics:
            after = snapshot(self.model)
            if self._before is not None:
                record["update_ratios"] = update_ratios(self._before, after)
            self._before = after
        self.records.append(record)
        if self.path is not None:
            self.path.write_text(json.dumps(self.records), encoding="utf-8")
