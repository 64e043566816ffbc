"""What flows forward: the layers' responses, and branch against shortcut."""

import keras
import numpy as np

from keras_resnets.architecture.copying import within_another_layer
from keras_resnets.layers import ConvNorm, ResidualBlock
from keras_resnets.layers.feature_map import fits_shape
from keras_resnets.layers.graph import all_layers, calls, is_functional

BATCH_SIZE = 128


def batches(data, shape=None, needs_labels=False):
    """Yields `(images, labels)` as NumPy arrays; `labels` is `None` where there are none.

    Images of another shape than a model's `shape` are refused.
    """
    if isinstance(data, tuple) or hasattr(data, "shape"):
        whole, labels = _pair(data)
        starts = range(0, len(whole), BATCH_SIZE)
        parts = [slice(start, start + BATCH_SIZE) for start in starts]
        data = [(whole[part], None if labels is None else labels[part]) for part in parts]
    elif isinstance(data, (str, bytes, dict)) or not hasattr(data, "__iter__"):
        raise TypeError(
            "`data` must be an array of images, a pair (images, labels), or an iterable of "
            f"batches. Received: data={data!r}"
        )
    is_empty = True
    for images, labels in map(_pair, data):
        if not len(images):
            continue
        is_empty = False
        if shape is not None and not fits_shape(images.shape, shape):
            raise ValueError(
                f"Images must be of the shape that the model takes, {tuple(shape)}. "
                f"Received: an array of shape {images.shape}"
            )
        if needs_labels and labels is None:
            raise ValueError(
                "`data` must have labels: a pair (images, labels), or an iterable of such pairs. "
                "Received: images alone"
            )
        yield images, labels
    if is_empty:
        raise ValueError("`data` must hold at least one image. Received: none")


def _pair(batch):
    """Returns a batch as (images, labels), the labels `None` if it has none."""
    pair = batch if isinstance(batch, (tuple, list)) else (batch, None)
    if len(pair) != 2:
        raise ValueError(
            "A batch must be an array of images or a pair (images, labels). "
            f"Received: a {type(batch).__name__} of {len(batch)}"
        )
    images = _array("Images", pair[0])
    if images.ndim != 4:
        raise ValueError(
            "Images must come as a batch of four dimensions. "
            f"Received: an array of shape {images.shape}"
        )
    if pair[1] is None:
        return images, None
    labels = _array("Labels", pair[1])
    count = len(labels) if labels.ndim else "no list of"
    if count != len(images):
        raise ValueError(
            f"Each image needs one label. Received: {len(images)} images and {count} labels"
        )
    return images, labels


def _array(what, values):
    """Returns an array, a tensor or a nested list of numbers as a NumPy array."""
    try:
        values = keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else values
        values = np.asarray(values)
    except (TypeError, ValueError) as error:  # a list of lists of several lengths
        raise TypeError(f"{what} must be arrays of numbers. Received: {values!r}") from error
    if values.dtype.kind in "USMmO":
        raise TypeError(f"{what} must be arrays of numbers. Received: values of {values.dtype}")
    return values


def residual_blocks(model):
    """Returns the residual and plain blocks of a model, from the input on."""
    return [layer for layer in block_model(model).layers if isinstance(layer, ResidualBlock)]


def block_model(model):
    """Returns the functional model whose own layers the blocks are: `model`, or one within it."""
    functional = as_functional(model)
    inner = model_with_blocks(functional)
    return functional if inner is None else block_model(inner)


def as_functional(model):
    """Returns a functional model, or a `keras.Sequential` as one of the same layers."""
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                "A keras.Sequential must be built: let it begin with a keras.Input. "
                f"Received: model={model.name!r}"
            )
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not is_functional(model):
        raise TypeError(
            "`model` must be a functional keras.Model or a keras.Sequential; of another that holds "
            f"such a model, pass that one. Received: model={model!r}"
        )
    return model


def model_with_blocks(model):
    """Returns the layer that is a model with blocks; `None` if the model has blocks itself."""
    found = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.Model)
        and any(isinstance(each, ResidualBlock) for each in all_layers(layer))
    ]
    has_own = any(isinstance(layer, ResidualBlock) for layer in model.layers)
    if not found and not has_own:
        raise ValueError(
            "`model` must have blocks of this package among its layers, or those of a model "
            f"within it. Received: {model.name!r} with none among {len(model.layers)} layers"
            f"{within_another_layer(model, ResidualBlock)}"
        )
    if len(found) + has_own > 1:
        names = [layer.name for layer in found]
        raise ValueError(
            "`model` must have its blocks in one place: pass one of the models within it, such as "
            f"`model.get_layer({names[0]!r})`. Received: {model.name!r} with "
            f"{'blocks of its own and ' * has_own}those of {', '.join(map(repr, names))}"
        )
    return found[0] if found else None


def input_probe(model, layers):
    """Returns a model that outputs what goes into each of the given layers of `block_model`."""
    model = as_functional(model)
    inner = model_with_blocks(model)
    if inner is None:
        outputs = {layer.name: input_of(layer, model) for layer in layers}
    else:
        outputs = input_probe(inner, layers)(input_of(inner, model))
    return keras.Model(model.input, outputs)


def input_of(layer, model):
    """Returns the tensor that a functional model calls a layer with."""
    found = calls(model).get(id(layer), [])  # it may be called in other models, too
    if len(found) != 1:
        raise ValueError(
            f"Each layer must be called once in the model. Received: {layer.name!r}, called "
            f"{len(found)} times in {model.name!r}"
        )
    return found[0].input_tensors[0]


def layer_responses(model, data):
    """Measures the standard deviation of the output of each 3×3 layer.

    This is figure 7 of [He et al., 2015](https://arxiv.org/abs/1512.03385), section 4.2: the
    output is taken after batch normalization, if there is one, and before the activation or the
    addition, in inference. One standard deviation covers all images, positions and channels.

    Args:
        model: A functional model of this package, residual or plain, or one that holds it.
        data: The model's input images: an array, a pair `(images, labels)`, or an iterable of
            batches of either.

    Returns:
        `{name: standard deviation}` from the input on, where a name is a path in the model that has
        the blocks, such as `"stage1_block1/conv2"`.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If the model has no blocks of this package or several networks, or the images
            do not fit it.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> responses = keras_resnets.analysis.layer_responses(keras_resnets.ResNet20(), images)
    >>> len(responses), list(responses)[:2]  # the first convolution, and 2 a block
    (19, ['stem_conv', 'stage1_block1/conv1'])
    """
    layers = [
        layer for layer in block_model(model).layers if isinstance(layer, (ConvNorm, ResidualBlock))
    ]
    probe = input_probe(model, layers)
    found: dict[str, list] = {}
    for images, _ in batches(data, probe.inputs[0].shape):
        inputs = probe(images, training=False)
        for layer in layers:
            for name, response in _responses(layer, inputs[layer.name]):
                values = keras.ops.convert_to_numpy(response).astype("float64")
                found.setdefault(name, []).append((values.size, values.mean(), values.var()))
    return {name: _pooled_deviation(parts) for name, parts in found.items()}


def _responses(layer, x):
    """Yields name and output of each 3×3 layer in a layer that is given `x`."""
    if isinstance(layer, ConvNorm):
        if layer.kernel_size == (3, 3):
            yield layer.name, layer(x, training=False)
        return
    for part in layer.branch_layers():
        x = part(x, training=False)
        if getattr(part, "kernel_size", None) == (3, 3):
            yield f"{layer.name}/{part.name}", x


def _pooled_deviation(parts):
    """Returns the standard deviation of values that come in parts: (count, mean, variance)."""
    counts, means, variances = np.transpose(parts)
    mean = np.average(means, weights=counts)
    return float(np.sqrt(np.average(variances + (means - mean) ** 2, weights=counts)))


def shortcut_balance(model, data):
    """Compares the two terms of every block's sum: F(x), and the shortcut s(x).

    It shows whether a block learns to output zero, a small correction, or something of its own.
    Each number is computed in inference for each image, over all positions and channels, and
    averaged over the images. Where a gate weighs the terms, they are taken as they are added.

    Args:
        model: A functional model of this package with shortcuts, or one that holds it.
        data: The model's input images: an array, a pair `(images, labels)`, or an iterable of
            batches of either.

    Returns:
        `{block: {measure: number}}` from the input on, with the measures

        - `"branch_to_input"`: ‖F(x)‖ / ‖x‖,
        - `"branch_to_shortcut"`: ‖F(x)‖ / ‖s(x)‖, the same where the shortcut is the identity,
        - `"cosine"`: that of the angle between F(x) and s(x), in [−1, 1]; negative where the block
          takes away from what passes it.

        A number is `None` if it is not defined for any image, because a norm is 0.

    Raises:
        TypeError, ValueError: As `layer_responses`; also if the model has plain blocks.

    Example:

    >>> model = keras_resnets.ResNet20(zero_init_residual=True)  # each F begins at 0
    >>> images = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    >>> keras_resnets.analysis.shortcut_balance(model, images)["stage1_block1"]
    {'branch_to_input': 0.0, 'branch_to_shortcut': 0.0, 'cosine': None}
    """
    blocks = residual_blocks(model)
    plain = [block.name for block in blocks if block.shortcut is None]
    if plain:
        raise ValueError(
            "`model` must have shortcuts: a plain block has one term and no sum. "
            f"Received: {model.name!r} with the plain blocks {', '.join(plain)}"
        )
    probe = input_probe(model, blocks)
    found: dict[str, dict[str, list]] = {block.name: {} for block in blocks}
    for images, _ in batches(data, probe.inputs[0].shape):
        inputs = probe(images, training=False)
        for block in blocks:
            for measure, values in _balance(block, inputs[block.name]).items():
                found[block.name].setdefault(measure, []).append(values)
    return {
        name: {measure: _mean(parts) for measure, parts in measures.items()}
        for name, measures in found.items()
    }


def _balance(block, x):
    """Returns the measures of one block, each with a value for every image."""
    terms = block.branch(x, training=False), block.shortcut_path(x, training=False)
    if block.gate_layer is not None:
        terms = block.gate_layer.weigh(*terms, training=False)
    x, residual, passed = (
        keras.ops.convert_to_numpy(term).astype("float64").reshape(len(term), -1)
        for term in (x, *terms)
    )
    input_norm, norm, passed_norm = (np.linalg.norm(y, axis=1) for y in (x, residual, passed))
    return {
        "branch_to_input": _ratio(norm, input_norm),
        "branch_to_shortcut": _ratio(norm, passed_norm),
        "cosine": _ratio(np.sum(residual * passed, axis=1), norm * passed_norm),
    }


def _ratio(a, b):
    """Returns a / b, and not-a-number where b is 0."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _mean(parts):
    values = np.concatenate(parts)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else None
