"""Where a recipe's images are. Without TensorFlow, so that mistakes are found at once."""

import os
from pathlib import Path

from keras_resnets.arguments import nearest

BUNDLED = ("digits", "synthetic")


def check_source(
    name: str, source: str, data_dir: Path | None = None, download: bool = False
) -> None:
    """Raises if images are to come from a folder or a data set that is not there."""
    if source.startswith("folder:"):
        if not Path(source.removeprefix("folder:")).expanduser().is_dir():
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
