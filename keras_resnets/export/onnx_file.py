"""An ONNX file, for ONNX Runtime and others."""

# The newest that tf2onnx writes.
OPSET = 18


def write_onnx(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.onnx`, for any batch size."""
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    path = folder / "model.onnx"
    function = tf.function(served.tensor, input_signature=[served.input_spec("tensor")])
    # `tf2onnx.convert.from_function` would make inputs of captured tensors, such as the statistics
    # of a `keras.layers.Normalization`. In a frozen graph they are constants.
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(), lower_control_flow=False, aggressive_inlining=True
    )
    [inputs], [outputs] = frozen.inputs, frozen.outputs
    tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(add_shapes=True),
        input_names=[inputs.name],
        output_names=[outputs.name],
        tensors_to_rename={inputs.name: "inputs", outputs.name: "outputs"},
        opset=OPSET,
        custom_rewriter=[_pad_within_max_pools],
        output_path=str(path),
    )
    return path


def open_onnx(path):
    """Returns a function from a batch to a dictionary of outputs, as the signature `tensor`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(batch):
        (outputs,) = session.run(["outputs"], {"inputs": batch})
        return {"outputs": outputs}

    return {"tensor": run}


def _pad_within_max_pools(graph, operations):
    """Gives the padding before a `SymmetricMaxPooling2D`'s pooling to the pooling itself.

    ONNX has no padding with mirrored edges, and tf2onnx makes some ten operations of it, on the
    largest feature map of the network: on a CPU, a tenth of ResNet-50's time. ONNX's pooling has a
    padding that never wins, which gives the same: each mirrored pixel is in its window anyway.

    Args:
        graph: A graph of tf2onnx, of operations that are still TensorFlow's.
        operations: Its nodes.

    Returns:
        The nodes; tf2onnx leaves out those that nothing needs any more.
    """
    for pool in operations:
        if pool.type != "MaxPool" or pool.get_attr_value("padding") != b"VALID":
            continue
        pad = pool.inputs[0]
        if pad.type != "MirrorPad" or pad.get_attr_value("mode") != b"SYMMETRIC":
            continue
        paddings = pad.inputs[1].get_tensor_value(as_list=True)
        sizes = pool.get_attr_value("ksize")
        if all(2 * max(pair) < size for pair, size in zip(paddings, sizes, strict=True)):
            pool.set_attr("padding", "EXPLICIT")
            pool.set_attr("explicit_paddings", [each for pair in paddings for each in pair])
            graph.replace_input(pool, pool.input[0], pad.input[0], 0)
    return graph.get_nodes()
