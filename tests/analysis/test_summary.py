"""The table of costs by stage."""

import pytest

import keras_resnets
from keras_resnets.analysis import count_macs, count_parameters, summarize
from tests.models.once import once

pytestmark = once


@pytest.mark.parametrize(
    "build",
    [
        keras_resnets.ResNet18,
        keras_resnets.PlainNet20,
        lambda: keras_resnets.ResNet50(include_top=False, input_shape=(96, 64, 3)),
    ],
)
def test_the_parts_add_up_to_the_whole(build):
    model = build()
    rows = summarize(model).rows
    assert sum(row.parameters for row in rows) == count_parameters(model).trainable
    assert sum(row.macs for row in rows) == count_macs(model)
    assert sum(row.share for row in rows) == pytest.approx(1.0)


def test_the_stages_of_resnet34_have_the_paper_s_sizes():
    rows = summarize(keras_resnets.ResNet34()).rows
    assert [(row.name, row.output_shape) for row in rows] == [
        ("stem", (56, 56, 64)),
        ("stage1", (56, 56, 64)),
        ("stage2", (28, 28, 128)),
        ("stage3", (14, 14, 256)),
        ("stage4", (7, 7, 512)),
        ("head", (1000,)),
    ]


def test_an_open_size_is_filled_in():
    model = keras_resnets.ResNet20(input_shape=(None, None, 3))
    table = summarize(model, input_shape=(64, 32, 3))
    assert table.rows[-2].output_shape == (16, 8, 64)


def test_the_table_is_aligned():
    lines = str(summarize(keras_resnets.ResNet34())).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["output", "parameters", "multiply-adds", "share"]
    assert lines[-1].split() == ["total", "21,797,672", "3,663,761,408", "100.0%"]
