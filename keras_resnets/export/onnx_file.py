"""An ONNX file, for ONNX Runtime and others."""

# The newest that tf2onnx writes.
OPSET = 18


def write_onnx(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.onnx`, for any batch size."""
    import tensorflow as tf
    import tf2onnx

    path = folder / "model.onnx"
    signature = [served.input_spec("tensor")]
    function = tf.function(served.tensor, input_signature=signature)
    tf2onnx.convert.from_function(function, signature, opset=OPSET, output_path=str(path))
    return path


def open_onnx(path):
    """Returns a function from a batch to a dictionary of outputs, as the signature `tensor`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(batch):
        (outputs,) = session.run(["outputs"], {"inputs": batch})
        return {"outputs": outputs}

    return {"tensor": run}
