"""A SavedModel: TensorFlow's own format."""


def write_saved_model(served, folder):
    """Writes the signatures of a `ServedModel` into a folder."""
    import tensorflow as tf

    module = tf.Module()
    module.tracked = [variable.value for variable in served.model.variables]
    signatures = {
        name: tf.function(
            getattr(served, name), input_signature=[served.input_spec(name)]
        ).get_concrete_function()
        for name in served.signatures
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def open_saved_model(folder):
    """Returns a function from a batch to a dictionary of outputs for each signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def runner(name):
        def run(batch):
            function = loaded.signatures[name]
            (argument,) = function.structured_input_signature[1]
            outputs = function(**{argument: tf.constant(batch)})
            return {key: value.numpy() for key, value in outputs.items()}

        return run

    return {name: runner(name) for name in loaded.signatures}
