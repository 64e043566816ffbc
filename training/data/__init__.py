"""Images on their way to the model: sources, order, augmentation, batches.

Everything random is a function of the seed and of an example's position in the run.
"""
