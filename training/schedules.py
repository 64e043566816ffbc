"""How the learning rate changes: Keras's schedules where it has them."""

import keras

from training.duration import to_steps
from training.recipe import Recipe
from training.schedule_shapes import LinearWarmup, PiecewiseLinear
from training.watching_schedules import Plateau, WarmupUntilAccuracy


def peak_learning_rate(recipe: Recipe) -> float:
    """Returns the schedule's greatest learning rate, scaled by the batch if the recipe says so.

    Linear scaling: k times the batch takes k times the learning rate
    ([Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 2.1).

    Args:
        recipe: A recipe.

    Example:

    >>> from training.recipe import Optimizer
    >>> optimizer = Optimizer(learning_rate=0.1, reference_batch=256)
    >>> peak_learning_rate(Recipe(batch=512, optimizer=optimizer))
    0.2
    """
    optimizer = recipe.optimizer
    scale = recipe.batch / optimizer.reference_batch if optimizer.reference_batch else 1.0
    return optimizer.learning_rate * scale


def build_schedule(
    recipe: Recipe, examples: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the number of steps already taken.

    So the first step has the rate at 0. With T steps in all, W of them warm-up, and the peak p,
    the rate rises in a line from `warmup_from` · p at 0 to p at W. Then it is, at t:

    - `"constant"`: p.
    - `"step"`: p · factorⁿ, with n the number of boundaries b ≤ t. Boundaries count from the
      start of the run, also with a warm-up.
    - `"plateau"`: p · factorⁿ after n falls; see `Plateau`.
    - `"cosine"`: half a cosine from p at W to `final` · p at T.
    - `"polynomial"`: p · ((1 − `final`) · ((T − t) / (T − W))^power + `final`).
    - `"onecycle"`: a line back to `warmup_from` · p at 2 W, and another to `final` · p at T, which
      is the one-cycle policy of [Smith, 2018](https://arxiv.org/abs/1803.09820) (section 4), but
      for its momentum, which stays as it is. PyTorch's `OneCycleLR` has its peak one step earlier,
      at W − 1, and its end at T − 1. The later variant that falls only once, from W to T,
      is `"polynomial"` or `"cosine"` with a warm-up.

    Build it under the strategy's scope: some schedules have variables.

    Args:
        recipe: A recipe.
        examples: Number of examples of an epoch.

    Returns:
        A Keras schedule; a `WatchingSchedule` where the rate depends on more than the step.

    Raises:
        ValueError: If the warm-up or a boundary is not within the run, or boundaries do not grow.
    """
    schedule, peak = recipe.schedule, peak_learning_rate(recipe)
    total = to_steps(recipe.length, recipe.batch, examples)
    warmup = to_steps(schedule.warmup, recipe.batch, examples)
    start, end = peak * schedule.warmup_from, peak * schedule.final
    lines = 2 if schedule.name == "onecycle" else 1
    if lines * warmup >= total:
        what = "Twice `schedule.warmup`, the rise and the fall," if lines == 2 else "The warm-up"
        raise ValueError(
            f"{what} must be over before the run is. Received: schedule.warmup="
            f"{schedule.warmup!r} ({warmup} steps), length={recipe.length!r} ({total} steps)"
        )

    match schedule.name:
        case "cosine":
            rise = {"warmup_target": peak, "warmup_steps": warmup} if warmup else {}
            return keras.optimizers.schedules.CosineDecay(
                start if warmup else peak, total - warmup, alpha=schedule.final, **rise
            )
        case "onecycle":
            return PiecewiseLinear([0, warmup, 2 * warmup, total], [start, peak, start, end])
        case "polynomial":
            fall = keras.optimizers.schedules.PolynomialDecay(
                peak, total - warmup, end_learning_rate=end, power=schedule.power
            )
            return LinearWarmup(fall, warmup, start, peak, restart=True) if warmup else fall

    main = _steps(recipe, peak, examples, total) if schedule.name == "step" else constant(peak)
    if warmup:
        main = LinearWarmup(main, warmup, start, peak)
    if schedule.name == "plateau":
        return Plateau(main, schedule.factor, schedule.patience)
    if schedule.warmup_until_accuracy:
        return WarmupUntilAccuracy(main, start, schedule.warmup_until_accuracy)
    return main


def constant(learning_rate: float) -> PiecewiseLinear:
    """Returns a schedule that never changes.

    Args:
        learning_rate: The learning rate.
    """
    return PiecewiseLinear([0], [learning_rate])


def _steps(recipe, peak, examples, total):
    texts = recipe.schedule.boundaries
    boundaries = [to_steps(text, recipe.batch, examples) for text in texts]
    grow = all(one < other for one, other in zip([0, *boundaries], boundaries, strict=False))
    if not grow or boundaries[-1] >= total:
        raise ValueError(
            "`schedule.boundaries` must grow, and be over before the run is. Received: "
            f"schedule.boundaries={texts!r} ({boundaries} steps), length={recipe.length!r} "
            f"({total} steps)"
        )
    # Keras keeps a value up to and including the boundary, and counts steps from 0.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [boundary - 1 for boundary in boundaries],
        [peak * recipe.schedule.factor**count for count in range(len(boundaries) + 1)],
    )
