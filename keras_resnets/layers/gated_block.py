"""The basic block with a weight on its shortcut."""

import keras

from keras_resnets.layers.residual_block import ResidualBlock
from keras_resnets.layers.shortcut_gate import ShortcutGate
from keras_resnets.layers.stacked_block import stacked_branch


@keras.saving.register_keras_serializable(package="keras_resnets")
class GatedBlock(ResidualBlock):
    """A residual block of two 3×3 convolutions whose shortcut is weighed by a gate.

    The gates, but for the learned weights `"scalar"` and `"channel"`, are those of section 3.1 of
    [He et al., 2016](https://arxiv.org/abs/1603.05027), whose test errors for ResNet-110 on
    CIFAR-10 stand beside them, against 6.61 % for the identity: `"constant"` 12.35,
    `"shortcut_only"` 12.86 and 6.91 with biases of 0 and −6, `"exclusive"` 8.70 with −6,
    `"dropout"` fails. The paper's 1×1 convolution on the shortcut (12.22) is `shortcut="C"`.

    Arguments, shapes and errors are those of `ResidualBlock`, with two more; the output has
    `filters` channels.

    Args:
        gate: A gate of `ShortcutGate`; `None` leaves the shortcut as it is, for `BasicBlock`.
        gate_bias: Where the bias of a gate with a convolution begins; `None` means 0.

    Example:

    >>> block = keras_resnets.layers.GatedBlock(16, gate="scalar")
    >>> block(np.ones((1, 8, 8, 16))).shape == (1, 8, 8, 16)
    True
    >>> float(block.gate_layer.scale)
    1.0
    """

    def __init__(self, filters, *args, gate=None, gate_bias=None, **kwargs):
        super().__init__(filters, *args, **kwargs)
        self.gate = gate
        self.gate_bias = gate_bias
        if gate is None and gate_bias is not None:
            raise ValueError(
                f"`gate_bias` belongs to a gate. Received: gate_bias={gate_bias}, gate=None"
            )
        if gate is not None:
            if self.shortcut is None:
                raise ValueError(
                    "A plain block has no shortcut to weigh. "
                    f"Received: gate={gate!r}, shortcut=None"
                )
            self.gate_layer = ShortcutGate(
                gate,
                gate_bias,
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name="gate",
            )

    def create_branch(self):
        return stacked_branch(self, depth=2)

    def get_config(self):
        return {**super().get_config(), "gate": self.gate, "gate_bias": self.gate_bias}
