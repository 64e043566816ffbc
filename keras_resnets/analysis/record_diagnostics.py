"""Diagnostics during `fit`."""

import json
import os
from pathlib import Path

import keras

from keras_resnets.analysis.gradients import gradient_norms, one_loss, snapshot, update_ratios
from keras_resnets.analysis.responses import batches, layer_responses, shortcut_balance
from keras_resnets.arguments import check_choice, check_positive_int

DIAGNOSTICS = ("layer_responses", "shortcut_balance", "gradient_norms", "update_ratios")


class RecordDiagnostics(keras.callbacks.Callback):
    """A callback that records diagnostics before the first epoch and after each.

    `records` is a list of dictionaries of JSON values: `"epoch"`, the number of epochs done, and
    each diagnostic under its name. `"update_ratios"` compare with the record before, and are
    missing from the first.

    A second `fit` of the same model that resumes where the first ended, with `initial_epoch`,
    continues the records. Any other starts new ones, which needs another `path`.

    Args:
        data: A few images and labels, as the diagnostics take them: a pair of arrays or an iterable
            of batches that can be iterated again. Images alone suffice without the gradients.
        diagnostics: Names among `"layer_responses"`, `"shortcut_balance"` (not for plain
            networks), `"gradient_norms"` and `"update_ratios"`, each once.
        loss: Loss for the gradients; `None` takes the model's compiled loss.
        every: Number of epochs between two records; a multiple of it is an epoch to record.
        path: A JSON file that is written at each record, or `None`. It must not exist yet, and its
            folder must.

    Raises:
        ValueError, TypeError: If an argument is not as described, or `loss` has no effect.
        FileExistsError: If `path` exists, also when a later `fit` starts new records.
        FileNotFoundError: If the folder of `path` does not exist.

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
        self.diagnostics = _check_diagnostics(diagnostics)
        if loss is not None and "gradient_norms" not in self.diagnostics:
            raise ValueError(
                "`loss` belongs to 'gradient_norms'. "
                f"Received: loss={loss!r}, diagnostics={diagnostics!r}"
            )
        self.loss = loss if loss is None else one_loss(loss)
        if hasattr(data, "__next__"):
            raise TypeError(
                "`data` must be something that can be iterated again, such as a pair of arrays or "
                f"a list of batches. Received: data={data!r}"
            )
        # One batch shows whether there are images, and labels with them.
        next(batches(data, needs_labels="gradient_norms" in self.diagnostics))
        self.data = data
        self.every = check_positive_int("every", every)
        self.path = None if path is None else _check_path(path)
        self.records: list[dict] = []
        self._recorded_model = None
        self._before = None
        self._begins = False

    def on_train_begin(self, logs=None):
        self._begins = True

    def on_epoch_begin(self, epoch, logs=None):
        if not self._begins:
            return
        self._begins = False
        last = self.records[-1]["epoch"] if self.records else -1
        resumes = self.records and self.model is self._recorded_model and epoch >= max(last, 1)
        if not resumes:
            if self.records and self.path is not None:
                _check_path(self.path)
            self.records, self._before, self._recorded_model = [], None, self.model
        if not resumes or epoch > last:
            self._record(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self._record(epoch + 1)

    def _record(self, epoch):
        record = {"epoch": epoch}
        for diagnostic in (layer_responses, shortcut_balance):
            if diagnostic.__name__ in self.diagnostics:
                record[diagnostic.__name__] = diagnostic(self.model, self.data)
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


def _check_diagnostics(names):
    if isinstance(names, (str, dict)) or not hasattr(names, "__iter__"):
        raise TypeError(f"`diagnostics` must be a list of names. Received: diagnostics={names!r}")
    names = [check_choice("diagnostics", name, DIAGNOSTICS) for name in names]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "`diagnostics` must name at least one diagnostic, and each once. "
            f"Received: diagnostics={names!r}"
        )
    return names


def _check_path(path):
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"`path` must be None or a path. Received: path={path!r}")
    path = Path(path)
    if path.exists():
        raise FileExistsError(
            f"`path` must not exist yet, so that no record is lost. Received: path={str(path)!r}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder of `path` must exist. Received: path={str(path)!r}")
    return path
