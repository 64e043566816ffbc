"""From a spec to the arguments of its blocks: where strides, dilations and drop rates go."""

from keras_resnets.models.spec import STEM_STRIDES


def block_arguments(spec):
    """Yields for each stage of a spec the arguments of its blocks, a dictionary each.

    Args:
        spec: A `ResNetSpec`.

    Yields:
        A list of dictionaries, one a block, for the class that `spec.block` names.

    Example:

    >>> spec = keras_resnets.ResNetSpec(block="basic", repeats=(1, 2), widths=(8, 16))
    >>> [[block["strides"] for block in stage] for stage in block_arguments(spec)]
    [[1], [2, 1]]
    """
    options = {
        "shortcut": spec.shortcut,
        "zero_pad": spec.zero_pad,
        "activation": spec.activation,
        "zero_init_residual": spec.zero_init_residual,
    }
    if spec.block == "bottleneck":
        options["stride_on"] = spec.stride_on

    stride_left = (spec.output_stride or spec.natural_stride) // STEM_STRIDES[spec.stem]
    dilation = 1
    built = 0
    for stage, (repeats, filters) in enumerate(zip(spec.repeats, spec.widths, strict=True), 1):
        stride, dilation_before = (1 if stage == 1 else 2), dilation
        if stride > stride_left:
            dilation *= stride
            stride = 1
        stride_left //= stride

        blocks = []
        for block in range(1, repeats + 1):
            built += 1
            # What would have had the stride still reads the stage before; a 1×1 does not dilate.
            keeps_dilation = block == 1 and spec.stride_on == "3x3"
            blocks.append(
                {
                    "filters": filters,
                    "strides": stride if block == 1 else 1,
                    "dilation": dilation,
                    "first_dilation": dilation_before if keeps_dilation else dilation,
                    "drop_path_rate": spec.drop_path_rate * (built / sum(spec.repeats)),
                    **options,
                }
            )
        yield blocks
