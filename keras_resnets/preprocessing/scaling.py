"""Whether a model scales its images itself, by layers before its first weights."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_resnets.arguments import check_pair
from keras_resnets.preprocessing.layer import ImagePreprocessing

# Of the images that are sent through, where the model leaves it open.
SIZE = 64
# The fields of a `Preprocessing` that leaves grey levels as they are.
GREY_LEVELS = {"value_range": (0.0, 255.0), "mean": (0.0,), "std": (1.0,), "channel_order": "rgb"}
SCALING_LAYERS = (ImagePreprocessing, keras.layers.Normalization, keras.layers.Rescaling)


def inner_scaling(model, stem):
    """Returns what black and white, 0 and 255, become before a model's first weights.

    Whatever scales is seen, a layer or an operation, in nested models too: two images are sent
    through all that comes before the first layer with weights to be trained.

    Args:
        model: A functional model.
        stem: The layer with the weights that follow at the latest.

    Returns:
        The two values; of a preprocessing layer, or where Python code hides a layer that scales,
        0 and 1; `None` if they are 0 and 255 still.
    """
    own = [each.preprocessing for each in _layers(model) if isinstance(each, ImagePreprocessing)]
    if not all(map(leaves_values, own)):
        return 0.0, 1.0  # it is for grey levels, and says so
    if not _is_graph(model):
        return (0.0, 1.0) if _scales_somewhere(model) else None
    size = max([SIZE, *(max(check_pair("crop", each.crop or 1)) for each in own)])
    # A thread of its own is within no graph of TensorFlow's and no trace of JAX's.
    with ThreadPoolExecutor(1) as thread:
        black, white = thread.submit(_ends, model, stem, size).result()
    return None if np.allclose((black, white), (0, 255), atol=0.01) else (black, white)


def leaves_values(preprocessing):
    """Whether a preprocessing leaves grey levels as they are."""
    return all(getattr(preprocessing, name) == value for name, value in GREY_LEVELS.items())


def takes_grey_levels(ends):
    """Whether what `inner_scaling` returned is plausible, so that 0 and 255 are what it is for.

    Layers that are for images of 0 to 1 spread white far beyond 255, or only shift it by less than
    a grey level; a second division by 255 leaves nothing.
    """
    black, white = ends
    return 0.5 <= abs(white - black) <= 255.01 and (abs(black) >= 1 or abs(white) <= 128)


def _ends(model, stem, size):
    values = [
        np.stack([np.full([side or size for side in each.shape[1:]], level) for level in (0, 255)])
        for each in model.inputs
    ]
    while True:
        graph = getattr(model, "_functional", None) or model  # a Sequential model's own
        node = _first_learner(graph, stem)
        if not _are_inputs(node.input_tensors, graph):
            front = keras.Model(graph.inputs, node.input_tensors)
            values = keras.tree.flatten(front(values, training=False))
        model = node.operation
        if not _is_graph(model):
            break
    if model is not stem and _scales_somewhere(model):  # one of Python code
        return 0.0, 1.0
    black, white = np.asarray(keras.ops.convert_to_numpy(values[0]), "float64")
    return float(np.median(black)), float(np.median(white))


def _first_learner(graph, stem):
    """Returns the node of the first layer with weights on the way to the stem, or of the stem."""
    nodes = _nodes(graph)
    last = next((node for node in nodes if stem in _layers(node.operation)), None)
    if last is not None and not _are_inputs(last.input_tensors, graph):
        nodes = [*_nodes(keras.Model(graph.inputs, last.input_tensors)), last]
    return next(node for node in nodes if node is last or _learns(node.operation))


def _are_inputs(tensors, graph):
    return [id(each) for each in tensors] == [id(each) for each in graph.inputs]


def _nodes(graph):
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _learns(operation):
    return any(layer._trainable_variables for layer in _layers(operation))


def _scales_somewhere(operation):
    return any(isinstance(layer, SCALING_LAYERS) for layer in _layers(operation))


def _layers(operation):
    return list(operation._flatten_layers()) if isinstance(operation, keras.Layer) else []


def _is_graph(operation):
    graph = getattr(operation, "_functional", None) or operation
    return hasattr(graph, "_nodes_by_depth")
