"""Runs: folders, checkpoints, evaluations."""
