"""A residual network beside its plain twin, in the manner of figure 3 of He et al., 2015."""

from docs.pictures.rows import model_rows
from docs.pictures.svg import FAINT, INK, PARTS, PROJECTION, Sheet, tint
from keras_resnets.analysis import count_macs, count_parameters

WIDTH = 800
BOX_WIDTH, BOX_HEIGHT = 180, 18
PLAIN, RESIDUAL = 290, 533  # the middles of the columns
TOP = 78


def draw_twins(model, twin):
    """Returns the picture of a model and its twin, as SVG.

    Raises:
        ValueError: If the two do not have the same layers but for the shortcuts.
    """
    rows, arcs = model_rows(model)
    if model_rows(twin) != (rows, []):
        raise ValueError("`twin` must have the layers of `model`, and no shortcut.")
    tops, bottom = _tops(rows)
    sheet = Sheet(WIDTH, bottom + 94, f"{model.name} and its plain twin {twin.name}")
    _draw_heading(sheet, PLAIN, twin)
    _draw_heading(sheet, RESIDUAL, model)
    _draw_bands(sheet, rows, tops)
    _draw_column(sheet, PLAIN, rows, tops)
    _draw_column(sheet, RESIDUAL, rows, tops)
    for arc in arcs:
        _draw_arc(sheet, arc, tops)
    _draw_key(sheet, bottom + 30)
    return sheet.to_svg()


def _tops(rows):
    """Returns the upper edge of each box, and the lower edge of the last."""
    tops, y = [], TOP
    for index, row in enumerate(rows):
        if index:
            same_block = row.name.split("/")[0] == rows[index - 1].name.split("/")[0]
            same_part = row.part == rows[index - 1].part
            y += BOX_HEIGHT + (5 if same_block else 18 if same_part else 23)
        tops.append(y)
    return tops, y + BOX_HEIGHT


def _draw_heading(sheet, x, model):
    sheet.text(x, 26, model.name, size=17, bold=True)
    sheet.text(x, 44, f"{count_parameters(model).trainable:,} parameters", size=12, fill=FAINT)
    sheet.text(x, 59, f"{count_macs(model) / 1e9:.4f}·10⁹ multiply-adds", size=12, fill=FAINT)


def _draw_bands(sheet, rows, tops):
    """Draws a band in its colour behind each part, with its name and the shapes in it."""
    for part in dict.fromkeys(row.part for row in rows):
        members = [index for index, row in enumerate(rows) if row.part == part]
        top, bottom = tops[members[0]] - 9.5, tops[members[-1]] + BOX_HEIGHT + 9.5
        color = PARTS[part]
        sheet.box(8, top, WIDTH - 16, bottom - top, tint(color, 0.14), "none", radius=6)
        sheet.text(20, top + 23, part, size=14, anchor="start", bold=True)
        for line, shape in enumerate(dict.fromkeys(rows[index].output_shape for index in members)):
            size = "×".join(str(length) for length in shape)
            sheet.text(78, top + 23 + 17 * line, size, size=13, anchor="start")


def _draw_column(sheet, x, rows, tops):
    weighted = 0
    for index, (row, top) in enumerate(zip(rows, tops, strict=True)):
        if index:
            sheet.line([(x, tops[index - 1] + BOX_HEIGHT), (x, top)])
        color = PARTS[row.part]
        fill = tint(color, 0.55) if row.has_weights else "#ffffff"
        stroke = color if row.part != "input" else "none"
        sheet.box(x - BOX_WIDTH / 2, top, BOX_WIDTH, BOX_HEIGHT, fill, stroke)
        sheet.text(x, top + 13.5, row.label)
        if row.has_weights:
            weighted += 1
            left = x - BOX_WIDTH / 2 - 5
            sheet.text(left, top + 13, str(weighted), size=10, anchor="end", fill=FAINT)


def _draw_arc(sheet, arc, tops):
    """Draws a shortcut from the line before its block to a sum behind it."""
    start, end = tops[arc.first] - 5, tops[arc.last] + BOX_HEIGHT + 6
    right = RESIDUAL + BOX_WIDTH / 2 + 30
    color = PROJECTION if arc.has_weights else INK
    sheet.line(
        [(RESIDUAL, start), (right, start), (right, end), (RESIDUAL + 5, end)],
        color,
        line=1.8,
        dashed=arc.has_weights,
        arrow=True,
        radius=14,
    )
    sheet.plus(RESIDUAL, end)
    for line, words in enumerate(arc.label.replace(", stride", "\nstride").splitlines()):
        sheet.text(right + 8, (start + end) / 2 + 1 + 15 * line, words, anchor="start", fill=color)


def _draw_key(sheet, y):
    for x, dashed, words in (
        (20, False, "identity: nothing is computed"),
        (290, True, "projection: a shortcut with weights"),
    ):
        color = PROJECTION if dashed else INK
        sheet.line([(x, y), (x + 34, y)], color, line=1.8, dashed=dashed, arrow=True)
        sheet.text(x + 42, y + 4.5, words, anchor="start")
    sheet.plus(596, y)
    sheet.text(608, y + 4.5, "sum", anchor="start")
    for line, words in enumerate(
        (
            "Filled boxes have weights, and are numbered. Batch normalization and a ReLU follow "
            "each numbered convolution;",
            "at the end of a residual block, the sum comes between the two.",
        )
    ):
        sheet.text(20, y + 28 + 17 * line, words, anchor="start")
