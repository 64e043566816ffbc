"""Blocks to test, both kinds alike."""

from keras_resnets.layers import BasicBlock, BottleneckBlock
from tests.layer_checks import randomize

BLOCKS = [BasicBlock, BottleneckBlock]


def make_block(cls, x, **options):
    """Returns a block with 4 output channels and random weights, built for `x`."""
    block = cls(4 // cls.expansion, **options)
    block.build(x.shape)
    randomize(block)
    return block


def feature_maps(rng, channels=3):
    return rng.standard_normal((2, 5, 6, channels)).astype("float32")
