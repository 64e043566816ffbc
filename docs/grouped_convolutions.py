"""Times convolutions in groups beside dense ones: `python -m docs.grouped_convolutions`.

It prints two columns of the table in `docs/benchmark.md`, with or without oneDNN as
`TF_ENABLE_ONEDNN_OPTS` says.
"""

import time

import numpy as np
import tensorflow as tf

from keras_resnets.layers.feature_map import Conv2D

GROUPS, BATCH, TURNS = 32, 8, 8
# Height, and channels of the 3×3 convolutions, of the stages of ResNeXt-50 32×4d.
STAGES = ((56, 128), (28, 256), (14, 512), (7, 1024))


def core_seconds(size, channels, groups):
    """Returns the core time of a multiply-add: forward, and forward and backward."""
    layer = Conv2D(channels, 3, padding="same", groups=groups, use_bias=False)
    images = np.random.default_rng(0).normal(size=(BATCH, size, size, channels))
    x = tf.Variable(images, dtype="float32")
    layer.build(x.shape)

    @tf.function
    def forward():
        return layer(x.value())

    @tf.function
    def both():
        with tf.GradientTape() as tape:
            outputs = layer(x.value())
        return tape.gradient(outputs, [x, layer.kernel.value])

    return [_median_of_turns(step) / (channels**2 / groups * size**2) for step in (forward, both)]


def _median_of_turns(step):
    step()  # builds the graph
    turns = []
    for _ in range(TURNS):
        begin = time.process_time()
        step()
        turns.append(time.process_time() - begin)
    return np.median(turns)


if __name__ == "__main__":
    print("| feature map, channels | forward | forward and backward |\n| --- | ---: | ---: |")
    for size, channels in STAGES:
        grouped = core_seconds(size, channels, GROUPS)
        dense = core_seconds(size, round(channels / GROUPS**0.5), 1)
        ratios = [one / other for one, other in zip(grouped, dense, strict=True)]
        shown = [f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}" for ratio in ratios]
        print(f"| {size}×{size}, {channels} | {' | '.join(shown)} |")
