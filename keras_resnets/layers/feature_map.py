"""Where the axes of a feature map are, in either data format."""


def channel_axis(data_format):
    """Returns the index of the channel axis of a batch of feature maps."""
    return 3 if data_format == "channels_last" else 1


def spatial_padding(padding, data_format):
    """Returns `keras.ops.pad`'s argument for (vertical, horizontal) padding on both sides."""
    vertical, horizontal = ((size, size) for size in padding)
    if data_format == "channels_last":
        return ((0, 0), vertical, horizontal, (0, 0))
    return ((0, 0), (0, 0), vertical, horizontal)


def channel_padding(before, after, data_format):
    """Returns `keras.ops.pad`'s argument for zero channels before and after the present ones."""
    padding = [(0, 0)] * 4
    padding[channel_axis(data_format)] = (before, after)
    return tuple(padding)


def subsample(x, stride, data_format):
    """Returns every `stride`-th row and column of `x`, beginning with the first."""
    if stride == 1:
        return x
    if data_format == "channels_last":
        return x[:, ::stride, ::stride, :]
    return x[:, :, ::stride, ::stride]


def check_feature_map(input_shape, data_format):
    """Returns the number of channels, or raises if the shape is not a batch of feature maps."""
    layout = (
        "(batch, height, width, channels)"
        if data_format == "channels_last"
        else "(batch, channels, height, width)"
    )
    if len(input_shape) != 4:
        raise ValueError(
            f"The input must be a batch of feature maps {layout}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    channels = input_shape[channel_axis(data_format)]
    if channels is None:
        raise ValueError(
            f"The input's number of channels must be known: {layout}. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    return channels


def strided_shape(input_shape, filters, stride, data_format):
    """Returns the shape with `filters` channels and ⌈size / stride⌉ rows and columns."""
    batch, *sizes = input_shape
    channel = channel_axis(data_format) - 1
    sizes = [None if size is None else -(-size // stride) for size in sizes]
    sizes[channel] = filters
    return (batch, *sizes)
