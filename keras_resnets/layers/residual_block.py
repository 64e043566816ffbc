"""What every residual block does: decide on its shortcut, add, and activate."""

import abc
from typing import Any

import keras

from keras_resnets.arguments import (
    ANTI_ALIAS,
    SHORTCUTS,
    check_activation,
    check_bool,
    check_choice,
    check_data_format,
    check_positive_int,
    check_rate,
    check_ratio,
    check_shortcut_options,
)
from keras_resnets.layers.composite import CompositeLayer, automatic_stem, is_automatic, within
from keras_resnets.layers.conv_norm import ConvNorm, channel_norm
from keras_resnets.layers.feature_map import check_feature_map, strided_shape
from keras_resnets.layers.pooling import AveragePooling2D, BlurPooling2D
from keras_resnets.layers.shortcuts import IdentityShortcut, ProjectionShortcut
from keras_resnets.layers.squeeze_excitation import SqueezeExcitation


class ResidualBlock(CompositeLayer, abc.ABC):
    """A residual block: y = g(F(x) + s(x)), where F is the branch and s the shortcut.

    This class is abstract. A subclass returns the layers of F from `create_branch`, says in
    `expansion` how many output channels it has per filter, and names in `unsupported` the options
    that its layers do not follow. The rest is that of
    [He et al., 2015](https://arxiv.org/abs/1512.03385), section 3.2:

    - The shortcut is the input itself, without weights, iff the stride is 1 and the channels
      match. The block decides this when it is built, from the shape of its input. Otherwise
      `shortcut` says how the input is fitted to the sum.
    - The activation g follows the sum; F ends with batch normalization.
    - `shortcut=None` is the plain block, y = g(F(x)).

    `branch(x)` and `shortcut_path(x)` give the two terms of the sum, for inspection.

    Args:
        filters: Number of filters of the branch's 3×3 convolutions.
        strides: Stride of the block.
        shortcut: What to do where the shapes differ. `"A"` subsamples and adds zero channels, `"B"`
            projects, `"C"` projects even where the shapes match, `"D"` projects averages over
            windows as large as the stride ([He et al., 2018](https://arxiv.org/abs/1812.01187),
            section 4.2), `None` leaves the shortcut out.
        activation: Activation after each convolution but the last, and after the sum.
        dilation: Dilation of the 3×3 convolutions.
        zero_init_residual: Whether the branch's last γ begins at 0, so that the block begins as
            its shortcut ([Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 5.1).
        drop_path_rate: Probability in [0, 1) with which a training example skips the branch
            ([Huang et al., 2016](https://arxiv.org/abs/1603.09382)); the remaining branches are
            scaled by 1 / (1 - rate).
        zero_pad: Where option A puts its zero channels, `"end"` or `"both"`.
        first_dilation: Dilation of the 3×3 convolution that carries the stride; `None` means
            `dilation`. In the first block of a dilated stage it is that of the stage before.
        data_format: As in Keras; `None` takes `keras.config.image_data_format()`.
        folded: Whether each normalization that follows a convolution is folded into it, as
            `keras_resnets.fuse_batch_norm` does for inference.
        pre_activation: Whether normalization and activation stand before each convolution and none
            after the sum ([He et al., 2016](https://arxiv.org/abs/1603.05027)). A projection reads
            the activated input; with `"both"`, an identity does so too, as in the first block
            behind a convolution (its appendix).
        anti_alias: `"blur"` or `"average"`: the convolution that carries the stride has none, and
            behind its activation the map is blurred and subsampled
            ([Zhang, 2019](https://arxiv.org/abs/1904.11486)) or averaged; `None` for neither.
        se_ratio: Inner over outer channels of a `SqueezeExcitation` at the end of F, such as 1/16;
            `None` for none.
        dropout_rate: Probability in [0, 1) of dropping a value before the last convolution, of
            several, in training ([Zagoruyko & Komodakis, 2016](https://arxiv.org/abs/1605.07146)).
        **kwargs: `frozen`, names of frozen sublayers, and arguments of `keras.layers.Layer`.

    Output shape:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, filters * expansion)` for an input
        `(batch, height, width, channels)`; the same with channels first.

    Raises:
        ValueError, TypeError: If an argument is not allowed or has no effect beside the others, or
            (when built) if option A would have to remove channels.
    """

    expansion: int = 1
    # Options that a subclass of another order of layers does not have.
    unsupported: tuple[str, ...] = ()

    def __init__(
        self,
        filters,
        strides=1,
        shortcut="B",
        activation="relu",
        dilation=1,
        zero_init_residual=False,
        drop_path_rate=0.0,
        *,
        zero_pad="end",
        first_dilation=None,
        data_format=None,
        folded=False,
        pre_activation=False,
        anti_alias=None,
        se_ratio=None,
        dropout_rate=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive_int("filters", filters)
        self.strides = check_positive_int("strides", strides)
        self.shortcut = check_choice("shortcut", shortcut, SHORTCUTS)
        self.activation = check_activation("activation", activation)
        self.dilation = check_positive_int("dilation", dilation)
        self.zero_init_residual = check_bool("zero_init_residual", zero_init_residual)
        self.drop_path_rate = check_rate("drop_path_rate", drop_path_rate)
        self.zero_pad = check_choice("zero_pad", zero_pad, ("end", "both"))
        first_dilation = self.dilation if first_dilation is None else first_dilation
        self.first_dilation = check_positive_int("first_dilation", first_dilation)
        self.data_format = check_data_format("data_format", data_format)
        self.folded = check_bool("folded", folded)
        if not isinstance(pre_activation, bool) and pre_activation not in ["both"]:
            raise ValueError(
                "`pre_activation` must be True, False or 'both'. "
                f"Received: pre_activation={pre_activation!r}"
            )
        if pre_activation == "both" and shortcut is None:
            raise ValueError(
                "`pre_activation='both'` activates what a shortcut reads, and needs one. "
                "Received: pre_activation='both', shortcut=None"
            )
        self.pre_activation = pre_activation
        self.anti_alias = check_choice("anti_alias", anti_alias, ANTI_ALIAS)
        self.se_ratio = None if se_ratio is None else check_ratio("se_ratio", se_ratio)
        self.dropout_rate = check_rate("dropout_rate", dropout_rate)
        check_shortcut_options(
            shortcut, zero_pad, zero_init_residual, drop_path_rate, pre_activation
        )
        for name in self.unsupported:
            if getattr(self, name):
                raise ValueError(
                    f"{type(self).__name__} does not support `{name}`. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if self.strides > 1 and max(self.dilation, self.first_dilation) > 1:
            raise ValueError(
                "A block cannot have both a stride and a dilation. Received: "
                f"strides={strides}, dilation={dilation}, first_dilation={first_dilation}"
            )

        # A subclass may replace these: what follows the sum, and what weighs its terms.
        self.output_activation = self.activation
        if pre_activation:
            self.output_activation = keras.activations.linear
        self.sum_norm: Any = None
        self.gate_layer: Any = None

        self._branch_names: tuple[str, ...] = ()
        self.shortcut_layer: Any = None
        self.drop_path = None
        if self.drop_path_rate:
            options = {"noise_shape": (None, 1, 1, 1), "dtype": self.dtype_policy}
            self.drop_path = keras.layers.Dropout(self.drop_path_rate, **options, name="drop_path")

    @abc.abstractmethod
    def create_branch(self):
        """Returns the layers of F in their order; each becomes an attribute under its name."""

    def branch_layers(self):
        """The layers of F, in their order; none before the block is built."""
        return [getattr(self, name) for name in self._branch_names]

    def shared_layers(self):
        """The first layers of F that the shortcut reads, too: those of a shared pre-activation."""
        is_projection = isinstance(self.shortcut_layer, ProjectionShortcut)
        is_shared = self.pre_activation and (self.pre_activation == "both" or is_projection)
        return self._start_layers() if is_shared else []

    def bypass_layers(self):
        """The layers beside F, in their order: the shortcut, its gate, the norm of the sum."""
        layers = (self.shortcut_layer, self.gate_layer, self.sum_norm)
        return [layer for layer in layers if layer is not None]

    def build(self, input_shape):
        channels = check_feature_map(input_shape, self.data_format)
        shape = input_shape
        for layer in (*self._create_start(), *self.create_branch(), *self._create_end()):
            if self.folded and isinstance(layer, ConvNorm) and layer.normalize:
                layer = ConvNorm.from_config({**layer.get_config(), "folded": True})
            if hasattr(self, layer.name) or is_automatic(layer.name, automatic_stem(layer)):
                # Weights under such a name could be lost, or not be found again.
                raise ValueError(
                    "Each layer of a branch needs a `name` of its own: not one that Keras numbers, "
                    f"nor one in use in the block. Received: name={layer.name!r}"
                )
            setattr(self, layer.name, layer)
            self._branch_names += (layer.name,)
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        for layer in (self.gate_layer, self.sum_norm):
            if layer is not None:
                layer.build(shape)
        if self.shortcut is not None:
            self.shortcut_layer = self._create_shortcut(channels)
            self.shortcut_layer.build(input_shape)
        self.freeze_sublayers()

    def call(self, inputs, training=None):
        own = type(self)
        paths = (own.branch, own.shortcut_path)
        if self.shared_layers() and paths == (ResidualBlock.branch, ResidualBlock.shortcut_path):
            # Computed once: they update statistics.
            start = self._start(inputs, training)
            y = self._branch_from(start, training)
            x = self.shortcut_layer(start, training=training)
        else:
            y = self.branch(inputs, training=training)
            x = self.shortcut and self.shortcut_path(inputs, training=training)
        if self.shortcut is not None:
            if self.drop_path is not None:
                y = self.drop_path(y, training=training)
            if self.gate_layer is not None:
                y, x = self.gate_layer.weigh(y, x, training=training)
            y = y + x
        if self.sum_norm is not None:
            y = self.sum_norm(y, training=training)
        return self.output_activation(y)

    def branch(self, inputs, training=None):
        """Returns F(x), before the sum and the last activation."""
        self._build_for(inputs)
        return self._branch_from(self._start(inputs, training), training)

    def shortcut_path(self, inputs, training=None):
        """Returns s(x): the input itself, padded with zeros, or projected."""
        if self.shortcut is None:
            raise ValueError("A plain block has no shortcut. Received: shortcut=None")
        self._build_for(inputs)
        x = inputs
        for layer in (*self.shared_layers(), self.shortcut_layer):
            x = layer(x, training=training)
        return x

    def compute_output_shape(self, input_shape):
        filters = self.filters * self.expansion
        return strided_shape(input_shape, filters, self.strides, self.data_format)

    def _create_start(self):
        """Returns the layers before the first convolution with `pre_activation`."""
        if not self.pre_activation:
            return []
        return [channel_norm(self, "start_norm"), self._activation("start_activation")]

    def _create_end(self):
        """Returns what follows the last convolution, before the sum."""
        if self.se_ratio is None:
            return []
        return [SqueezeExcitation(self.se_ratio, **within(self, "excitation"))]

    def _start(self, inputs, training):
        """Returns what the first convolution reads: the input, activated with `pre_activation`."""
        x = inputs
        for layer in self._start_layers():
            x = layer(x, training=training)
        return x

    def _branch_from(self, x, training):
        for layer in self.branch_layers()[len(self._start_layers()) :]:
            x = layer(x, training=training)
        return x

    def _start_layers(self):
        return self.branch_layers()[:2] if self.pre_activation else []

    def _create_shortcut(self, channels):
        filters = self.filters * self.expansion
        if needs_projection(self.shortcut, self.strides, channels, filters):
            normalize = not self.pre_activation
            options: dict[str, Any] = {"folded": self.folded and normalize, "normalize": normalize}
            if self.shortcut == "D" and self._subsampling() > 1:
                options |= {"pool_size": self._subsampling(), "dilation": self.first_dilation}
            projection = within(self, "projection")
            return ProjectionShortcut(filters, self.strides, **options, **projection)
        return IdentityShortcut(filters, self.strides, self.zero_pad, **within(self, "identity"))

    def _subsampling(self):
        """Returns the block's stride, or the one that a dilation stands for."""
        return self.strides * max(1, self.dilation // self.first_dilation)

    def _conv(self, name, kernel_size, filters=None, carries_stride=False, is_last=False, groups=1):
        """Returns a convolution of the branch with its normalization."""
        dilation = self.first_dilation if carries_stride else self.dilation
        is_strided = carries_stride and self.anti_alias is None
        return ConvNorm(
            filters or self.filters,
            kernel_size,
            strides=self.strides if is_strided else 1,
            dilation=dilation if kernel_size > 1 else 1,
            gamma_initializer="zeros" if is_last and self.zero_init_residual else "ones",
            groups=groups,
            normalize=not (is_last and self.pre_activation),
            **within(self, name),
        )

    def _convolution(self, number, *arguments, carries_stride=False, is_last=False, **options):
        """Returns a convolution of the branch, and what is before and behind it."""
        options |= {"carries_stride": carries_stride, "is_last": is_last}
        layers = [self._conv(f"conv{number}", *arguments, **options)]
        if is_last and number > 1 and self.dropout_rate:
            dropout = {"dtype": self.dtype_policy, "name": "branch_dropout"}
            layers.insert(0, keras.layers.Dropout(self.dropout_rate, **dropout))
        if not is_last:
            layers.append(self._activation(f"activation{number}"))
        if carries_stride and self._subsampling() > 1 and self.anti_alias:
            dilation = self.first_dilation
            if self.anti_alias == "blur":
                pool = BlurPooling2D(self.strides, dilation, **within(self, "blur"))
            else:
                size = self._subsampling()
                pool = AveragePooling2D(size, self.strides, dilation, **within(self, "average"))
            layers.append(pool)
        return layers

    def _activation(self, name):
        return keras.layers.Activation(self.activation, dtype=self.dtype_policy, name=name)

    def _build_for(self, inputs):
        if not self.built:
            self.build(tuple(inputs.shape))


def needs_projection(shortcut, strides, channels, filters):
    """Whether the shortcut from `channels` to `filters` channels has weights."""
    is_identity = strides == 1 and channels == filters
    return shortcut == "C" or (shortcut in ("B", "D") and not is_identity)
