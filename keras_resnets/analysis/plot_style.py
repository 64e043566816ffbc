"""How every plot looks: size, colours, marks, axes."""

# Okabe and Ito's palette, which stays apart under every kind of colour blindness; marks and dashes
# tell the lines apart in black and white too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
# (width, height) of one panel in inches.
PANEL = (7.0, 3.4)
DPI = 120


def panels(count, share_x=False):
    """Returns a Matplotlib figure with `count` panels, one above another, and their axes.

    Raises:
        ModuleNotFoundError: If Matplotlib is not installed.
    """
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


def line_style(index):
    """Returns the keyword arguments of `Axes.plot` for the line of the given number."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKS[index % len(MARKS)],
        "linestyle": DASHES[index % len(DASHES)],
        "markersize": 3.5,
        "linewidth": 1.2,
    }


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
    """Adds the legend, where it hides no line."""
    axes.legend(frameon=False, fontsize="small", loc="best")
