"""Downloaded weights: where they are kept, and when the network may be asked."""

import os
from pathlib import Path

from keras_resnets.weights.download import DownloadError, download, has_sha256
from keras_resnets.weights.presets import Preset

FOLDER = "KERAS_RESNETS_CACHE"
OFFLINE = "KERAS_RESNETS_OFFLINE"


def cached_file(preset: Preset) -> Path:
    """Returns the path of a preset's file, which is downloaded if it is not there yet.

    The file is verified each time: what lies in a cache for years can change. One with another
    sha256 is replaced when the download has succeeded.

    Raises:
        DownloadError: If it is not there, or is another, and cannot be had; or the environment
            forbids to try.
    """
    path = cache_folder() / preset.url.rpartition("/")[2]
    is_there = path.is_file()
    if is_there and has_sha256(path, preset.sha256):
        return path
    if is_offline():
        found = (
            f"has another sha256 than {preset.sha256}… in the cache"
            if is_there
            else ("is not in the cache")
        )
        raise DownloadError(
            f"{preset.name!r} {found}, and {OFFLINE} forbids to download it: unset the variable, "
            f"or put {preset.url} at {str(path)!r}"
        )
    download(preset.url, path, preset.sha256, preset.most_bytes)
    return path


def cache_folder() -> Path:
    """Returns the folder of downloaded weights.

    It is `$KERAS_RESNETS_CACHE`, or else `keras_resnets` in Keras's own folder: `$KERAS_HOME`, or
    `~/.keras`.
    """
    own = os.environ.get(FOLDER)
    if own:
        return Path(own)
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras_resnets"


def is_offline() -> bool:
    """Whether the environment forbids downloads: `KERAS_RESNETS_OFFLINE` is set, and not to 0."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")
