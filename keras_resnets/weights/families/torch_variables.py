"""What torch calls the variables of its layers, in every family that comes from it."""

VARIABLES = {
    "conv": {"kernel": "weight"},
    "norm": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
    "predictions": {"kernel": "weight", "bias": "bias"},
}
# A count of training batches, which only a momentum of None reads.
LEFT_OUT = ("num_batches_tracked",)
# `DataParallel` and `torch.compile` put these in front of every name.
WRAPPERS = ((r"^(module\.|_orig_mod\.)+", ""),)
