"""A run: train by a recipe, evaluate, and write it all down; or resume it."""

import contextlib
import os
from pathlib import Path

import keras
import tensorflow as tf
from rich.console import Console
from rich.text import Text

from training.data.sources import open_source
from training.loop.learner import Learner, Observer
from training.loop.loop import keep_freed_memory
from training.loop.strategy import (
    ClusterName,
    StrategyName,
    check_shares,
    is_chief,
    lost_workers_named,
    make_strategy,
)
from training.recipe.files import recipe_differences, recipe_from_toml, recipe_to_toml
from training.recipe.recipe import Recipe
from training.run.checkpoint import has_checkpoints
from training.run.folder import locked, write_text
from training.run.result import RESULT
from training.run.sitting import CHECKPOINTS, COMPLETE, Sitting
from training.stderr import held_stderr
from training.stopping import StopSignals

RECIPE = "recipe.toml"


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
    observer: Observer | None = None,
) -> int:
    """Does a run, or what is left of it."""
    if steps_per_call < 0:
        raise ValueError(
            f"`steps_per_call` must be at least 0. Received: steps_per_call={steps_per_call}"
        )
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Keras's `image_data_format` must be 'channels_last' to train, as the images are read "
            "so; it is set in the file keras.json. "
            f"Received: image_data_format={keras.config.image_data_format()!r}"
        )
    if run_dir.exists() and not run_dir.is_dir():
        raise ValueError(f"`run_dir` must be a folder. Received: run_dir={str(run_dir)!r}")
    checkpoints = run_dir / CHECKPOINTS
    if os.path.lexists(checkpoints) and not checkpoints.is_dir():
        raise ValueError(
            f"`run_dir` must hold its {CHECKPOINTS} as a folder: move what stands in its place. "
            f"Received: {str(checkpoints)!r}, which is no folder"
        )
    console = console or Console()
    if _is_complete(recipe, run_dir, console):
        return COMPLETE
    keep_freed_memory()
    strategy = make_strategy(strategy_name, cluster)
    check_shares(recipe, strategy.num_replicas_in_sync)
    console.quiet = console.quiet or not is_chief(strategy)
    # The others write nothing.
    lock = locked(run_dir) if is_chief(strategy) else contextlib.nullcontext(lambda: None)
    # After the strategy: that of several workers takes SIGTERM for itself.
    with StopSignals() as signals, lock as check_folder:
        # Once more, now that no other process can write.
        if _is_complete(recipe, run_dir, console):
            return COMPLETE
        tf.config.experimental.enable_op_determinism()
        keras.config.set_dtype_policy(recipe.precision)
        keras.utils.set_random_seed(recipe.seed)
        train_source = open_source(recipe.data, recipe.data.train_split, data_dir, download)
        test_source = open_source(recipe.data, recipe.data.test_split, data_dir, download)
        has_gpu = bool(tf.config.list_logical_devices("GPU"))
        with lost_workers_named(strategy):
            is_resumed = has_checkpoints(checkpoints)
            learner = Learner(recipe, strategy, train_source, test_source, is_resumed, observer)
            sitting = Sitting(recipe, run_dir, learner, signals, console, tensorboard, check_folder)
            if is_chief(strategy):  # not before all that the recipe asks for was found
                check_folder()
                write_text(run_dir / RECIPE, recipe_to_toml(recipe))
            sitting.resume()
            # Decoders complain of each image that is skipped, at each attempt and without a name.
            skips = recipe.data.on_bad_image == "skip"
            with held_stderr() if skips else contextlib.nullcontext():
                return sitting.train(steps_per_call or (20 if has_gpu else 1))


def _is_complete(recipe, folder, console):
    """Returns whether the run is complete; raises if the folder holds a run by another recipe."""
    path = folder / RECIPE
    begun = recipe_from_toml(path.read_text(encoding="utf-8")) if path.exists() else recipe
    if begun != recipe:
        raise ValueError(
            f"`run_dir` holds a run by another recipe, and can only go on with that. "
            f"Received: run_dir={str(folder)!r}, which differs in\n  "
            + "\n  ".join(recipe_differences(begun, recipe))
        )
    is_complete = (folder / RESULT).exists()
    if is_complete:
        console.print(Text(f"This run is complete: {folder / RESULT}"), soft_wrap=True)
    return is_complete
