"""Where a recipe's images are. Without TensorFlow, so that mistakes are found at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_resnets.arguments import nearest
from training.recipe.recipe import Data

BUNDLED = ("digits", "synthetic")
SUFFIXES = (".jpg", ".jpeg", ".png")
TEST_FOLDERS = ("test", "val", "validation")


def check_images(data: Data, data_dir: Path | None, download: bool) -> None:
    """Raises if the images of a recipe, or those of its splits, are not there."""
    check_source("data.source", data.source, data_dir, download)
    if data.source.startswith("folder:"):
        train, _ = (
            folder_of_split(folder_of(data.source), split, data.test_share)[0]
            for split in (data.train_split, data.test_split)
        )
        if names := class_folders(train):  # where there are none, that is said
            check_classes(data.source, names)


def check_classes(source: str, class_names: Sequence[str]) -> None:
    """Raises unless there are at least two classes."""
    if len(class_names) < 2:
        raise ValueError(
            "There must be at least two classes to tell apart. "
            f"Received: data.source={source!r}, with {', '.join(class_names)} alone"
        )


def check_source(
    name: str, source: str, data_dir: Path | None = None, download: bool = False
) -> None:
    """Raises if images are to come from a folder or a data set that is not there."""
    if source.startswith("folder:"):
        if not folder_of(source).is_dir():
            raise ValueError(
                f"`{name}` must name an existing folder after 'folder:'. "
                f"Received: {name}={source!r}"
            )
    elif "/" in source and Path(source).is_dir():
        raise ValueError(
            f"`{name}` must begin with 'folder:' for images in a folder: 'folder:{source}'. "
            f"Received: {name}={source!r}"
        )
    elif source not in BUNDLED:
        prepared_folder(source, data_dir, download)


def prepared_folder(name: str, data_dir: Path | None, download: bool) -> Path | None:
    """Returns the folder of a data set; `None` if it is to be downloaded."""
    data_dir = tfds_folder(data_dir)
    folder = find_prepared(name, data_dir)
    if folder is None and not download:
        found = [*data_dir.glob("*/*/dataset_info.json"), *data_dir.glob("*/*/*/dataset_info.json")]
        prepared = [file.relative_to(data_dir).parts[0] for file in found]
        known = [*BUNDLED, "cifar10", "cifar100", "imagenet2012", *prepared]
        hint = "" if name in known else nearest(name, known)
        if Path(name).is_dir():
            hint += f" For the images in a folder it is 'folder:{name}'."
        raise ValueError(
            f"The data set {name!r} is not prepared in {str(data_dir)!r}. Either set `--data-dir` "
            "to the folder that holds it, or let TFDS download it with `--download`."
            f"{hint} Received: source={name!r}"
        )
    return folder


def tfds_folder(data_dir: Path | None) -> Path:
    """Returns the folder with prepared data sets: the given one, or TFDS's own."""
    default = Path("~/tensorflow_datasets").expanduser()
    return data_dir or Path(os.environ.get("TFDS_DATA_DIR", default))


def find_prepared(name: str, data_dir: Path) -> Path | None:
    """Finds the folder of a prepared data set, without network access."""
    path, _, version = name.partition(":")
    pattern = f"{version or '*'}/dataset_info.json"

    def version_of(file):  # 3.10.0 comes after 3.9.0
        return [int(part) if part.isdigit() else -1 for part in file.parent.name.split(".")]

    found = sorted((data_dir / path).glob(pattern), key=version_of)
    if not found and "/" not in path:
        found = sorted((data_dir / path).glob(f"*/{pattern}"), key=version_of)
        configurations = sorted({str(file.parents[1].relative_to(data_dir)) for file in found})
        if len(configurations) > 1:
            raise ValueError(
                f"{name!r} is prepared in several configurations: {', '.join(configurations)}; "
                f"name one. Received: source={name!r}"
            )
    return found[-1].parent if found else None


def folder_of(source: str) -> Path:
    """Returns the folder of a source that begins with `folder:`."""
    try:
        return Path(source.removeprefix("folder:")).expanduser()
    except RuntimeError as error:  # of a user that there is not
        raise ValueError(
            f"`data.source` must name an existing folder. {error} Received: data.source={source!r}"
        ) from error


def folder_of_split(root: Path, split: str, share: float) -> tuple[Path, bool]:
    """Returns the folder with a split's class folders, and whether it is flat; or raises."""
    flat = is_flat(root)
    _check_share(root, split, flat, share)
    return (root if flat else _split_folder(root, split)), flat


def is_flat(root: Path) -> bool:
    """Whether images lie right in the folders of a folder, which are then classes, not splits."""
    train = root / "train"
    if not root.is_dir() or (train.is_dir() and class_folders(train)):
        return False
    names = class_folders(root)
    if {"train", *TEST_FOLDERS}.issuperset(names):  # splits without class folders, by mistake
        return False
    return any(any(image_files(root / name)) for name in names)


def _check_share(root, split, flat, share):
    if not flat and share and class_folders(root):  # where there are none, that is said
        raise ValueError(
            "`data.test_share` is for a folder with its class folders at once; this one has "
            f"folders for its splits. Received: data.test_share={share}, PATH={str(root)!r}"
        )
    if flat and not share:
        raise ValueError(
            f"{str(root)!r} has class folders and none for the splits: pass `--data.test-share "
            "0.2` to test with a fifth of the images, chosen by their content, or make the folders "
            "`train` and `test`. Received: data.test_share=0.0"
        )
    if flat and split not in ("train", "test"):
        raise ValueError(
            "The splits of a folder without folders for them are 'train' and 'test'. "
            f"Received: split={split!r}"
        )


def _split_folder(root, split):
    names = TEST_FOLDERS if split == "test" else (split,)
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise ValueError(
        f"`folder:PATH` needs a folder {' or '.join(repr(name) for name in names)} in PATH, with a "
        f"folder for each class in it.{_advice(root)} Received: PATH={str(root)!r}, split={split!r}"
    )


def _advice(root):
    """Returns what helps if a path is one of images, as that of a class."""
    if not root.is_dir() or class_folders(root) or not image_files(root)[0]:
        return ""
    return (
        " There are images in PATH itself: if they are one class, name the folder above it; "
        "otherwise move those of each class to a folder of its own."
    )


def folder_splits(root: Path) -> tuple[str, ...]:
    """Returns the names of the splits in a folder, `train` before the others."""
    if is_flat(root):
        return "train", "test"
    splits = class_folders(root) if root.is_dir() else []
    if not splits:
        raise ValueError(
            "`folder:PATH` needs a folder for each split in PATH, with a folder for each class in "
            f"it.{_advice(root)} Received: PATH={str(root)!r}"
        )
    return tuple(sorted(splits, key=lambda name: (name != "train", name)))


def class_folders(folder: Path) -> list[str]:
    """Returns the names of the folders in a folder, sorted, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )


def image_files(folder):
    """Returns the image files in a folder, and pipes, devices and sockets named like images."""
    files, special = [], []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.name.startswith(".") or not entry.name.lower().endswith(SUFFIXES):
                continue
            path = folder / entry.name
            if entry.is_file() or not path.exists():  # a broken link is an unreadable file
                files.append(path)
            elif not entry.is_dir():
                special.append(path)
    return files, special
