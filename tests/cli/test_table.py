"""Tables and bars of text."""

import io
import sys

import pytest

from keras_resnets.cli.tables import bar, format_table


def test_a_table_s_columns_are_as_wide_as_their_widest_cell():
    table = format_table([("a", "bb"), ("ccc", "d")], "<>")
    assert table == "a    bb\nccc   d"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, ""), (1.0, "████"), (0.5, "██"), (1 / 32, "▏"), (0.25 + 7 / 32, "█▉"), (0.01, "")],
)
def test_a_bar_is_exact_to_an_eighth(share, expected):
    assert bar(share, 4) == expected


def test_a_terminal_without_the_characters_gets_signs_that_it_has(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar(0.5, 4) == "##"
