"""OpenVINO's intermediate representation, for Intel's processors."""


def write_openvino(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.xml` and `model.bin`."""
    import openvino
    import tensorflow as tf

    path = folder / "model.xml"
    function = tf.function(served.tensor, input_signature=[served.input_spec("tensor")])
    converted = openvino.convert_model(function.get_concrete_function())
    openvino.save_model(converted, str(path), compress_to_fp16=False)
    return path


def open_openvino(path):
    """Returns a function from a batch to a dictionary of outputs, as the signature `tensor`."""
    import openvino

    # On processors with 16-bit arithmetic, OpenVINO would compute in bfloat16.
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", exactly)
    return {"tensor": lambda batch: {"outputs": compiled(batch)[0]}}
