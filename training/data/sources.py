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
