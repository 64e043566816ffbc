"""A run: train by a recipe, evaluate, and write it all down; or go on where it was stopped."""

from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console

from training.data.sources import open_source
from training.recipe import Recipe
from training.recipe_files import recipe_differences, recipe_from_toml
from training.sitting import COMPLETE, RECIPE, RESULT, Sitting
from training.strategy import ClusterName, StrategyName, is_chief, make_strategy


def run(
    recipe: Recipe,
    run_dir: Path,
    data_dir: Path | None = None,
    download: bool = False,
    strategy_name: StrategyName = "auto",
    cluster: ClusterName = "auto",
    steps_per_call: int = 0,
    console: Console | None = None,
    tensorboard: bool = False,
) -> int:
    """Does a run, or what is left of it.

    Args:
        recipe: All that determines the run.
        run_dir: Its folder. One that holds a run by the same recipe is gone on with.
        data_dir: Where prepared TFDS data sets are.
        download: Whether a missing data set may be downloaded.
        strategy_name: See `training.strategy.make_strategy`.
        cluster: Likewise.
        steps_per_call: Steps between looks at signals and at the progress bar; 0 for 1 on a CPU
            and 20 on a GPU.
        console: Where to print.
        tensorboard: Whether event files for TensorBoard are written, to the folder `tensorboard`.

    Returns:
        The exit status: 0 when the run is complete, 143 after SIGTERM and 130 after SIGINT, with
        a checkpoint of the step then reached.

    Raises:
        ValueError: If the folder holds a run by another recipe.
        Diverged: If a loss or gradient is not finite; the last checkpoint stays.
    """
    console = console or Console()
    begun = _begun_recipe(run_dir)
    if begun is not None and begun != recipe:
        raise ValueError(
            f"`run_dir` holds a run by another recipe, and can only go on with that. "
            f"Received: run_dir={str(run_dir)!r}, which differs in\n  "
            + "\n  ".join(recipe_differences(begun, recipe))
        )
    if (run_dir / RESULT).exists():
        console.print(f"This run is complete: {run_dir / RESULT}", highlight=False)
        return COMPLETE
    strategy = make_strategy(strategy_name, cluster)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(recipe.precision)
    keras.utils.set_random_seed(recipe.seed)
    console.quiet = console.quiet or not is_chief(strategy)
    train_source = open_source(recipe.data, recipe.data.train_split, data_dir, download)
    test_source = open_source(recipe.data, recipe.data.test_split, data_dir, download)
    steps_per_call = steps_per_call or (20 if tf.config.list_logical_devices("GPU") else 1)
    sitting = Sitting(recipe, run_dir, strategy, train_source, test_source, console, tensorboard)
    sitting.resume()
    return sitting.train(steps_per_call)


def _begun_recipe(folder):
    path = folder / RECIPE
    return recipe_from_toml(path.read_text(encoding="utf-8")) if path.exists() else None
