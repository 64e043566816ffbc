"""Networks of Hugging Face's hub, by `huggingface_hub`: `hf://owner/name`."""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from keras_resnets.files.elements import cause
from keras_resnets.files.read_arrays import FILES_IN_FOLDERS, INDEX, MOST_INDEX_BYTES, MOST_SHARDS
from keras_resnets.weights.configuration import CONFIG, PREPROCESSOR
from keras_resnets.weights.presets import OFFLINE, DownloadError

HUB = "hf://"


def is_of_hub(source) -> bool:
    """Whether a source is a name on the hub."""
    return isinstance(source, str) and source.startswith(HUB)


def hub_file(name: str) -> Path:
    """Returns the path of a repository's file of weights, with its configurations beside it."""
    found = re.fullmatch(rf"{HUB}([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?", name)
    if not found:
        raise ValueError(
            "A network on the hub is `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION`. "
            f"Received: {name!r}"
        )
    repository = _Repository(*found.groups())
    config = repository.fetch(CONFIG)
    if config is not None and "model_type" in _object(config):  # of transformers
        repository.fetch(PREPROCESSOR)
    failure = None
    for file in FILES_IN_FOLDERS:
        try:
            path = repository.fetch(file)
        except DownloadError as error:  # without a connection, another may be in the cache
            failure = failure or error
            continue
        if path is not None:
            for shard in _shards(path) if file.endswith(INDEX) else ():
                repository.fetch(shard)  # one that is not there is named when all are read
            return path
    raise failure or DownloadError(
        f"The repository {repository.name!r} has none of {', '.join(FILES_IN_FOLDERS)}. Fetch the "
        "file that it has by hand, and give its path."
    )


def _object(path):
    """Returns the object in a JSON file; an empty one if it is none, which is said elsewhere."""
    try:
        is_small = os.path.getsize(path) <= MOST_INDEX_BYTES
        value = json.loads(path.read_text(encoding="utf-8")) if is_small else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _shards(index):
    files = _object(index).get("weight_map")
    names = map(str, files.values()) if isinstance(files, dict) else ()
    return sorted({name for name in names if re.fullmatch(r"\w[\w.-]*", name)})[:MOST_SHARDS]


class _Repository(NamedTuple):
    """A repository on the hub, at a revision."""

    name: str
    revision: str | None

    def fetch(self, file):
        """Returns the path of a file in the hub's cache; `None` if there is no such file."""
        try:
            import huggingface_hub as hub
            from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "Weights from the hub need one more package: pip install huggingface_hub",
                name=error.name,
            ) from error
        where: dict[str, Any] = {"repo_id": self.name, "filename": file, "revision": self.revision}
        is_offline = os.environ.get(OFFLINE, "0") not in ("", "0")
        try:
            return Path(
                hub.hf_hub_download(
                    **where, library_name="keras_resnets", local_files_only=is_offline
                )
            )
        except LocalEntryNotFoundError as error:
            # That a repository has no such file may be known from before.
            known = hub.try_to_load_from_cache(**where)
            if known is not None and not isinstance(known, str):
                return None
            reason = "is not in the cache, and the hub is not reached"
            raise self._failure(file, reason, error) from error
        except EntryNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._failure(file, "cannot be fetched", error) from error

    def _failure(self, file, what, error):
        return DownloadError(
            f"{file!r} of {self.name!r} {what} ({cause(' '.join(str(error).split()))}). On a "
            f"machine that reaches it, `hf download {self.name} --local-dir DIR` fetches the "
            "files: give the path of that folder."
        )
