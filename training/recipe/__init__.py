"""Recipes: all that determines a run."""
