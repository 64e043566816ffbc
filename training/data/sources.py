"""Sources by name."""

from pathlib import Path

from training.data.source import Source
from training.recipe import Data


def open_source(
    data: Data, split: str, data_dir: Path | None = None, download: bool = False
) -> Source:
    """Opens one split of the images that a recipe names.

    Args:
        data: The recipe's part on images; `data.source` says which.
        split: Name of the split, such as `data.train_split`.
        data_dir: Folder with data sets prepared by TFDS; by default TFDS's own.
        download: Whether a TFDS set that is missing may be downloaded and prepared. Otherwise
            nothing is ever fetched.

    Returns:
        A source: the images of CIFAR-sized sets in memory, those of larger ones on disk.

    Raises:
        ValueError: If the set, its split or its files are not there.

    Example:

    >>> source = open_source(Data(source="digits"), "train")
    >>> source.size, source.channels
    (1437, 1)
    """
    if data.source == "digits":
        from training.data.bundled import digits

        return digits(split)
    if data.source == "synthetic":
        from training.data.bundled import synthetic

        return synthetic(split, data.image_size)
    if data.source.startswith("folder:"):
        from training.data.folder import FolderSource

        return FolderSource(Path(data.source.removeprefix("folder:")).expanduser(), split)
    from training.data.tfds_sets import tfds_source

    return tfds_source(data.source, split, data_dir, download)
