"""What a file says reaches the terminal as text alone."""

import pytest
from safetensors.numpy import save_file

from keras_resnets.cli import main
from tests.weights.states import random_state, torchvision_entries


@pytest.mark.parametrize("name", ["\x1b[31mred", "x" * 200_000])
def test_an_array_s_name_is_shown_without_effect_and_cut(name, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    save_file(random_state(torchvision_entries("basic", (1,), (4,), 2) | {name: (1,)}), path)
    assert main(["convert", str(path), str(tmp_path / "model.keras")]) == 2
    printed = capsys.readouterr().err
    assert "surplus: '" in printed
    assert printed.removesuffix("\n").isprintable()
    assert len(printed) < 1000


def test_an_error_s_text_of_whatever_source_is_printable(tmp_path, capsys):
    path = str(tmp_path / "\x1b[31mred.keras")
    assert main(["describe", path]) == 2
    assert capsys.readouterr().err.removesuffix("\n").isprintable()
