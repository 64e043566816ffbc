"""The file formats: how each is written and read again."""

import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

# The newest that tf2onnx writes.
OPSET = 18


def write_onnx(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.onnx`, for any batch size."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tf2onnx import optimizer, tf_loader, tfonnx

    path = folder / "model.onnx"
    # `tf2onnx.convert.from_function` would make inputs of captured tensors, such as the statistics
    # of a `keras.layers.Normalization`. In a frozen graph they are constants; `from_graph_def`
    # would freeze it once more.
    frozen = convert_variables_to_constants_v2(
        _concrete(served), lower_control_flow=False, aggressive_inlining=True
    )
    [inputs], [outputs] = frozen.inputs, frozen.outputs
    names = {"input_names": [inputs.name], "output_names": [outputs.name]}
    nodes = frozen.graph.as_graph_def(add_shapes=True)
    with tf.Graph().as_default():
        nodes = tf_loader.tf_optimize(graph_def=nodes, **names)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(nodes, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            **names,
            tensors_to_rename={inputs.name: "inputs", outputs.name: "outputs"},
            opset=OPSET,
            custom_rewriter=[_pad_within_max_pools],
        )
    model = optimizer.optimize_graph(converted).make_model("converted from TensorFlow")
    path.write_bytes(model.SerializeToString())
    return path


def open_onnx(path):
    """Returns `{"tensor": function from a batch to outputs}`."""
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


def write_openvino(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.xml` and `model.bin`."""
    import openvino

    path = folder / "model.xml"
    model = openvino.convert_model(_concrete(served))
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return path


def open_openvino(path):
    """Returns `{"tensor": function from a batch to outputs}`."""
    import openvino

    # On processors with 16-bit arithmetic, OpenVINO would compute in bfloat16.
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", exactly)
    return {"tensor": lambda batch: {"outputs": compiled(batch)[0]}}


def write_litert(served, folder, tensors=None):
    """Writes the signature `tensor` as `model.tflite`, or in 8 bits as `model_int8.tflite`."""
    import tensorflow as tf

    convert = tf.lite.TFLiteConverter.from_concrete_functions
    converter = convert([_concrete(served)], _tracking(served))
    path = folder / "model.tflite"
    if tensors is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([tensor[None]] for tensor in tensors)
        path = folder / "model_int8.tflite"
    path.write_bytes(converter.convert())
    return path


def open_litert(path):
    """Returns `{"tensor": function from a batch to outputs}`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()
    prepared_for = None

    def run(batch):
        nonlocal prepared_for
        if batch.shape != prepared_for:  # takes longer than a small network
            interpreter.resize_tensor_input(inputs["index"], batch.shape)
            interpreter.allocate_tensors()
            prepared_for = batch.shape
        interpreter.set_tensor(inputs["index"], batch)
        interpreter.invoke()
        return {"outputs": interpreter.get_tensor(outputs["index"])}

    return {"tensor": run}


def write_saved_model(served, folder):
    """Writes the signatures of a `ServedModel` into a folder."""
    import tensorflow as tf

    signatures = {name: _concrete(served, name) for name in served.signatures}
    tf.saved_model.save(_tracking(served), str(folder), signatures=signatures)
    return folder


def open_saved_model(folder):
    """Returns `{signature: function from a batch to outputs}`."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def run(function, batch):
        (argument,) = function.structured_input_signature[1]
        outputs = function(**{argument: tf.constant(batch)})
        return {key: value.numpy() for key, value in outputs.items()}

    # A signature does not keep its model; these do.
    names = list(loaded.signatures)
    return {name: lambda batch, name=name: run(loaded.signatures[name], batch) for name in names}


def _concrete(served, signature="tensor"):
    """Returns a signature of a `ServedModel` as a concrete function."""
    import tensorflow as tf

    spec = served.input_spec(signature)
    return tf.function(getattr(served, signature), input_signature=[spec]).get_concrete_function()


def _tracking(served):
    """Returns a module that holds the model's variables, which else would not be saved."""
    import tensorflow as tf

    module = tf.Module()
    module.tracked = [variable.value for variable in served.model.variables]
    return module


class Format(NamedTuple):
    """How a format is written and opened, and what it needs beside TensorFlow."""

    # From a `ServedModel` and a folder (and inputs to calibrate on) to the path that was written.
    write: Callable[..., Any]
    # From that path to `{signature: function from a batch to a dictionary of arrays}`.
    open: Callable[[Any], dict[str, Callable[..., Any]]]
    packages: tuple[str, ...] = ()
    # The extra of this package that installs them.
    extra: str | None = None
    # Whether its ranges are taken from a sample, so that it only approximates.
    is_calibrated: bool = False


FORMATS = {
    "saved_model": Format(write_saved_model, open_saved_model),
    "onnx": Format(write_onnx, open_onnx, ("tf2onnx", "onnxruntime"), "onnx"),
    "litert": Format(write_litert, open_litert, ("ai_edge_litert",), "litert"),
    "litert_int8": Format(write_litert, open_litert, ("ai_edge_litert",), "litert", True),
    "openvino": Format(write_openvino, open_openvino, ("openvino",), "openvino"),
}


def check_packages(names):
    """Raises if a package is missing that one of the formats needs."""
    for name in names:
        for package in FORMATS[name].packages:
            if importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(
                    f"The format {name!r} needs the package {package!r}: "
                    f"`pip install 'keras-resnets[{FORMATS[name].extra}]'`.",
                    name=package,
                )
