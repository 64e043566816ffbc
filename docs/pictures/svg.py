"""A sheet of vector graphics: the few shapes that the pictures are made of.

Written without a plotting library, so that the same models give the same file, byte for byte,
whatever is installed.
"""

import math
from xml.sax.saxutils import escape

INK = "#1f2430"
FAINT = "#5b6270"
# The Okabe-Ito colours, which stay apart under every kind of colour blindness.
PARTS = {
    "input": "#999999",
    "stem": "#999999",
    "stage1": "#56b4e9",
    "stage2": "#009e73",
    "stage3": "#e69f00",
    "stage4": "#cc79a7",
    "head": "#999999",
}
PROJECTION = "#b34700"


class Sheet:
    """A white sheet of the given size on which shapes are drawn one over another."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.shapes = []

    def box(self, x, y, width, height, fill="#ffffff", stroke=INK, radius=4, line=1.2):
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{line:g}"/>'
        )

    def text(self, x, y, text, size=13, anchor="middle", bold=False, fill=INK, mono=False):
        style = ' font-weight="bold"' if bold else ""
        if mono:
            style += ' font-family="Menlo, Consolas, DejaVu Sans Mono, monospace"'
            style += ' xml:space="preserve"'
        self.shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" '
            f'fill="{fill}"{style}>{escape(text)}</text>'
        )

    def line(self, points, stroke=INK, line=1.4, dashed=False, arrow=False, radius=9):
        """Draws a line through points, its corners rounded."""
        (x, y), *rest = points
        path = [f"M{x:g} {y:g}"]
        for index, (x, y) in enumerate(rest):
            if index + 1 == len(rest):
                path.append(f"L{x:g} {y:g}")
                break
            before, after = points[index], rest[index + 1]
            near, far = _toward((x, y), before, radius), _toward((x, y), after, radius)
            path.append(f"L{near[0]:g} {near[1]:g}Q{x:g} {y:g} {far[0]:g} {far[1]:g}")
        style = ' stroke-dasharray="5 3"' if dashed else ""
        self.shapes.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{stroke}" '
            f'stroke-width="{line:g}"{style}/>'
        )
        if arrow:
            self._arrowhead(points[-2], points[-1], stroke)

    def arrow(self, start, tip, stroke=INK):
        """Draws a straight arrow in any direction."""
        self.line([start, tip], stroke)
        self._arrowhead(start, tip, stroke)

    def plus(self, x, y, radius=5):
        """Draws the sign of a sum."""
        self.shapes.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="#ffffff" stroke="{INK}" '
            'stroke-width="1.2"/>'
        )
        arm = radius * 0.55
        self.line([(x - arm, y), (x + arm, y)], line=1.2)
        self.line([(x, y - arm), (x, y + arm)], line=1.2)

    def to_svg(self):
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" '
                f'height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" '
                'role="img" font-family="Arial, Helvetica, DejaVu Sans, sans-serif">',
                f"<title>{escape(self.title)}</title>",
                f'<rect width="{self.width:g}" height="{self.height:g}" fill="#ffffff"/>',
                *self.shapes,
                "</svg>\n",
            ]
        )

    def _arrowhead(self, start, tip, fill, length=6, half=3.2):
        back = _toward(tip, start, length)
        unit = (tip[0] - back[0]) / length, (tip[1] - back[1]) / length
        sides = [
            (back[0] - sign * unit[1] * half, back[1] + sign * unit[0] * half) for sign in (1, -1)
        ]
        points = " ".join(f"{x:g},{y:g}" for x, y in (tip, *sides))
        self.shapes.append(f'<polygon points="{points}" fill="{fill}"/>')


def tint(color, share):
    """Returns a colour mixed with white: 0 is white, 1 the colour itself."""
    channels = (int(color[index : index + 2], 16) for index in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (c - 255) * share):02x}" for c in channels)


def _toward(start, end, distance):
    """Returns the point at a distance from `start` on the way to `end`, at most halfway."""
    length = math.dist(start, end)
    share = min(distance / length, 0.5)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
