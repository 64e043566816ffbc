"""The recipes' optimizers.

They are rebuilt from the recipe, never saved as objects, so they have no `get_config`.
"""

import math
from typing import Any

import keras

from training.recipe.recipe import Recipe


class AdamW(keras.optimizers.Optimizer):
    """AdamW as in PyTorch and timm.

    [Loshchilov & Hutter, 2019](https://arxiv.org/abs/1711.05101), algorithm 2:

        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
        w ← w − η λ w,  w ← w − η · m̂ / (√v̂ + ε)

    where m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). `keras.optimizers.AdamW` adds ε to √v before
    the bias is removed, so that it counts 1 / √(1 − β₂) = 32 times as much in the first step.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = keras.ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, learning_rate * self.moments_update(gradient, variable))

    def moments_update(self, gradient, variable):
        """Updates a weight's moments, and returns m̂ / (√v̂ + ε)."""
        gradient = keras.ops.cast(gradient, variable.dtype)
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        self.assign_add(momentum, (1 - self.beta_1) * (gradient - momentum))
        self.assign_add(velocity, (1 - self.beta_2) * (gradient * gradient - velocity))
        unbiased_momentum = momentum / _one_minus_power(self.beta_1, step)
        unbiased_velocity = velocity / _one_minus_power(self.beta_2, step)
        return unbiased_momentum / (keras.ops.sqrt(unbiased_velocity) + self.epsilon)


class LAMB(AdamW):
    """Adam whose step in each layer is proportional to the norm of the layer's weights.

    [You et al., 2020](https://arxiv.org/abs/1904.00962), algorithm 2, with φ(z) = z:

        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²
        r = m̂ / (√v̂ + ε) + λ w,  w ← w − η · ‖w‖ / ‖r‖ · r

    where m̂ and v̂ are m and v without their bias. The ratio is 1 if one of the norms is 0, and for
    γ, β and biases if `adapt_norm_and_bias` is `False`. `keras.optimizers.Lamb` computes the same
    for λ = 0; it applies its `weight_decay` outside of the ratio.
    """

    def __init__(
        self,
        learning_rate=0.001,
        layer_decay=0.0,
        adapt_norm_and_bias=True,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.layer_decay = layer_decay
        self.adapt_norm_and_bias = adapt_norm_and_bias

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = keras.ops.cast(learning_rate, variable.dtype)
        update = self.moments_update(gradient, variable)
        if self.adapt_norm_and_bias or len(variable.shape) > 1:
            update = update + self.layer_decay * variable
            weight_norm, update_norm = _norm(variable), _norm(update)
            is_defined = (weight_norm > 0) & (update_norm > 0)
            ratio = weight_norm / keras.ops.maximum(update_norm, 1e-38)
            update = update * keras.ops.where(is_defined, ratio, 1.0)
        self.assign_sub(variable, learning_rate * update)


def _one_minus_power(beta, step):
    """Returns 1 − βᵗ. In float32, the difference has a relative error of 5e-5 for β = 0.999."""
    return -keras.ops.expm1(step * math.log(beta))


def _norm(tensor):
    """Returns the norm of all values; `keras.ops.norm` does not support four dimensions."""
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(tensor)))


class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay goes through the momentum, as in the papers and in PyTorch.

    `coupled_decay` · w is added to the gradient of a weight w, after any clipping and after the
    replicas' gradients have been added up. Keras's own `weight_decay` subtracts
    learning_rate · weight_decay · w from the weight instead: with momentum 0.9, that is about ten
    times weaker at the same coefficient.

    The learning rate is inside the momentum, as in Caffe, which He et al. used: v ← m v − η g,
    w ← w + v. In PyTorch it is outside: w ← w − η v (Goyal et al., 2017, section 3, remark 2).
    """

    def __init__(self, learning_rate, coupled_decay=0.0, decay_norm_and_bias=True, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.coupled_decay = coupled_decay
        self.decay_norm_and_bias = decay_norm_and_bias

    def update_step(self, gradient, variable, learning_rate):
        if self.coupled_decay and (self.decay_norm_and_bias or not is_norm_or_bias(variable)):
            gradient = keras.ops.cast(gradient, variable.dtype) + self.coupled_decay * variable
        super().update_step(gradient, variable, learning_rate)


def is_norm_or_bias(variable) -> bool:
    """Returns whether a weight is a γ, a β or a bias: whether it has fewer than two dimensions."""
    return len(variable.shape) < 2


def build_optimizer(
    recipe: Recipe,
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    model: keras.Model,
) -> keras.optimizers.Optimizer:
    """Returns the optimizer, built for every trainable weight of the model.

    Call it under the strategy's scope, while every weight to be trained at any time is trainable.
    The loop handles the recipe's `clip_norm` and `accumulate`: Keras would clip each replica's
    gradient before they are added up, which is not the whole batch's gradient.

    With precision `"mixed_float16"`, Keras's `LossScaleOptimizer` wraps the optimizer: it takes
    scaled gradients, skips a step with one that is not finite, and then halves the scale.
    """
    options = recipe.optimizer
    weights = model.trainable_variables
    exempt = [] if options.decay_norm_and_bias else [w for w in weights if is_norm_or_bias(w)]
    decay = options.weight_decay
    momentum: dict[str, Any] = {"momentum": options.momentum, "nesterov": options.nesterov}
    optimizer: keras.optimizers.Optimizer
    match options.name, options.decay:
        case "sgd", "coupled":
            optimizer = CoupledSGD(schedule, decay, options.decay_norm_and_bias, **momentum)
        case "sgd", _:
            optimizer = keras.optimizers.SGD(schedule, weight_decay=decay, **momentum)
            optimizer.exclude_from_weight_decay(var_list=exempt)
        case "adamw", _:
            optimizer = AdamW(schedule, weight_decay=decay)
            optimizer.exclude_from_weight_decay(var_list=exempt)
        case _:
            optimizer = LAMB(schedule, decay, options.decay_norm_and_bias)
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(weights)
    return optimizer
