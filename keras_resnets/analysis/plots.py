"""Plots of what the other functions return."""

import numbers
import re

# Okabe and Ito's palette, which stays apart under every kind of colour blindness; marks tell
# the lines apart in black and white too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
# (width, height) of one panel in inches.
PANEL = (7.0, 3.4)
DPI = 200


def panels(count, share_x=False):
    """Returns a Matplotlib figure with `count` panels, one above another, and their axes."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Plots need Matplotlib: `pip install matplotlib`, or install keras-resnets with its "
            "`train` or `docs` extra.",
            name="matplotlib",
        ) from error

    width, height = PANEL
    figure = Figure(figsize=(width, height * count), dpi=DPI, layout="constrained")
    axes = figure.subplots(count, 1, sharex=share_x, squeeze=False)[:, 0]
    for panel in axes:
        panel.grid(alpha=0.3, which="both")
        panel.locator_params(axis="x", integer=True)  # layers and blocks are counted
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def line_styles(labels):
    """Returns the arguments of `Axes.plot` by label: a twin has its network's colour, dashed."""
    shared = {label: re.sub("plain(net)?|residual|resnet", "", label.lower()) for label in labels}
    numbers = {name: number for number, name in enumerate(dict.fromkeys(shared.values()))}
    return {
        label: {
            "color": COLORS[numbers[name] % len(COLORS)],
            "marker": MARKS[numbers[name] % len(MARKS)],
            "linestyle": "--" if "plain" in label.lower() else "-",
            "markersize": 3.5,
            "linewidth": 1.2,
        }
        for label, name in shared.items()
    }


def draw_band(axes, style, x, label, middle, low, high):
    """Draws a line and the range around it, filled; that of a plain network between thin dashes."""
    axes.plot(x, middle, label=label, **style)
    if style["linestyle"] == "-":
        axes.fill_between(x, low, high, color=style["color"], alpha=0.15)
        return
    for edge in (low, high):
        axes.plot(x, edge, linestyle="--", color=style["color"], alpha=0.5, linewidth=0.6)


def log_scale(axes):
    """Makes the vertical axis of a finished plot logarithmic, with plain numbers beside it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log", nonpositive="mask")
    low, high = axes.get_ylim()
    plain_number = FuncFormatter(lambda value, position: f"{value:g}")
    axes.yaxis.set_major_formatter(plain_number)
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter(plain_number if high < 300 * low else NullFormatter())


def legend(axes):
    """Adds the legend above the axes, where it hides no line."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize="small")


def plot_layer_responses(responses):
    """Draws figure 7 of the paper: responses in the order of the layers, and sorted.

    Args:
        responses: `{label: result of layer_responses}`, a line each.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig("responses.png")` writes it.

    Raises:
        ValueError, TypeError: If `responses` is not of that form, or a line has nothing to draw.
        ModuleNotFoundError: If Matplotlib is not installed.

    Example:

    >>> one = {"stem_conv": 1.0, "stage1_block1/conv1": 0.5}
    >>> figure = keras_resnets.analysis.plot_layer_responses({"ResNet-20": one})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['standard deviation', 'standard deviation']
    """
    _check_lines("responses", responses, _is_number)
    figure, (in_order, by_size) = panels(2)
    lines = {label: list(line.values()) for label, line in responses.items()}
    falling = {label: sorted(line, reverse=True) for label, line in lines.items()}
    _draw(in_order, lines, "3×3 layer, from the input on", "standard deviation")
    _draw(by_size, falling, "3×3 layer, by its response", "standard deviation")
    for axes in (in_order, by_size):
        axes.set_ylim(bottom=0)
    legend(in_order)
    return figure


def plot_shortcut_balance(balances):
    """Draws ‖F(x)‖ / ‖s(x)‖ and the cosine between the two, block by block.

    Args:
        balances: `{label: result of shortcut_balance}`, a line each.

    Returns:
        A `matplotlib.figure.Figure`. Errors are those of `plot_layer_responses`.

    Example:

    >>> one = {"stage1_block1": {"branch_to_shortcut": 0.5, "cosine": -0.1}}
    >>> figure = keras_resnets.analysis.plot_shortcut_balance({"ResNet-20": one})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['‖F(x)‖ / ‖s(x)‖', 'cosine of F(x) and s(x)']
    """
    _check_lines("balances", balances, _is_balance)
    figure, (ratio, cosine) = panels(2, share_x=True)
    ratios, cosines = (
        {label: [block[measure] for block in line.values()] for label, line in balances.items()}
        for measure in ("branch_to_shortcut", "cosine")
    )
    _draw(ratio, ratios, "", "‖F(x)‖ / ‖s(x)‖")
    _draw(cosine, cosines, "block, from the input on", "cosine of F(x) and s(x)")
    ratio.set_ylim(bottom=0)
    cosine.axhline(0, color="#000000", linewidth=0.8)
    legend(ratio)
    return figure


def plot_gradient_norms(norms):
    """Draws the norms of the kernels' gradients, layer by layer, on a logarithmic scale.

    Args:
        norms: `{label: result of gradient_norms}`, a line each. Only the kernels are drawn.

    Returns:
        A `matplotlib.figure.Figure`. Errors are those of `plot_layer_responses`.

    Example:

    >>> one = {"stem_conv/conv/kernel": 0.5, "stem_conv/norm/gamma": 0.1}
    >>> figure = keras_resnets.analysis.plot_gradient_norms({"ResNet-20": one})
    >>> len(figure.axes[0].lines[0].get_xdata())
    1
    """
    return _plot_kernels("norms", norms, "norm of the gradient")


def plot_update_ratios(ratios):
    """Draws how far each kernel moved, layer by layer, on a logarithmic scale.

    Args:
        ratios: `{label: result of update_ratios}`, a line each. Only the kernels are drawn.

    Returns:
        A `matplotlib.figure.Figure`. Errors are those of `plot_layer_responses`.

    Example:

    >>> one = {"stem_conv/conv/kernel": 0.01, "stem_conv/norm/beta": None}
    >>> figure = keras_resnets.analysis.plot_update_ratios({"ResNet-20": one})
    >>> figure.axes[0].get_ylabel()
    '‖Δw‖ / ‖w‖'
    """
    return _plot_kernels("ratios", ratios, "‖Δw‖ / ‖w‖")


def plot_lesions(errors):
    """Draws a model's error without each of its blocks, as measured with `remove_blocks`.

    Args:
        errors: `{label: {block: error}}`, a line each, with errors in [0, 1] and blocks from the
            input on.

    Returns:
        A `matplotlib.figure.Figure`. Errors are those of `plot_layer_responses`.

    Example:

    >>> figure = keras_resnets.analysis.plot_lesions({"ResNet-20": {"stage1_block2": 0.1}})
    >>> figure.axes[0].get_ylabel()
    'error (%)'
    """
    _check_lines("errors", errors, _is_number)
    figure, (axes,) = panels(1)
    blocks = list(dict.fromkeys(block for line in errors.values() for block in line))
    styles = line_styles(errors)
    for label, line in errors.items():
        places = [blocks.index(block) for block in line]
        percent = [100 * value for value in line.values()]
        axes.plot(places, percent, label=label, **styles[label])
    axes.set_xticks(range(len(blocks)), blocks, rotation=90, fontsize="small")
    axes.set_xlabel("block that is left out")
    axes.set_ylabel("error (%)")
    axes.set_ylim(bottom=0)
    legend(axes)
    return figure


def _plot_kernels(name, lines, quantity):
    _check_lines(name, lines, _is_number_or_none)
    kernels = {
        label: [value for path, value in line.items() if path.endswith("kernel")]
        for label, line in lines.items()
    }
    for label, values in kernels.items():
        if not values:
            raise ValueError(
                "Each line must have kernels to draw, with paths that end in 'kernel'. "
                f"Received: {label!r} with {', '.join(lines[label])}"
            )
    figure, (axes,) = panels(1)
    _draw(axes, kernels, "layer with a kernel, from the input on", quantity)
    log_scale(axes)
    legend(axes)
    return figure


def _draw(axes, lines, horizontal, vertical):
    """Draws a line for each list of values, with a gap where one is `None`; labels the axes."""
    axes.set(xlabel=horizontal, ylabel=vertical)
    styles = line_styles(lines)
    for label, values in lines.items():
        shown = [float("nan") if value is None else value for value in values]
        axes.plot(range(1, len(shown) + 1), shown, label=label, **styles[label])


def _check_lines(name, lines, is_value):
    form = f"`{name}` must map each line's label to the diagnostic's result: {{\"ResNet-20\": …}}."
    if not isinstance(lines, dict):
        raise TypeError(f"{form} Received: {name}={lines!r}")
    if not lines:
        raise ValueError(f"{form} Received: {name}={{}}")
    for label, line in lines.items():
        if not isinstance(line, dict):
            raise TypeError(f"{form} Received: {label!r} with {line!r}")
        if not line:
            raise ValueError(f"{form} Received: {label!r} with {{}}")
        for key, value in line.items():
            if not isinstance(key, str) or not is_value(value):
                raise TypeError(f"{form} Received: {label!r} with {key!r}: {value!r}")


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_number_or_none(value):
    return value is None or _is_number(value)


def _is_balance(value):
    measures = ("branch_to_shortcut", "cosine")
    return isinstance(value, dict) and all(
        measure in value and _is_number_or_none(value[measure]) for measure in measures
    )
