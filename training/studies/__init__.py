"""Studies: questions about residual networks, each answered by a grid of runs."""
