"""The published weights: what they reached, and their files: whole and verified, or not there."""

import dataclasses
import hashlib
import os
import re
import sys
import types
from pathlib import Path
from typing import Literal

from keras_resnets.architecture.spec import OPTIONS, VARIANTS, ResNetSpec
from keras_resnets.arguments import nearest, printable
from keras_resnets.preprocessing.preprocessing import Preprocessing
from keras_resnets.weights.keras_files import what_is_there

TORCHVISION = "https://download.pytorch.org/models/"
TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-"
RSB = TIMM.replace("rwightman", "huggingface") + "rsb-weights/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A network's published weights.

    Attributes:
        name: Its publisher and version, such as `"torchvision/resnet34-v1"`.
        model: The name of the network, for `create_model`.
        dataset: What it was trained on, the name that stands for the best of its presets.
        url: Address of the file; empty if this package carries it.
        sha256: The first eight digits of the file's sha256, which its publisher put in its name.
        most_bytes: A file that is larger than this is not the one that was published.
        license: Terms of the publisher. Those of ImageNet's images may bind a user, too.
        preprocessing: What was done to the test images.
        top1: Accuracy in per cent on ImageNet's 50,000 validation images, or CIFAR-10's 10,000 test
            images, by the publisher.
        top5: The share of images whose class is among the best five, in per cent, where published.
        source: Who measured these.
    """

    name: str
    model: str
    url: str
    sha256: str
    most_bytes: int
    license: Literal["BSD-3-Clause", "Apache-2.0"]
    preprocessing: Preprocessing
    top1: float
    top5: float | None
    source: str
    dataset: Literal["imagenet", "cifar10"] = "imagenet"

    @property
    def spec(self) -> ResNetSpec:
        """The network that computes with these weights what was published."""
        return VARIANTS[self.model]


# Millions of parameters and statistics of each network.
MILLIONS = {
    **{"resnet18": 11.7, "resnet34": 21.8, "resnet50": 25.6, "resnet101": 44.7, "resnet152": 60.4},
    **{"resnet26": 16.1, "resnet26d": 16.1, "resnet34d": 21.9, "resnet50d": 25.7},
    **{"resnet101d": 44.8, "resnet152d": 60.5, "resnet200d": 65.1, "resnetblur50": 25.7},
    **{"resnext50_32x4d": 25.2, "resnext50d_32x4d": 25.2, "resnext101_32x8d": 89.1},
    **{"resnext101_64x4d": 83.8, "wideresnet50_2": 69.0, "wideresnet101_2": 127.1},
    **{"seresnet50": 28.2, "seresnext50_32x4d": 27.7, "seresnext101_32x4d": 49.2},
    **{"resnetrs50": 35.8, "resnetrs101": 63.8, "resnetrs152": 87.0, "resnetrs200": 93.8},
}


def _preset(publisher, version, model, digits, **fields):
    return Preset(
        name=f"{publisher}/{model}-{version}",
        model=model,
        sha256=digits,
        most_bytes=int(MILLIONS[model] * 1e6 * 4 * 1.1),  # a tenth more than the float32 weights
        **fields,
    )


def _torchvision(version, model, digits, top1, top5, resize=None):
    """A row of torchvision's table of weights, as of torchvision 0.29."""
    return _preset(
        *("torchvision", version, model, digits),
        url=f"{TORCHVISION}{model.replace('wideresnet', 'wide_resnet')}-{digits}.pth",
        license="BSD-3-Clause",
        preprocessing=Preprocessing.imagenet(resize or (256 if version == "v1" else 232)),
        top1=top1,
        top5=top5,
        source="torchvision's table of weights: one central crop of 224 pixels",
    )


def _rsb(version, model, digits, top1):
    """A row of table 2 of Wightman et al., 2021: at 224 pixels, 0.95 of a shorter side of 235."""
    return _preset(
        *("timm", version, model, digits),
        url=f"{RSB}{model}_{version}_0-{digits}.pth",
        license="Apache-2.0",
        preprocessing=Preprocessing.imagenet(resize=235, interpolation="bicubic"),
        top1=top1,
        top5=None,
        source="Wightman et al., 2021: one central crop of 224 pixels, 0.95 of the shorter side",
    )


def _timm(version, model, file, top1, top5, size, share, folder=f"{TIMM}weights/"):
    """A row of timm's `results/results-imagenet.csv`: a crop of a share of the shorter side."""
    return _preset(
        *("timm", version, model, file.rpartition("-")[2]),
        url=f"{folder}{file}.pth",
        license="Apache-2.0",
        preprocessing=Preprocessing.imagenet(int(size / share), size, "bicubic"),
        top1=top1,
        top5=top5,
        source=f"timm's table of results: one central crop, {size} pixels of {int(size / share)}",
    )


# In the package: docs, recipe and figures are in saved_models/resnet20_cifar10_60epochs.
_OWN = Preset(
    name="keras_resnets/resnet20",
    model="resnet20",
    dataset="cifar10",
    url="",
    sha256="61dd3e3c",
    most_bytes=1_300_000,
    license="Apache-2.0",
    preprocessing=Preprocessing(
        resize=32, crop=32, mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616)
    ),
    top1=88.06,
    top5=99.60,
    source="saved_models/resnet20_cifar10_60epochs: on test images that had been through JPEG",
)

RS, SE_NEXT = f"{TIMM}rs-weights/", "seresnext50_32x4d"
_ROWS = (
    _OWN,
    _torchvision("v1", "resnet18", "f37072fd", 69.758, 89.078),
    _torchvision("v1", "resnet34", "b627a593", 73.314, 91.420),
    _torchvision("v1", "resnet50", "0676ba61", 76.130, 92.862),
    _torchvision("v2", "resnet50", "11ad3fa6", 80.858, 95.434),
    _torchvision("v1", "resnet101", "63fe2227", 77.374, 93.546),
    _torchvision("v2", "resnet101", "cd907fc2", 81.886, 95.780),
    _torchvision("v1", "resnet152", "394f9c45", 78.312, 94.046),
    _torchvision("v2", "resnet152", "f82ba261", 82.284, 96.002),
    _rsb("a1", "resnet18", "d63eafa0", 71.5),
    _rsb("a2", "resnet18", "b61bd467", 70.6),
    _rsb("a3", "resnet18", "40c531c8", 68.3),
    _rsb("a1", "resnet34", "46f8f793", 76.4),
    _rsb("a2", "resnet34", "82d47d71", 75.5),
    _rsb("a3", "resnet34", "a20cabb6", 73.0),
    _rsb("a1", "resnet50", "14fe96d1", 80.4),
    _rsb("a2", "resnet50", "a2746f79", 79.8),
    _rsb("a3", "resnet50", "59cae1ef", 78.1),
    _torchvision("v1", "resnext50_32x4d", "7cdf4587", 77.618, 93.698),
    _torchvision("v2", "resnext50_32x4d", "1a0047aa", 81.198, 95.340),
    _torchvision("v1", "resnext101_32x8d", "8ba56ff5", 79.312, 94.526),
    _torchvision("v2", "resnext101_32x8d", "110c445d", 82.834, 96.228),
    _torchvision("v1", "resnext101_64x4d", "173b62eb", 83.246, 96.454, resize=232),
    _torchvision("v1", "wideresnet50_2", "95faca4d", 78.468, 94.086),
    _torchvision("v2", "wideresnet50_2", "9ba9bcbe", 81.602, 95.758),
    _torchvision("v1", "wideresnet101_2", "32ee1156", 78.848, 94.284),
    _torchvision("v2", "wideresnet101_2", "d733dc28", 82.510, 96.020),
    _timm("bt", "resnet26", "resnet26-9aa10e23", 76.366, 93.180, 288, 0.95),
    _timm("bt", "resnet26d", "resnet26d-69e92c46", 77.408, 93.638, 288, 0.95),
    _timm("ra2", "resnet34d", "resnet34d_ra2-f8dcfcaf", 78.436, 94.344, 288, 0.95),
    _timm("ra2", "resnet50d", "resnet50d_ra2-464e36ba", 81.356, 95.738, 288, 0.95),
    _timm("a1", "resnet50d", "resnet50d_a1_0-e20cff14", 81.450, 95.218, 288, 1.0, RSB),
    _timm("ra2", "resnet101d", "resnet101d_ra2-2803ffab", 83.016, 96.452, 320, 1.0),
    _timm("ra2", "resnet152d", "resnet152d_ra2-5cac0439", 83.684, 96.740, 320, 1.0),
    _timm("ra2", "resnet200d", "resnet200d_ra2-bdba9bf9", 83.964, 96.824, 320, 1.0),
    _timm("a1", "resnext50_32x4d", "resnext50_32x4d_a1_0-b5a91a1d", 81.466, 95.174, 288, 1.0, RSB),
    _timm("bt", "resnext50d_32x4d", "resnext50d_32x4d-103e99f8", 80.664, 95.420, 288, 0.95),
    _timm("racm", "wideresnet50_2", "wide_resnet50_racm-8234f177", 82.280, 96.064, 288, 0.95),
    _timm("ra2", "seresnet50", "seresnet50_ra_224-8efdb4bb", 81.284, 95.652, 288, 0.95),
    _timm("a1", "seresnet50", "seresnet50_a1_0-ffa00869", 81.102, 95.120, 288, 1.0, RSB),
    _timm(
        "racm", "seresnext50_32x4d", "seresnext50_32x4d_racm-a304a460", 82.196, 96.148, 288, 0.95
    ),
    _timm("tf", "resnetrs50", "resnetrs50_ema-6b53758b", 79.896, 94.972, 224, 0.91, RS),
    _timm("tf", "resnetrs101", "resnetrs101_i192_ema-1509bbf6", 82.284, 96.014, 288, 0.94, RS),
    _timm("tf", "resnetrs152", "resnetrs152_i256_ema-a9aff7f9", 83.702, 96.612, 320, 1.0, RS),
    _timm("bt", "resnetblur50", "resnetblur50-84f4748f", 80.234, 95.234, 288, 0.95),
)
PRESETS = types.MappingProxyType({preset.name: preset for preset in _ROWS})


# What may differ between networks that compute the same with the same weights.
FREE_FIELDS = [
    "output_stride",
    *(name for name, option in OPTIONS.items() if option.changes == "training"),
]


def find_preset(name, spec):
    """Returns the preset of a name for the network of a spec; a data set is its best one."""
    fitting = [preset for preset in PRESETS.values() if _essence(preset.spec) == _essence(spec)]
    names = [preset.name for preset in fitting]
    of_dataset = [preset for preset in fitting if preset.dataset == name]
    if of_dataset:
        return max(of_dataset, key=lambda preset: preset.top1)
    if name in names:
        return PRESETS[name]
    if names:
        datasets = dict.fromkeys(preset.dataset for preset in fitting)
        presets = f"one of {', '.join([*datasets, *names])}.{nearest(name, [*datasets, *names])}"
    else:
        presets = "a preset, of which this network has none."
    models = [each.model for each in PRESETS.values() if name in (each.name, each.dataset)]
    if models:
        listed = ", ".join(dict.fromkeys(models))
        presets += f" {name!r} is of {listed}, with the options at their default."
    raise ValueError(
        "`weights` must be None, the path of a file, that of a folder of a training run or of "
        f"Hugging Face, or {presets} {what_is_there(name)}Received: weights={name!r}"
    )


def _essence(spec):
    return dataclasses.replace(spec, **{field: getattr(_DEFAULTS, field) for field in FREE_FIELDS})


_DEFAULTS = VARIANTS["resnet18"]


FOLDER = "KERAS_RESNETS_CACHE"
OFFLINE = "KERAS_RESNETS_OFFLINE"
TIMEOUT = 30.0  # seconds without a byte


class DownloadError(OSError):
    """A file could not be downloaded: the message says why, and what can be done."""


def cached_file(preset) -> Path:
    """Returns the path of a preset's file, which is downloaded unless it is there and verified."""
    if not preset.url:
        return Path(__file__).with_name(f"{preset.model}-{preset.dataset}.keras")
    path = cache_folder() / preset.url.rpartition("/")[2]
    is_there = path.is_file()
    if is_there and has_sha256(path, preset.sha256):
        return path
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        found = f"has another sha256 than {preset.sha256}… in" if is_there else "is not in"
        raise DownloadError(
            f"{preset.name!r} {found} the cache, and {OFFLINE} forbids to download it: unset the "
            f"variable, or put {preset.url} at {str(path)!r}"
        )
    download(preset.url, path, preset.sha256, preset.most_bytes)
    return path


def cache_folder() -> Path:
    """Returns the folder of downloaded weights: the environment's, or one in Keras's own."""
    own = os.environ.get(FOLDER)
    if own:
        return Path(own)
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras_resnets"


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
