"""The blocks side by side: what stands on the branch and on the shortcut, and where weights are."""

import dataclasses
import math
import textwrap

import keras

from docs.pictures.rows import layer_label, shortcut_label
from docs.pictures.svg import FAINT, INK, PARTS, PROJECTION, Sheet, tint
from keras_resnets.layers import BasicBlock, BottleneckBlock, ConvNorm

# Title, class, filters, options, and channels of the input; three a line.
EXAMPLES = (
    ("Plain block", BasicBlock, 64, {"shortcut": None}, 64),
    ("Basic block", BasicBlock, 64, {}, 64),
    ("Bottleneck block", BottleneckBlock, 64, {}, 256),
    ("Option A, new shape", BasicBlock, 128, {"strides": 2, "shortcut": "A"}, 64),
    ("Option B, new shape", BasicBlock, 128, {"strides": 2, "shortcut": "B"}, 64),
    ("Option C, same shape", BasicBlock, 64, {"shortcut": "C"}, 64),
    ("Option D, new shape", BasicBlock, 128, {"strides": 2, "shortcut": "D"}, 64),
    ("Pre-activation", BasicBlock, 64, {"pre_activation": True}, 64),
    ("Squeeze and excitation", BasicBlock, 64, {"se_ratio": 1 / 16}, 64),
)
WEIGHTED = PARTS["stage1"]
WIDTH, COLUMNS, MARGIN = 800, 3, 8
CARD_WIDTH = (WIDTH - MARGIN) / COLUMNS - MARGIN
BOX_WIDTH, BOX_HEIGHT, BOX_GAP = 110, 20, 8


@dataclasses.dataclass(frozen=True)
class Step:
    """One box on a branch or a shortcut.

    Attributes:
        label: What it does, such as `"3×3 conv, 64"`.
        has_weights: Whether it has weights.
    """

    label: str
    has_weights: bool


@dataclasses.dataclass(frozen=True)
class Example:
    """A built block with what its picture says about it.

    Attributes:
        title: A name for it.
        code: The call that makes it.
        block: The block.
    """

    title: str
    code: str
    block: keras.layers.Layer


def example_blocks():
    """Returns the blocks of the picture, each built on 56×56 positions."""
    examples = []
    for title, kind, filters, options, channels in EXAMPLES:
        block = kind(filters, **options)
        block(keras.Input((56, 56, channels)))
        arguments = [str(filters), *(f"{name}={_code(value)}" for name, value in options.items())]
        code = f"{kind.__name__}({', '.join(arguments)})".replace("'", '"')
        examples.append(Example(title, code, block))
    return examples


def _code(value):
    return "1 / 16" if value == 1 / 16 else repr(value)


def branch_steps(block):
    """Returns the steps of F(x), in their order."""
    steps = []
    for layer in block.branch_layers():
        if isinstance(layer, ConvNorm):
            steps += _conv_norm_steps(layer)
        elif isinstance(layer, keras.layers.Activation):
            steps.append(_activation_step(layer.activation))
        else:
            steps.append(Step(layer_label(layer), bool(layer.weights)))
    return steps


def shortcut_steps(block):
    """Returns the steps of s(x): none for the identity, `None` where there is no shortcut."""
    if block.shortcut_layer is None:
        return None
    if block.shortcut_layer.weights:
        pools = [layer for layer in [block.shortcut_layer.pool] if layer is not None]
        steps = [Step(layer_label(pool), False) for pool in pools]
        return steps + _conv_norm_steps(block.shortcut_layer.conv_norm)
    return [Step(label, False) for label in shortcut_label(block).split(", ") if label]


def draw_blocks(examples):
    """Returns the picture of the blocks, as SVG."""
    sheet = Sheet(WIDTH, 0, "The blocks, and the options for their shortcuts")
    top = MARGIN
    for first in range(0, len(examples), COLUMNS):
        line = examples[first : first + COLUMNS]
        height = max(_card_height(example.block) for example in line)
        for column, example in enumerate(line):
            _draw_card(sheet, example, MARGIN + column * (CARD_WIDTH + MARGIN), top, height)
        top += height + MARGIN
    _draw_key(sheet, top + 16)
    sheet.height = top + 36
    return sheet.to_svg()


def _conv_norm_steps(layer):
    steps = [Step(layer_label(layer), bool(layer.conv.weights))]
    if layer.norm is not None:
        steps.append(Step(layer_label(layer.norm), bool(layer.norm.weights)))
    return steps


def _activation_step(activation):
    return Step(keras.activations.serialize(activation), False)


def _card_height(block):
    steps = branch_steps(block)
    return 104 + len(steps) * (BOX_HEIGHT + BOX_GAP) + (28 if block.shortcut_layer else 0) + 82


def _draw_card(sheet, example, left, top, height):
    block = example.block
    steps = shortcut_steps(block)
    x = left + (CARD_WIDTH / 2 if not steps else 12 + BOX_WIDTH / 2)
    sheet.box(left, top, CARD_WIDTH, height, "#f5f6f8", "none", radius=6)
    sheet.text(left + 12, top + 23, example.title, size=15, anchor="start", bold=True)
    for line, code in enumerate(textwrap.wrap(example.code, 30, subsequent_indent="    ")):
        sheet.text(left + 12, top + 42 + 14 * line, code, size=11, anchor="start", mono=True)

    sheet.text(x, top + 78, _shape(block.input), size=12, fill=FAINT)
    start, split = top + 83, top + 93
    y = _draw_steps(sheet, x, top + 104, branch_steps(block), start)
    if steps is not None:
        plus = y + 17
        sheet.line([(x, y), (x, plus - 6)], arrow=True)
        _draw_shortcut(sheet, x, steps, split, plus)
        sheet.plus(x, plus, radius=6)
        y = plus + 6
    if not block.pre_activation:
        y = _draw_steps(sheet, x, y + BOX_GAP, [_activation_step(block.activation)], start=y)
    sheet.line([(x, y), (x, y + 15)], arrow=True)
    sheet.text(x, y + 28, _shape(block.output), size=12, fill=FAINT)
    parameters = sum(math.prod(weight.shape) for weight in block.trainable_weights)
    words = f"{parameters:,} parameters"
    sheet.text(left + CARD_WIDTH - 12, top + height - 12, words, size=12, anchor="end")


def _draw_steps(sheet, x, y, steps, start, color=WEIGHTED, width=BOX_WIDTH):
    """Draws boxes below one another from `y` on, joined from `start`; returns the lower edge."""
    for step in steps:
        sheet.line([(x, start), (x, y)])
        fill, stroke, radius = tint(color, 0.5), color, 4
        if not step.has_weights:
            fill, stroke, radius = "#ffffff", INK, 10
        sheet.box(x - width / 2, y, width, BOX_HEIGHT, fill, stroke, radius)
        sheet.text(x, y + 14.5, step.label.replace(", stride ", ", /"), size=12)
        start = y + BOX_HEIGHT
        y = start + BOX_GAP
    return start


def _draw_shortcut(sheet, x, steps, split, plus):
    has_weights = any(step.has_weights for step in steps)
    color = PROJECTION if has_weights else INK
    right = x + (BOX_WIDTH + 11 if steps else BOX_WIDTH / 2 + 24)
    sheet.line(
        [(x, split), (right, split), (right, plus), (x + 6, plus)],
        color,
        line=1.8,
        dashed=has_weights,
        arrow=True,
        radius=12,
    )
    if steps:
        y = (split + plus - len(steps) * (BOX_HEIGHT + BOX_GAP) + BOX_GAP) / 2
        _draw_steps(sheet, right, y, steps, start=y, color=PROJECTION)


def _draw_key(sheet, y):
    for x, fill, stroke, radius, words in (
        (16, tint(WEIGHTED, 0.5), WEIGHTED, 4, "with weights"),
        (154, tint(PROJECTION, 0.5), PROJECTION, 4, "with weights, on the shortcut"),
        (390, "#ffffff", INK, 10, "without weights"),
    ):
        sheet.box(x, y - 9, 26, 18, fill, stroke, radius)
        sheet.text(x + 34, y + 4.5, words, anchor="start")
    sheet.plus(566, y, radius=6)
    sheet.text(580, y + 4.5, "sum", anchor="start")
    sheet.text(650, y + 4.5, "/2: stride 2", anchor="start")


def _shape(tensor):
    return "×".join(str(size) for size in tensor.shape[1:])
