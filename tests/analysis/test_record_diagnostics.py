"""Diagnostics recorded by `fit`."""

import json

import keras
import pytest

from keras_resnets.analysis import (
    RecordDiagnostics,
    gradient_norms,
    layer_responses,
    shortcut_balance,
    snapshot,
    update_ratios,
)
from tests.analysis.networks import images, labels, tiny_model
from tests.models.once import once

LOSS = "sparse_categorical_crossentropy"


def test_a_record_is_what_the_diagnostics_give(tmp_path):
    model, data = tiny_model(), (images(), labels())
    model.compile(keras.optimizers.SGD(0.01), LOSS, run_eagerly=True)
    before = snapshot(model)
    first = {
        "epoch": 0,
        "layer_responses": layer_responses(model, data),
        "shortcut_balance": shortcut_balance(model, data),
        "gradient_norms": gradient_norms(model, data, LOSS),
    }
    record = RecordDiagnostics(data, path=tmp_path / "records.json")
    model.fit(*data, epochs=2, batch_size=5, verbose=0, callbacks=[record])

    assert [entry["epoch"] for entry in record.records] == [0, 1, 2]
    assert close(record.records[0], first)
    assert close(record.records[2]["layer_responses"], layer_responses(model, data))
    assert close(record.records[2]["gradient_norms"], gradient_norms(model, data, LOSS))
    assert not close(record.records[1]["gradient_norms"], record.records[2]["gradient_norms"])
    ratios = [entry["update_ratios"]["stem_conv/conv/kernel"] for entry in record.records[1:]]
    whole = update_ratios(before, snapshot(model))["stem_conv/conv/kernel"]
    assert 0 < whole < 1.1 * sum(ratios)  # the way there is no shorter than the distance
    assert json.loads((tmp_path / "records.json").read_text(encoding="utf-8")) == record.records


def close(a, b):
    """Whether two records hold the same numbers, up to rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    return a == pytest.approx(b, rel=1e-3, abs=1e-6)


def fitted(record, model=None, **options):
    model = model or tiny_model()
    model.compile("sgd", LOSS, run_eagerly=True)
    model.fit(images(), labels(), verbose=0, callbacks=[record], **options)
    return model


def epochs(record):
    return [entry["epoch"] for entry in record.records]


@once
def test_the_first_record_is_of_the_first_epoch_s_beginning():
    record = RecordDiagnostics(images(), ["update_ratios"], every=2)
    fitted(record, tiny_model(shortcut=None), epochs=6, initial_epoch=3)
    assert epochs(record) == [3, 4, 6]
    assert "update_ratios" not in record.records[0]


@once
def test_a_fit_that_goes_on_goes_on_with_the_records(tmp_path):
    path = tmp_path / "records.json"
    record = RecordDiagnostics(images(), ["update_ratios"], path=path, every=2)
    model = fitted(record, epochs=3)
    before = snapshot(model)
    fitted(record, model, epochs=4, initial_epoch=3)
    assert epochs(record) == [0, 2, 3, 4]
    assert record.records[-1]["update_ratios"] == update_ratios(before, snapshot(model))
    assert json.loads(path.read_text(encoding="utf-8")) == record.records
    fitted(record, model, epochs=6, initial_epoch=4)
    assert epochs(record) == [0, 2, 3, 4, 6]
    record.path = None  # without a file, a fit that begins anew drops the records
    fitted(record, model)
    assert epochs(record) == [0]


@once
def test_a_fit_that_begins_anew_overwrites_no_file(tmp_path):
    path = tmp_path / "records.json"
    record = RecordDiagnostics(images(), ["layer_responses"], path=path)
    model = fitted(record)
    kept = path.read_bytes()
    for again, options in ((model, {}), (tiny_model(), {"initial_epoch": 1, "epochs": 2})):
        with pytest.raises(FileExistsError, match=r"no record is lost.*records\.json"):
            fitted(record, again, **options)
    assert path.read_bytes() == kept
    with pytest.raises(FileExistsError, match=r"path='.*records\.json'"):
        RecordDiagnostics(images(), ["layer_responses"], path=path)


@once
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"diagnostics": ["responses"]}, ValueError, "diagnostics='responses'"),
        ({"diagnostics": "layer_responses"}, TypeError, "a list of names"),
        ({"diagnostics": None}, TypeError, "a list of names.*diagnostics=None"),
        ({"diagnostics": []}, ValueError, "at least one"),
        ({"diagnostics": ["update_ratios"] * 2}, ValueError, "each once"),
        ({"diagnostics": ["layer_responses"], "loss": LOSS}, ValueError, "belongs to"),
        ({"data": (images(), labels()), "loss": "nonsense"}, ValueError, "loss='nonsense'"),
        ({"every": 0}, ValueError, "every=0"),
        ({"path": 3}, TypeError, "path=3"),
        ({"path": "nowhere/records.json"}, FileNotFoundError, "folder of `path`.*nowhere"),
        ({"path": "."}, FileExistsError, "path='.'"),
        ({"data": None}, TypeError, "data=None"),
        ({"data": iter([images()])}, TypeError, "iterated again"),
        ({"data": images(0)}, ValueError, "at least one image"),
        ({"diagnostics": ["gradient_norms"]}, ValueError, "must have labels"),
    ],
)
def test_other_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        RecordDiagnostics(**{"data": images(), "diagnostics": ["layer_responses"], **options})
