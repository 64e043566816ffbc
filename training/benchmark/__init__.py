"""How fast a training step is: ours, plain Keras's and PyTorch's, in turns on one machine."""
