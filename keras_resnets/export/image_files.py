"""JPEG and PNG files within a TensorFlow graph."""

BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def decode_image_file(contents, channels):
    """Decodes the contents of a JPEG or PNG file.

    TensorFlow's decoders take other kinds as well, some of them as other shapes: an animation
    has one more axis.
    """
    import tensorflow as tf

    is_known = [
        tf.strings.substr(contents, 0, len(beginning)) == tf.constant(beginning)
        for beginning in BEGINNINGS
    ]
    allowed = tf.debugging.Assert(
        tf.reduce_any(is_known),
        ["An image must be a JPEG or PNG file. Received: one that begins with other bytes"],
    )
    # In a graph the decoder, a pure function, would otherwise run first.
    with tf.control_dependencies([] if allowed is None else [allowed]):  # None eagerly
        # Takes PNG as well. The accurate transform is what Pillow's and most others' is.
        return tf.io.decode_jpeg(contents, channels=channels, dct_method="INTEGER_ACCURATE")
