"""Images on their way to the model: sources, order, augmentation, batches.

Everything random is a function of the seed and of an example's position in the run. So the batch of
step k is the same in a resumed run, and on any number of threads and workers.
"""
