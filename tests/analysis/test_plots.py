"""What the plots draw, read back from the figures."""

import math
import sys

import pytest

from keras_resnets.analysis import (
    plot_gradient_norms,
    plot_layer_responses,
    plot_lesions,
    plot_shortcut_balance,
    plot_update_ratios,
)
from tests.models.once import once

PLOTS = [
    plot_layer_responses,
    plot_shortcut_balance,
    plot_gradient_norms,
    plot_update_ratios,
    plot_lesions,
]
pytestmark = once


def drawn(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines}


def test_responses_are_drawn_in_both_orders(tmp_path):
    lines = {"deep": {"a": 1.0, "b": 3.0, "c": 2.0}, "shallow": {"a": 4.0}}
    figure = plot_layer_responses(lines)
    in_order, by_size = figure.axes
    assert drawn(in_order) == {"deep": [1, 3, 2], "shallow": [4]}
    assert drawn(by_size) == {"deep": [3, 2, 1], "shallow": [4]}
    assert [text.get_text() for text in in_order.get_legend().get_texts()] == ["deep", "shallow"]
    colors = {line.get_color() for line in in_order.lines}
    marks = {line.get_marker() for line in in_order.lines}
    assert len(colors) == len(marks) == 2
    figure.savefig(tmp_path / "responses.png")
    assert (tmp_path / "responses.png").read_bytes().startswith(b"\x89PNG")


def test_a_balance_has_a_gap_where_no_number_is_defined():
    blocks = {
        "b1": {"branch_to_shortcut": 0.5, "cosine": -0.25},
        "b2": {"branch_to_shortcut": 0.0, "cosine": None},
    }
    ratio, cosine = plot_shortcut_balance({"model": blocks}).axes
    assert drawn(ratio)["model"] == [0.5, 0.0]
    first, second = drawn(cosine)["model"]
    assert first == -0.25
    assert math.isnan(second)


def test_errors_are_drawn_in_percent():
    (axes,) = plot_lesions({"plain": {"b1": 0.9, "b2": 0.5}, "residual": {"b1": 0.1}}).axes
    assert drawn(axes) == {"plain": [90, 50], "residual": [10]}


@pytest.mark.parametrize("plot", [plot_gradient_norms, plot_update_ratios])
def test_kernels_alone_are_drawn_on_a_logarithmic_scale(plot):
    line = {"stem_conv/conv/kernel": 0.1, "stem_conv/norm/gamma": 9.0, "predictions/kernel": 0.01}
    (axes,) = plot({"model": line}).axes
    assert drawn(axes) == {"model": [0.1, 0.01]}
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize("plot", PLOTS)
def test_other_values_are_refused(plot):
    with pytest.raises(ValueError, match="Received"):
        plot({})
    with pytest.raises(TypeError, match="Received"):
        plot([1.0])
    with pytest.raises(TypeError, match=r"Received: 'x/kernel' with 1\.0"):
        plot({"x/kernel": 1.0})
    with pytest.raises(ValueError, match=r"Received: 'model' with \{\}"):
        plot({"model": {}})
    for value in ("text", [1.0], True, {"cosine": 1.0}):
        with pytest.raises(TypeError, match="Received: 'model' with 'x/kernel': "):
            plot({"model": {"x/kernel": value}})


@pytest.mark.parametrize("plot", [plot_gradient_norms, plot_update_ratios])
def test_a_line_without_kernels_is_refused(plot):
    with pytest.raises(ValueError, match="Received: 'model' with norm/gamma, norm/beta"):
        plot({"model": {"norm/gamma": 1.0, "norm/beta": None}})


@pytest.mark.parametrize("plot", PLOTS)
def test_the_axes_have_labels_and_without_matplotlib_the_error_says_what_to_install(
    plot, monkeypatch
):
    line = {"x/kernel": {"branch_to_shortcut": 1.0, "cosine": None}}
    if plot is not plot_shortcut_balance:
        line = {"x/kernel": 1.0}
    figure = plot({"model": line})
    assert all(axes.get_ylabel() for axes in figure.axes)
    assert figure.axes[-1].get_xlabel()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install matplotlib.*`train` or `docs`"):
        plot({"model": line})
