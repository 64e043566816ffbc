"""A LiteRT file (formerly TensorFlow Lite), for phones and small devices."""

import os


def write_litert(served, folder):
    """Writes the signature `tensor` of a `ServedModel` as `model.tflite`."""
    path = folder / "model.tflite"
    path.write_bytes(_converter(served).convert())
    return path


def write_litert_int8(served, folder, tensors):
    """Writes it as `model_int8.tflite`: weights and activations in 8 bits, in and out in 32.

    Args:
        served: A `ServedModel`.
        folder: A `pathlib.Path`.
        tensors: Batch of the model's inputs, float32: the ranges of the activations are taken
            from them.
    """
    import tensorflow as tf

    converter = _converter(served)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([tensor[None]] for tensor in tensors)
    path = folder / "model_int8.tflite"
    path.write_bytes(converter.convert())
    return path


def open_litert(path):
    """Returns a function from a batch to a dictionary of outputs, as the signature `tensor`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    prepared_for = None
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def run(batch):
        nonlocal prepared_for
        if batch.shape != prepared_for:  # takes longer than a small network
            interpreter.resize_tensor_input(input_index, batch.shape)
            interpreter.allocate_tensors()
            prepared_for = batch.shape
        interpreter.set_tensor(input_index, batch)
        interpreter.invoke()
        return {"outputs": interpreter.get_tensor(output_index)}

    return {"tensor": run}


def _converter(served):
    import tensorflow as tf

    module = tf.Module()
    module.tracked = [variable.value for variable in served.model.variables]
    function = tf.function(served.tensor, input_signature=[served.input_spec("tensor")])
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()], module
    )
