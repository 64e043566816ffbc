"""Recipes as TOML files, and the page that lists them."""

import dataclasses
import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from keras_resnets.arguments import nearest
from training.recipe.fields import Unset
from training.recipe.recipe import Model, Recipe

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPE_FILE = "recipe.toml"  # in the folder of a run
_HEADER_PARTS = ("Source", "Command", "Cost", "Expected")


class RecipeHeader(NamedTuple):
    """The comment at the head of a recipe's file."""

    title: str
    source: str  # of its numbers
    command: str
    cost: str  # how long it takes, on what
    expected: str  # result, according to whom

    def __str__(self) -> str:
        lines = [f"{part}: {getattr(self, part.lower())}" for part in _HEADER_PARTS]
        return "\n".join([self.title, *lines])


def list_recipes() -> list[str]:
    """Returns the sorted names of the trainer's own recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Returns a recipe by its name, or from a TOML file."""
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
    """Returns the recipe that a command line begins with; for `--help` the default one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        return Recipe()
    if arguments[0].startswith("-"):
        raise ValueError(
            f"The recipe's name must come first, and then the options. Received: {arguments[0]!r}"
        )
    return load_recipe(arguments[0])


def recipe_header(name_or_path: str | Path) -> RecipeHeader:
    """Reads the comment at the head of a recipe's file."""
    path = _path(name_or_path)
    text = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), text)
    lines = [line.removeprefix("#").strip() for line in comment]
    title, *rest = re.split(f"(?m)(?=^(?:{'|'.join(_HEADER_PARTS)}):)", "\n".join(lines))
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
    """Returns the recipe that a TOML text describes. A field that is left out has its default."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"A recipe must be TOML: {error}") from error
    return _from_values(Recipe, values, prefix="")


def recipe_to_toml(recipe: Recipe) -> str:
    """Returns a recipe as TOML with every field."""
    return tomli_w.dumps(dataclasses.asdict(recipe))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns a line for each entry, also a nested one, in which two mappings differ."""
    lines = []
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            lines += differences(was, now, f"{prefix}{name}.")
        elif was != now:
            lines.append(f"{prefix}{name}: {was!r} before, {now!r} now")
    return lines


# Options that a file's network fixes. At their default in a recipe, they give way to the file's.
FIXED_BY_WEIGHTS = ("shortcut", "zero_pad", "stride_on")


def with_what_weights_decided(recipe: Recipe, of_run: Recipe) -> Recipe:
    """Returns a recipe with the values that a run has taken from the same initial weights."""
    if not recipe.model.weights or recipe.model.weights != of_run.model.weights:
        return recipe
    model, data = recipe.model, recipe.data
    options = [name for name in FIXED_BY_WEIGHTS if getattr(model, name) == getattr(Model, name)]
    values = [name for name in ("mean", "std") if isinstance(getattr(data, name), Unset)]
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(model, **{name: getattr(of_run.model, name) for name in options}),
        data=dataclasses.replace(data, **{name: getattr(of_run.data, name) for name in values}),
    )


def recipe_for(run_dir: Path, recipe: Recipe) -> Recipe:
    """Returns a recipe as a run in the folder has it; raises if the folder has one by another."""
    file = run_dir / RECIPE_FILE
    if not file.is_file():
        return recipe
    of_run = load_recipe(file)
    recipe = with_what_weights_decided(recipe, of_run)
    fields = differences(dataclasses.asdict(of_run), dataclasses.asdict(recipe))
    if fields:
        raise ValueError(
            "`run_dir` holds a run by another recipe and can be resumed only with that. For a "
            "new run, choose another folder. "
            f"Received: run_dir={str(run_dir)!r}, which differs in\n  " + "\n  ".join(fields)
        )
    return recipe


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


def _from_values(group: Any, values: dict[str, Any], prefix: str) -> Any:
    """Returns a recipe, or a group of one, from a table."""
    fields: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(group)}
    arguments = {}
    for name, value in values.items():
        if name not in fields:
            raise ValueError(
                f"There is no field `{prefix}{name}` in a recipe.{nearest(name, fields)} "
                f"Received: {prefix}{name}={value!r}"
            )
        if dataclasses.is_dataclass(fields[name]):
            if not isinstance(value, dict):
                raise ValueError(f"`{name}` must be a table. Received: {name}={value!r}")
            value = _from_values(fields[name], value, prefix=f"{prefix}{name}.")
        arguments[name] = value
    return group(**arguments)


PAGE_HEAD = """# Recipes

What `python -m training train NAME --run-dir DIR` can train by. This page is made from the files in
`training/recipes` by `python -m training recipes --page docs/recipes.md`; a recipe states what
differs from the defaults of `training/recipe/recipe.py`.
"""


def recipe_page() -> str:
    """Returns the documentation's page of the trainer's own recipes."""
    sections = [PAGE_HEAD]
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
