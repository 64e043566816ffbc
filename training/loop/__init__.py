"""From a recipe to a network that learns."""
