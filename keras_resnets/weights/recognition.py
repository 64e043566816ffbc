"""Which family a checkpoint is of, and which network."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_resnets.architecture.plan import stem_layer
from keras_resnets.architecture.spec import STEMS, ResNetSpec
from keras_resnets.files.elements import shown
from keras_resnets.layers import BottleneckBlock
from keras_resnets.layers.squeeze_excitation import DIVISOR
from keras_resnets.preprocessing import Preprocessing
from keras_resnets.weights.families import FAMILIES, GATE, Family, count_from_one

# ResNet-1202, the deepest that was published, has 600. Keras builds a model by a call within a call
# for each, of which Python allows 1000.
MOST_BLOCKS = 700


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Arrays under their family's names, and the network that they were recognized as."""

    family: Family
    spec: ResNetSpec  # with the family's default for what no array tells
    arrays: Mapping[str, np.ndarray]
    given_names: Mapping[str, str]  # for these names, those in the source
    has_top: bool
    entry: str  # what stands before the network's names in the source
    remarks: tuple[str, ...] = ()
    assumed: str = ""  # of the network, where one is built of it, in a sentence
    was_named: bool = False  # the entry, of several
    other_entries: tuple[str, ...] = ()  # under which there are other networks
    left_out: tuple[str, ...] = ()  # names of what is beside the network, as a loss's weights
    # What a configuration beside the file says, if there is one.
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def names(self) -> dict[str, str]:
        """The family's names of all our variables, the classifier's included."""
        return self.family.names(self.spec, include_top=True)

    @property
    def notes(self) -> list[str]:
        """What was chosen, and left out, that a user may not expect, in sentences."""
        notes = []
        label = shown_label(self.entry)
        if self.other_entries and not self.was_named:
            others = ", ".join(map(shown_label, self.other_entries))
            notes.append(
                f"the weights are those under {label}; others are under {others}: "
                f"`convert_weights` takes them by `entry`, `keras-resnets convert` by --entry"
            )
        elif set(_parts(self.entry.rpartition("/")[2])) - WRAPPERS:
            notes.append(f"the weights are those under {label}")
        if self.left_out:
            names = ", ".join(shown(name) for name in self.left_out[:4])
            more = f" and {len(self.left_out) - 4} more" if len(self.left_out) > 4 else ""
            notes.append(f"left out, for they are not of the network: {names}{more}")
        return [*notes, *self.remarks]


def recognize(arrays: Mapping[str, np.ndarray], entry: str | None = None) -> Checkpoint:
    """Returns the network in a source, by its arrays' names and shapes.

    Of several, it is the one that `entry` names, or the first that is whole and no average of
    another.
    """
    given, arrays = arrays, {_unwrapped(name): array for name, array in arrays.items()}
    if len(given) > len(arrays):
        raise ValueError(
            "`source` must hold each array once, be it within a wrapper of torch's. Received: "
            f"{len(given)} names of {len(arrays)} arrays"
        )
    networks: dict[str, Checkpoint] = {}  # by the name of the stem's kernel
    for family in FAMILIES:
        prefixes = family.prefixes(arrays)
        if len(prefixes) > MOST_NETWORKS:
            raise ValueError(
                f"`source` must hold at most {MOST_NETWORKS} networks. Received: {len(prefixes):,}"
            )
        for prefix in prefixes:
            if checkpoint := _read(family, arrays, prefix):
                stem = checkpoint.given_names[checkpoint.names["stem_conv/conv/kernel"]]
                best = networks.get(stem, checkpoint)
                networks[stem] = max(best, checkpoint, key=_agreement)
    if not networks:
        raise _no_network(arrays)
    chosen = _chosen([*networks.values()], entry)
    others = [network for network in networks.values() if network is not chosen]
    _check_structure(chosen)
    chosen = dataclasses.replace(
        chosen,
        other_entries=tuple(other.entry for other in others),
        was_named=entry is not None,
    )
    of_others = {
        given
        for other in others
        for name, given in other.given_names.items()
        if other.entry or name in other.family.known(other.spec, other.has_top)
        if other.entry.startswith(chosen.entry) or not given.startswith(chosen.entry)
    }
    return _without_what_is_beside(chosen, arrays, of_others)


MOST_NETWORKS = 16
# What wrappers put between the parts of a name.
WRAPPED = re.compile(r"\b(_fsdp_wrapped_module|_checkpoint_wrapped_module)\.|(?<=\.)_orig_mod\.")


def _unwrapped(name):
    return WRAPPED.sub("", name) if "_wrapped_module." in name or "._orig_mod." in name else name


def _no_network(arrays):
    """Returns the error for arrays of which none could be a stem's and a first block's."""
    some = ", ".join(shown(name) for name in list(arrays)[:5]) or "no arrays"
    hint = ""
    if any("/vars/" in name for name in arrays):
        hint = " What a model of this package saved belongs in its factory's `weights`."
    return ValueError(
        "`source` must hold a residual network as torchvision, timm, transformers and others save "
        f"it; docs/converting.md lists them.{hint} Received: {some}{', …' * (len(arrays) > 5)}"
    )


# Parts of the names of what holds an average of the weights, or another's that follow them.
AVERAGES = {
    *("ema", "swa", "avg", "average", "averaged", "shadow", "polyak"),
    *("momentum", "teacher", "target", "key", "k"),
}
WRAPPERS = {"module", "_orig_mod"}  # of `DataParallel` and `torch.compile`


def _chosen(networks, entry):
    """Returns the network that an entry names, or the first; whole ones, and no averages, first."""

    def comes_later(network):
        missing = network.family.names(network.spec, False).values() - network.arrays.keys()
        parts = re.split(r"[^a-z]+", network.entry.lower())
        return bool(missing), not AVERAGES.isdisjoint(parts)

    networks = sorted(networks, key=comes_later)
    if entry is None:
        return networks[0]
    if not isinstance(entry, str):
        raise TypeError(f"`entry` must be a string. Received: entry={entry!r}")
    parts = f".{label_of(entry)}."
    for network in networks:
        if parts in f".{label_of(network.entry)}.":
            return network
    labels = [shown(label_of(each.entry)) for each in networks if label_of(each.entry)]
    there_is = (
        f"{', '.join(labels)}, or whole parts of one, between the dots"
        if labels
        else "None, for there is one network and nothing before its names"
    )
    raise ValueError(
        f"`entry` must be what stands before the names of a network in `source`: {there_is}. "
        f"Received: entry={entry!r}"
    )


def _parts(entry):
    return [part for part in re.split(r"[./]", entry) if part]


def label_of(entry: str) -> str:
    """Returns an entry as users write it, with dots between its parts."""
    return ".".join(_parts(entry))


def shown_label(entry):
    """Returns an entry in a message."""
    return shown(label_of(entry)) if label_of(entry) else "no entry"


def _check_structure(checkpoint):
    """Raises for blocks that this package does not have, which would be misshapen one by one."""
    spec = checkpoint.spec
    if sum(spec.repeats) > MOST_BLOCKS:
        raise ValueError(
            f"`source` must hold a network of at most {MOST_BLOCKS:,} blocks. "
            f"Received: {sum(spec.repeats):,}"
        )


def _agreement(checkpoint):
    """Returns how many names are as the family has them, less those that differ."""
    expected = checkpoint.family.names(checkpoint.spec, checkpoint.has_top).values()
    return len(expected & checkpoint.arrays.keys()) - len(expected - checkpoint.arrays.keys())


def _read(family: Family, arrays, prefix) -> Checkpoint | None:
    """Returns what the arrays below a prefix are if they are the family's, or else `None`."""
    given_names: dict[str, str] = {}
    doubled: tuple[str, ...] = ()
    for name in arrays:
        if name.startswith(prefix):
            canonical = family.canonical(name.removeprefix(prefix))
            if canonical in given_names:
                doubled = doubled or (given_names[canonical], name)
            given_names[canonical] = name
    found = {name: arrays[given] for name, given in given_names.items()}
    spec = _read_spec(family, {name: array.shape for name, array in found.items()})
    if spec is None:
        return None
    if doubled:
        raise ValueError(
            "`source` must hold each array once. "
            f"Received: {shown(doubled[0])} and {shown(doubled[1])}"
        )
    folder = _folder(prefix)
    # Beside a queue of keys, as of MoCo, what looks like a classifier is a projection.
    is_contrastive = any(
        re.fullmatch(r"(\w+\.)*queue", name.removeprefix(folder))
        for name in arrays
        if name.endswith("queue") and name.startswith(folder)
    )
    remarks: tuple[str, ...] = ()
    has_top = False
    if not is_contrastive:
        has_top, remarks = _take_head(family, found, given_names)
    return Checkpoint(family, spec, found, given_names, has_top, prefix, remarks)


def _folder(prefix):
    """Returns what stands before the names in the dictionary that a prefix is in."""
    return prefix[: prefix.rfind("/") + 1]


def _take_head(family, arrays, given_names):
    """Whether there is a classifier, and remarks; one within a Sequential gets its names.

    A head of several layers is none.
    """
    head = f"{family.layers['predictions']}{family.separator}"
    of_head = [name for name in arrays if name.startswith(head)]
    if not family.torch_layout or not of_head:
        return bool(of_head), ()
    kernel, bias = f"{head}weight", f"{head}bias"
    if family.classifies_by_convolution and kernel in arrays and arrays[kernel].ndim == 4:
        arrays[kernel] = arrays[kernel].reshape(arrays[kernel].shape[:2])
    if {kernel, bias} & arrays.keys():
        if bias in arrays or arrays[kernel].ndim != 2 or not arrays[kernel].size:
            return True, ()
        arrays[bias] = np.zeros(len(arrays[kernel]), "float32")
        given_names[bias] = given_names[kernel]
        return True, (f"there is no {bias!r}, and the classifier's bias is zero",)
    found = re.fullmatch(rf"{re.escape(head)}(\d+\.)\w+", of_head[0])
    theirs = [f"{head}{found[1]}{end}" for end in ("weight", "bias")] if found else []
    if sorted(of_head) != sorted(theirs) or arrays[theirs[0]].ndim != 2:
        return False, ()
    for ours, given in zip((kernel, bias), theirs, strict=True):
        arrays[ours], given_names[ours] = arrays.pop(given), given_names.pop(given)
    return True, ()


# What could be a layer of the network, wherever it is: without it, the others compute another.
LAYERS = re.compile(
    r"norm|conv|layer|block|attn|attention|pool|downsample|^bn|_bn|^(se|res|stage|stem|group)_?$"
    r"|^(pos|patch)_embed"
)
# Parts of the names of what is no layer between the network and its classifier.
BESIDE = {
    *("loss", "losses", "criterion", "metric", "metrics", "acc", "accuracy", "f", "auroc"),
    *("precision", "recall", "confmat", "train", "val", "valid", "test", "tp", "fp", "tn", "fn"),
    *("queue", "prototypes", "momentum", "teacher", "ema", "averaged", "aux", "auxiliary"),
    *("rpn", "roi", "count", "step", "steps", "pixel", "temperature", "optimizer", "scheduler"),
}


def _without_what_is_beside(checkpoint, arrays, of_others):
    """Returns a checkpoint without the arrays that are not of the network, and could not be."""
    family, prefix, folder = checkpoint.family, checkpoint.entry, _folder(checkpoint.entry)
    known = family.known(checkpoint.spec, checkpoint.has_top)
    layers = family.layer_names(checkpoint.spec, checkpoint.has_top)
    parts = {_first_part(name) for _, _, name in layers} | WRAPPERS

    def is_beside(name, given):
        if name in known:
            return False
        if given in of_others:
            return True
        part = _first_part(name)
        if LAYERS.search(part):
            return False
        if not BESIDE.isdisjoint(re.split(r"[^a-z]+", name.lower())):
            return part not in parts or part == "head"
        is_number = checkpoint.arrays[name].ndim == 0
        return part not in parts and (is_number or not checkpoint.has_top)

    beside = {name for name, given in checkpoint.given_names.items() if is_beside(name, given)}
    of_beside = {checkpoint.given_names[name] for name in beside}

    def is_left_out(name):
        if name.startswith(prefix):
            return name in of_beside
        return name.startswith(folder) and "/" not in name[len(folder) :]

    kept = {name: array for name, array in checkpoint.arrays.items() if name not in beside}
    return dataclasses.replace(
        checkpoint,
        arrays=kept,
        given_names={name: checkpoint.given_names[name].removeprefix(folder) for name in kept},
        left_out=tuple(
            name.removeprefix(folder)
            for name in arrays
            if name not in of_others and is_left_out(name)
        ),
    )


def _first_part(name):
    return re.sub(r"\d", "", re.split(r"[./]", name)[0]).lower()


def _read_spec(family, shapes) -> ResNetSpec | None:
    """Returns the spec of the network whose kernels have these shapes, or `None` of none."""

    def find(layer, layers=family.layers, **counts):
        """Returns the shape of a convolution's kernel as (height, width, in, out), or `None`."""
        name = layers.get(layer, "").format(**count_from_one(**counts))
        shape = shapes.get(f"{name}{family.separator}{family.variables['conv']['kernel']}", ())
        if len(shape) != 4:
            return None
        return shape[2:] + shape[1::-1] if family.torch_layout else shape

    found_stem = _read_stem(family, find)
    if found_stem is None:
        return None
    stem, stem_width = found_stem
    at = "stage{stage}_block{block}"
    stages: list[list[dict[Any, Any]]] = []  # the kernels of each block by their layers
    while find(f"{at}/conv{{conv}}/conv", stage=len(stages) + 1, block=1, conv=1):
        blocks: list[dict[Any, Any]] = []
        while True:
            place = {"stage": len(stages) + 1, "block": len(blocks) + 1}
            kernels: dict[Any, Any] = {
                n: find(f"{at}/conv{{conv}}/conv", **place, conv=n) for n in (1, 2, 3)
            }
            if not kernels[1]:
                break
            blocks.append(kernels | {"gate": find(GATE, **place)})
        stages.append(blocks)
    if not stages:
        return None
    projection = f"{at}/projection/conv_norm/conv"
    places = [{"stage": number, "block": 1} for number in range(1, len(stages) + 1)]
    averages = family.layers_with.get(("shortcut", "D"))
    options: dict[str, Any] = {"shortcut": family.shortcuts[0]}
    has_averages = averages and any(find(projection, averages, **place) for place in places)
    if has_averages or (averages == {} and stem == "deep"):
        options["shortcut"] = "D"
    elif options["shortcut"] == "A":
        if any(find(projection, **place) for place in places):
            options["shortcut"] = "B"
        elif stem == "imagenet":  # no network has option A there: its projections are missing
            return None
        else:
            options["zero_pad"] = "both"
    first, last = stages[0][0], stages[-1][-1]
    widths = [blocks[0][1][3] for blocks in stages]
    if first[3]:
        options["stride_on"] = family.strides_on[0]
        widths = _read_bottleneck(stages, options) or widths
    if last["gate"] and last["gate"][2]:
        gates = [block["gate"] for blocks in stages for block in blocks if block["gate"]]
        options["se_ratio"] = _read_ratio([(gate[2], gate[3]) for gate in gates])
    try:
        return ResNetSpec(
            block="bottleneck" if first[3] else "basic",
            repeats=tuple(map(len, stages)),
            widths=tuple(widths),
            stem=stem,
            stem_width=stem_width,
            pre_activation=family.pre_activation,
            **options,
        )
    except ValueError:  # another family may have such a network
        return None


def _read_stem(family, find):
    """Returns the name of a network's stem and its filters, or `None` if it has none."""
    for name in ("deep_strided", "deep"):
        layers = family.layers_with.get(("stem", name), {})
        numbers = range(1, len(STEMS[name].kernel_sizes) + 1)
        kernels = [find(f"{stem_layer('conv', number)}/conv", layers) for number in numbers]
        if all(kernels):
            return name, kernels[-1][3]
    kernel = find("stem_conv/conv")
    return kernel and ("imagenet" if kernel[0] == 7 else "cifar", kernel[3])


def _read_bottleneck(stages, options):
    """Returns the widths of the stages by their last kernels, and notes groups and their width.

    Returns `None`, and notes nothing, where the kernels are not those of a bottleneck.
    """
    kernels = [blocks[0] for blocks in stages]
    if not all(each[n] and min(each[n]) for each in kernels for n in (1, 2, 3)):
        return None
    widths = [each[3][3] // BottleneckBlock.expansion for each in kernels]
    inner = [each[1][3] for each in kernels]
    groups = inner[0] // kernels[0][2][2]
    if not groups or not all(widths):
        return None
    # The least number that gives each stage its channels, rounded down.
    pairs = list(zip(widths, inner, strict=True))
    width_per_group = max(-(-64 * (channels // groups) // width) for width, channels in pairs)
    for width, channels in pairs:
        if width * width_per_group // 64 * groups != channels:
            return None
    options |= {"groups": groups, "width_per_group": width_per_group}
    return widths


def _read_ratio(gates):
    """Returns a ratio of which all gates' inner channels are when rounded, the usual ones first."""
    gates = [(channels, inner) for channels, inner in gates if channels]
    half = DIVISOR / 2
    low = max((inner - half) / channels if inner > DIVISOR else 0.0 for channels, inner in gates)
    high = min((inner + half) / channels for channels, inner in gates)
    ratios = (1 / 16, 1 / 4, (low + min(high, 1.0)) / 2)
    return next((ratio for ratio in ratios if 0 < ratio <= 1 and low <= ratio < high), 1 / 16)
