"""How gradients change weights: Keras's optimizers, and what they lack."""

import keras

from training.adam import LAMB, AdamW
from training.recipe import Recipe


@keras.saving.register_keras_serializable(package="training")
class CoupledSGD(keras.optimizers.SGD):
    """SGD whose weight decay goes through the momentum, as the papers' and PyTorch's does.

    `coupled_decay` · w is added to the gradient of a weight w, after any clipping and after the
    replicas' gradients have been added up. Keras's own `weight_decay` shrinks the weight beside
    the step instead, by learning_rate · weight_decay · w: with momentum 0.9 it is about ten times
    weaker at the same coefficient.

    The learning rate stands within the momentum, as in Caffe, with which He et al. worked:
    v ← m v − η g, w ← w + v. In PyTorch it stands outside: w ← w − η v. The two are the same for
    a constant rate; when it drops, the steps here stay large for some 1 / (1 − m) more steps
    (Goyal et al., 2017, section 3, remark 2).

    Args:
        learning_rate: A learning rate or a schedule.
        coupled_decay: Coefficient of the decay.
        decay_norm_and_bias: Whether weights with fewer than two dimensions, which are γ, β and
            biases, decay as well.
        **kwargs: The other arguments of `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate, coupled_decay=0.0, decay_norm_and_bias=True, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.coupled_decay = coupled_decay
        self.decay_norm_and_bias = decay_norm_and_bias

    def update_step(self, gradient, variable, learning_rate):
        if self.coupled_decay and (self.decay_norm_and_bias or not is_norm_or_bias(variable)):
            gradient = keras.ops.cast(gradient, variable.dtype) + self.coupled_decay * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {
            **super().get_config(),
            "coupled_decay": self.coupled_decay,
            "decay_norm_and_bias": self.decay_norm_and_bias,
        }


def is_norm_or_bias(variable) -> bool:
    """Returns whether a weight is a γ, a β or a bias: whether it has fewer than two dimensions.

    Args:
        variable: A trainable variable.
    """
    return len(variable.shape) < 2


def build_optimizer(
    recipe: Recipe,
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    model: keras.Model,
) -> keras.optimizers.Optimizer:
    """Returns the optimizer, built for every trainable weight of the model.

    - `"sgd"`: `CoupledSGD`, or Keras's SGD where the decay is decoupled.
    - `"adamw"`: `AdamW`, PyTorch's, which Keras's is not, with β 0.9 and 0.999 and ε 1e-8.
    - `"lamb"`: `LAMB`, the paper's, which Keras's is not.

    Where the decay is decoupled, learning_rate · weight_decay · w is taken from a weight before
    the step, as in PyTorch's AdamW.

    Build it under the strategy's scope, while everything that is ever to be trained is trainable.
    To train fewer weights, apply gradients for these alone: `apply(gradients, variables)`.

    The recipe's `clip_norm` and `accumulate` are the loop's part. Keras clips each replica's
    gradient by itself before they are added up, which is not the whole batch's gradient.

    With precision `"mixed_float16"` the optimizer is wrapped in Keras's `LossScaleOptimizer`. The
    loop must take the gradient of `optimizer.scale_loss(loss)`, and give `apply` the gradients
    still scaled: it divides them by `dynamic_scale`, and where one is not finite leaves the step
    out and halves the scale. A limit on the gradient's norm must be multiplied by `dynamic_scale`.
    Gradients must be added up over the replicas beforehand (and divided by their number, for
    `apply` adds them up once more), or some replicas may take the step and others not.

    Args:
        recipe: A recipe.
        schedule: The learning rate.
        model: A built model.

    Returns:
        A built Keras optimizer.
    """
    options = recipe.optimizer
    weights = model.trainable_variables
    exempt = [] if options.decay_norm_and_bias else [w for w in weights if is_norm_or_bias(w)]
    optimizer: keras.optimizers.Optimizer
    match options.name, options.decay:
        case "sgd", "coupled":
            optimizer = CoupledSGD(
                schedule,
                coupled_decay=options.weight_decay,
                decay_norm_and_bias=options.decay_norm_and_bias,
                momentum=options.momentum,
                nesterov=options.nesterov,
            )
        case "sgd", _:
            optimizer = keras.optimizers.SGD(
                schedule,
                momentum=options.momentum,
                nesterov=options.nesterov,
                weight_decay=options.weight_decay,
            )
            optimizer.exclude_from_weight_decay(var_list=exempt)
        case "adamw", _:
            optimizer = AdamW(schedule, weight_decay=options.weight_decay)
            optimizer.exclude_from_weight_decay(var_list=exempt)
        case _:
            optimizer = LAMB(
                schedule,
                layer_decay=options.weight_decay,
                adapt_norm_and_bias=options.decay_norm_and_bias,
            )
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(weights)
    return optimizer
