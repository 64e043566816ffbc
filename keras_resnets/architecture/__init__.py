"""Networks as data, and the models that are built of it."""
