"""Downloaded weights: whole and verified, or not there at all."""

import hashlib
import os
import re
import sys
from pathlib import Path

from keras_resnets.files.errors import printable

FOLDER = "KERAS_RESNETS_CACHE"
OFFLINE = "KERAS_RESNETS_OFFLINE"
TIMEOUT = 30.0  # seconds without a byte


class DownloadError(OSError):
    """A file could not be downloaded: the message says why, and what can be done."""


def cached_file(preset) -> Path:
    """Returns the path of a preset's file, which is downloaded if it is not there yet.

    The file is verified each time. One with another sha256 is replaced, once the download has
    succeeded.
    """
    path = cache_folder() / preset.url.rpartition("/")[2]
    is_there = path.is_file()
    if is_there and has_sha256(path, preset.sha256):
        return path
    if is_offline():
        found = f"has another sha256 than {preset.sha256}… in" if is_there else "is not in"
        raise DownloadError(
            f"{preset.name!r} {found} the cache, and {OFFLINE} forbids to download it: unset the "
            f"variable, or put {preset.url} at {str(path)!r}"
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


def download(url, path, sha256, most_bytes):
    """Downloads a file to a path, where it appears only when it is whole and verified.

    Several processes may call this at once: one downloads, the others wait for it.
    """
    if not re.fullmatch(r"https?://[!-~]+", str(url)):
        raise ValueError(
            "`url` must begin with http:// or https://, without spaces or letters beyond ASCII. "
            f"Received: url={url!r}"
        )
    import filelock
    import requests
    import tqdm
    from pooch import HTTPDownloader

    path = Path(path)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock"):
            if path.exists() and has_sha256(path, sha256):  # another process was faster
                return
            unfinished.unlink(missing_ok=True)  # of a process that was killed
            try:
                # A bar that rewrites its line would fill a log file.
                with (
                    tqdm.tqdm(
                        desc=path.name,
                        total=most_bytes,  # until the server has said
                        unit="B",
                        unit_scale=True,
                        mininterval=0.1 if sys.stderr.isatty() else 10.0,
                    ) as bar,
                    _BoundedFile(unfinished, most_bytes) as file,
                ):
                    HTTPDownloader(
                        progressbar=bar, timeout=TIMEOUT, hooks={"response": _check_redirect(url)}
                    )(url, file, None)
                if not has_sha256(unfinished, sha256):
                    raise OSError(
                        f"its sha256 must begin with {sha256}, and what came has another; it was "
                        "deleted"
                    )
                os.replace(unfinished, path)
            finally:
                unfinished.unlink(missing_ok=True)
    except (OSError, ValueError, requests.RequestException) as error:
        # The server's words may be of several lines, and say anything.
        reason = printable(" ".join(str(error).split()))
        raise DownloadError(
            f"{url} could not be downloaded ({reason}). Without a network, put the file at "
            f"{str(path)!r}"
        ) from error


def has_sha256(path, digits) -> bool:
    """Whether the sha256 of a file begins with these hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(digits)


class _BoundedFile:
    """A file to write to that refuses to grow beyond a size."""

    def __init__(self, path, most_bytes):
        self._path, self._most_bytes = path, most_bytes

    def __enter__(self):
        self._file = open(self._path, "wb")
        return self

    def __exit__(self, *exception):
        self._file.close()

    def write(self, block):
        if self._file.tell() + len(block) > self._most_bytes:
            raise OSError(f"it has more than the {self._most_bytes:,} bytes that are allowed")
        self._file.write(block)

    def flush(self):
        self._file.flush()


def _check_redirect(url):
    def check(response, **_):
        if url.startswith("https://") and not response.url.startswith("https://"):
            raise OSError(f"it leads to {response.url}, which is not https://")

    return check
