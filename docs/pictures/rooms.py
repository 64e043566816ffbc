"""The rooms of the two packages, and which room imports which, read off the code."""

import ast
from pathlib import Path

from docs.pictures.svg import FAINT, INK, Sheet, tint

ROOT = Path(__file__).resolve().parents[2]
# Columns in which a room stands; its row follows from what it imports.
PLACES = {
    "keras_resnets": {
        **{"files": 0.0, "layers": 1.5, "preprocessing": 1.0, "architecture": 2.0},
        **{"weights": 0.2, "analysis": 2.0, "models": 0.0, "export": 1.1, "cli": 1.7},
    },
    "training": {
        **{"recipe": 0.55, "data": 0.0, "optim": 1.1, "loop": 0.55, "run": 0.0},
        **{"studies": 0.0, "benchmark": 1.1},
    },
}
PANELS = {"keras_resnets": (12, 416, "#56b4e9"), "training": (500, 288, "#e69f00")}
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 112, 32, 138, 68


def imported_modules(path, within_functions=True):
    """Returns the modules that a file imports when it is imported itself, or when it is used."""
    found = set()
    pending = list(ast.parse(path.read_text(encoding="utf-8")).body)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    while pending:
        node = pending.pop()
        if isinstance(node, functions) and not within_functions:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        pending.extend(ast.iter_child_nodes(node))
    return found


def room_imports(package):
    """Returns the rooms that each room of a package imports."""
    rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    imports = {}
    for room in sorted(rooms):
        files = (ROOT / package / room).rglob("*.py")
        modules = [name.split(".") for path in files for name in imported_modules(path)]
        found = {parts[1] for parts in modules if parts[0] == package and len(parts) > 1}
        imports[room] = found & rooms - {room}
    return imports


def direct_imports(imports):
    """Returns the imports that do not follow from others."""
    return {
        room: {each for each in found if not any(each in _below(imports, o) for o in found)}
        for room, found in imports.items()
    }


def draw_rooms():
    """Returns the picture of both packages, as SVG.

    Raises:
        ValueError: If `PLACES` does not hold exactly the rooms that there are.
    """
    graphs = {package: room_imports(package) for package in PLACES}
    for package, imports in graphs.items():
        if imports.keys() != PLACES[package].keys():
            raise ValueError(
                f"`PLACES` must hold the rooms of {package}. Received: {sorted(PLACES[package])}, "
                f"where there are {sorted(imports)}"
            )
    rows = 1 + max(_row(imports, room) for imports in graphs.values() for room in imports)
    height = 52 + ROW * (rows - 1) + BOX_HEIGHT
    sheet = Sheet(800, height + 24, "The rooms of keras_resnets and training, and their imports")
    for package, imports in graphs.items():
        _draw_package(sheet, package, imports, rows, height)
    sheet.line([(500, 34), (429, 34)], FAINT, line=1.8, arrow=True)
    sheet.text(466, 26, "imports", size=12, fill=FAINT)
    return sheet.to_svg()


def _draw_package(sheet, package, imports, rows, height):
    left, width, color = PANELS[package]
    sheet.box(left, 12, width, height, tint(color, 0.14), "none", radius=6)
    sheet.text(left + 12, 34, package, size=14, anchor="start", bold=True)
    corners = {
        room: (left + 14 + COLUMN * column, 50 + ROW * (rows - 1 - _row(imports, room)))
        for room, column in PLACES[package].items()
    }
    for room, found in direct_imports(imports).items():
        x, y = corners[room]
        for each in sorted(found, key=corners.get):
            below, top = corners[each]
            sheet.arrow((x + BOX_WIDTH / 2, y + BOX_HEIGHT), (below + BOX_WIDTH / 2, top - 1))
    for room, (x, y) in corners.items():
        sheet.box(x, y, BOX_WIDTH, BOX_HEIGHT, tint(color, 0.55), color)
        sheet.text(x + BOX_WIDTH / 2, y + 21, room, size=14, fill=INK)


def _below(imports, room):
    return set().union(*({each} | _below(imports, each) for each in imports[room]))


def _row(imports, room):
    return 1 + max((_row(imports, each) for each in imports[room]), default=-1)
