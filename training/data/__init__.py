"""Images on their way to the model: sources, order, augmentation, batches.

Everything that is random is a function of the seed and of an example's place in the run, so that
step k's batch is the same whatever ran before, on any number of threads and workers.
"""
