"""Sources by name."""

from pathlib import Path

from training.data.source import Source
from training.recipe.recipe import Data


def open_source(
    data: Data,
    split: str,
    data_dir: Path | None = None,
    download: bool = False,
    must_be_sound: bool = True,
) -> Source:
    """Opens one split of the images that a recipe names.

    Args:
        data: The recipe's part on images; `data.source` says which.
        split: Name of the split, such as `data.train_split`.
        data_dir: Folder with data sets prepared by TFDS; by default TFDS's own.
        download: Whether a TFDS set that is missing may be downloaded and prepared. Otherwise
            nothing is ever fetched.
        must_be_sound: As for `FolderSource`.

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
        from training.data.source import digits

        return digits(split)
    if data.source == "synthetic":
        from training.data.source import synthetic

        return synthetic(split, data.image_size)
    if data.source.startswith("folder:"):
        from training.data.folder import FolderSource

        root = Path(data.source.removeprefix("folder:")).expanduser()
        return FolderSource(root, split, must_be_sound)
    from training.data.tfds_sets import tfds_source

    return tfds_source(data.source, split, data_dir, download)


def list_splits(
    source: str, data_dir: Path | None = None, download: bool = False
) -> tuple[str, ...]:
    """Returns the names of all splits of a source, those of a folder in the order of their names.

    Args:
        source: As `data.source` in a recipe.
        data_dir: As for `open_source`.
        download: As for `open_source`.

    Raises:
        ValueError: If the set or the folder is not there.

    Example:

    >>> list_splits("digits")
    ('train', 'test')
    """
    if source in ("digits", "synthetic"):
        return "train", "test"
    if source.startswith("folder:"):
        from training.data.folder import folder_splits

        return folder_splits(Path(source.removeprefix("folder:")).expanduser())
    from training.data.tfds_sets import tfds_splits

    return tfds_splits(source, data_dir, download)
