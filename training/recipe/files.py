"""Recipes as TOML files, and the page that lists them."""

import dataclasses
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from keras_resnets.arguments import nearest
from training.recipe.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "recipes"
_HEADER_PARTS = ("Source", "Command", "Cost", "Expected")


class RecipeHeader(NamedTuple):
    """What the comment at the head of a recipe's file says.

    Attributes:
        title: What it is, in a line.
        source: Where its numbers are from.
        command: What to type.
        cost: How long it takes, on what.
        expected: What comes out, according to whom.
    """

    title: str
    source: str
    command: str
    cost: str
    expected: str

    def __str__(self) -> str:
        lines = [f"{part}: {getattr(self, part.lower())}" for part in _HEADER_PARTS]
        return "\n".join([self.title, *lines])


def list_recipes() -> list[str]:
    """Returns the names of the recipes that come with the trainer, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Returns a recipe by its name, or from a TOML file.

    Example:

    >>> load_recipe("cifar10_paper").length
    '64000 steps'
    """
    path = _path(name_or_path)
    try:
        return recipe_from_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"The recipe cannot be read: {error.strerror}. Received: {str(path)!r}"
        ) from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def named_recipe(arguments: Sequence[str]) -> Recipe:
    """Returns the recipe that a command line begins with, or the default where it names none.

    Example:

    >>> named_recipe(["cifar10_paper", "--run-dir", "runs/1"]).length
    '64000 steps'
    """
    if not arguments or not {"-h", "--help"}.isdisjoint(arguments[:1]):
        return Recipe()
    if arguments[0].startswith("-"):
        raise ValueError(
            f"The recipe's name must come first, and then the options. Received: {arguments[0]!r}"
        )
    return load_recipe(arguments[0])


def recipe_header(name_or_path: str | Path) -> RecipeHeader:
    """Returns what the comment at the head of a recipe's file says.

    The first line is the title. Parts follow that begin with `Source:`, `Command:`, `Cost:` and
    `Expected:`, each over as many lines as it needs.

    Example:

    >>> recipe_header("digits").command
    'python -m training train digits --run-dir runs/digits'
    """
    path = _path(name_or_path)
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    pattern = r"^(?:" + "|".join(_HEADER_PARTS) + "):"
    title, *rest = re.split(f"(?m)(?={pattern})", "\n".join(lines))
    parts = {"title": " ".join(title.split())}
    for text in rest:
        name, _, words = text.partition(":")
        parts[name.lower()] = " ".join(words.split())
    missing = [name for name in RecipeHeader._fields if not parts.get(name)]
    if missing:
        raise ValueError(
            f"The header of a recipe must have a title and {', '.join(_HEADER_PARTS)}. "
            f"Received: {str(path)!r} without {', '.join(missing)}"
        )
    return RecipeHeader(**parts)


def recipe_from_toml(text: str) -> Recipe:
    """Returns the recipe that a TOML text describes. What it leaves out has its default.

    Example:

    >>> recipe_from_toml("batch = 64").batch
    64
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"A recipe must be TOML: {error}") from error
    return _from_values(Recipe, values, prefix="")


def recipe_to_toml(recipe: Recipe) -> str:
    """Returns a recipe as TOML, every field written out; `recipe_from_toml` gives it back."""
    return tomli_w.dumps(dataclasses.asdict(recipe))


def recipe_differences(old: Recipe, new: Recipe) -> list[str]:
    """Returns a line for each field in which two recipes differ, named with dots.

    Example:

    >>> recipe_differences(Recipe(), Recipe(batch=64))
    ['batch: 128 before, 64 now']
    """
    return _differences(old, new, prefix="")


def _path(name_or_path):
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ValueError(f"There must be a recipe at the path. Received: {str(path)!r}")
        return path
    names = list_recipes()
    if str(name_or_path) not in names:
        raise ValueError(
            f"A recipe must be one of {', '.join(names)}, or the path of a .toml file."
            f"{nearest(str(name_or_path), names)} Received: {str(name_or_path)!r}"
        )
    return FOLDER / f"{name_or_path}.toml"


def _from_values(group: type, values: dict[str, Any], prefix: str) -> Any:
    """Returns a recipe, or a group of one, from a table."""
    fields = {field.name: field.type for field in dataclasses.fields(group)}
    arguments = {}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(
                f"There is no field `{prefix}{name}` in a recipe.{nearest(name, fields)} "
                f"Received: {prefix}{name}={value!r}"
            )
        kind = fields[name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            if not isinstance(value, dict):
                raise ValueError(f"`{name}` must be a table. Received: {name}={value!r}")
            value = _from_values(kind, value, prefix=f"{prefix}{name}.")
        arguments[name] = value
    return group(**arguments)


def _differences(old, new, prefix):
    lines = []
    for field in dataclasses.fields(old):
        was, now = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(was):
            lines += _differences(was, now, f"{prefix}{field.name}.")
        elif was != now:
            lines.append(f"{prefix}{field.name}: {was!r} before, {now!r} now")
    return lines


HEAD = """# Recipes

What `python -m training train NAME --run-dir DIR` can train by. This page is made from the files in
`training/recipes` by `python -m training recipes --page docs/recipes.md`; a recipe states what
differs from the defaults of `training/recipe/recipe.py`.
"""


def recipe_page() -> str:
    """Returns a page with a section for each recipe: what, whence, how long, what comes out."""
    sections = [HEAD]
    for name in list_recipes():
        header = recipe_header(name)
        text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
        fields = "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip()
        sections.append(
            f"## {name}\n\n{header.title}\n\n"
            f"- **Source**: {header.source}\n"
            f"- **Cost**: {header.cost}\n"
            f"- **Expected**: {header.expected}\n\n"
            f"```sh\n{header.command}\n```\n\n```toml\n{fields}\n```\n"
        )
    return "\n".join(sections)
