"""Sphinx configuration. The build needs no network."""

import re

from sphinx.util.inspect import signature, stringify_signature

import keras_resnets

project = "keras_resnets"
author = "The keras_resnets authors"
project_copyright = author
version = release = keras_resnets.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"keras_resnets {release}"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
    ("Reference", "References"),
]


def setup(app):
    app.connect("autodoc-process-signature", _take_signature_from_init)
    app.connect("autodoc-process-docstring", _convert_markdown, priority=400)  # before napoleon


def _take_signature_from_init(app, what, name, obj, options, arguments, returns):
    """Shows a layer's own arguments, where Sphinx sees those of Keras's `Layer.__new__`."""
    if what == "class":
        arguments = stringify_signature(
            signature(obj.__init__, bound_method=True), show_return_annotation=False
        )
    return arguments, returns


def _convert_markdown(app, what, name, obj, options, lines):
    """Turns Markdown's code and links, as Keras's docstrings have them, into reStructuredText.

    A name that is written out from `keras_resnets` on becomes a link to its entry.
    """
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", _convert_code, "\n".join(lines))
    text = re.sub(r"\[([^][]+)\]\((https?://[^)\s]+)\)", r"`\1 <\2>`__", text)
    lines[:] = text.split("\n")


def _convert_code(match):
    is_name = re.fullmatch(r"keras_resnets(\.\w+)+", match[1])
    return f":py:obj:`{match[1]}`" if is_name else f"``{match[1]}``"
