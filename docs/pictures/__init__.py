"""The pictures of the documentation, drawn from the models and blocks that they show."""
