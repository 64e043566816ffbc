"""The documentation's page of recipes, made from their files."""

from training.recipe_files import FOLDER, list_recipes, recipe_header

HEAD = """# Recipes

What `python -m training train NAME --run-dir DIR` can train by. This page is made from the files in
`training/recipes` by `python -m training recipes --page docs/recipes.md`; a recipe states what
differs from the defaults of `training/recipe.py`.
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
