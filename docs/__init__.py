"""The documentation; a package so that `python -m docs.pictures` draws its pictures."""
