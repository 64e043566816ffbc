"""What a command does, and where, beside its recipe. Without TensorFlow, as recipes are."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

StrategyName = Literal["auto", "one-device", "mirrored", "multi-worker", "tpu"]
ClusterName = Literal["auto", "slurm", "tf-config"]
# On the command line, the names of a recipe's fields.
DataSource = Annotated[str, tyro.conf.arg(name="data.source")]
TestShare = Annotated[float, tyro.conf.arg(name="data.test-share")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is done.

    Args:
        data_dir: Folder with prepared TFDS data sets.
        download: Allow the download of a data set that is missing.
        strategy: Where to compute.
        cluster: How several workers find each other.
        steps_per_call: Steps between looks at signals; 0 for 1 on a CPU and 20 on a GPU.
        tensorboard: Write event files for TensorBoard too, to the run's folder.
        accept_changed_data: Resume on images that have changed, as after one was repaired or
            removed. The result records it.
    """

    data_dir: Path | None = None
    download: bool = False
    strategy: StrategyName = "auto"
    cluster: ClusterName = "auto"
    steps_per_call: int = 0
    tensorboard: bool = False
    accept_changed_data: bool = False

    def __post_init__(self):
        if self.steps_per_call < 0:
            raise ValueError(
                "`steps_per_call` must be at least 0. "
                f"Received: steps_per_call={self.steps_per_call}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What a model is measured on, and how.

    Args:
        dataset: A source as in a recipe; by default the run's.
        split: By default the run's test split.
        test_share: Part of the images that is the test split, of a folder without folders for the
            splits; by default the run's, if its data set is measured.
        data_dir: Folder with prepared TFDS data sets.
        download: Allow the download of a data set that is missing.
        ten_crop: Average the probabilities of ten views.
        crop_ratio: Size of the central crop over the shorter side after resizing; 0 for the
            run's, and 1 for a file.
        batch: Images at a time, over all devices; 0 for the run's.
    """

    dataset: DataSource = ""
    split: str = ""
    test_share: TestShare = 0.0
    data_dir: Path | None = None
    download: bool = False
    ten_crop: bool = False
    crop_ratio: float = 0.0
    batch: int = 0
