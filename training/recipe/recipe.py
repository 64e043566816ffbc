"""All that determines a run, as data."""

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from keras_resnets.architecture.spec import VARIANTS, ResNetSpec
from keras_resnets.arguments import nearest
from training.recipe.fields import Group, Unset, is_shorter, lasts, option, part_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model(Group, prefix="model."):
    """The network.

    Args:
        name: A name that `keras_resnets.list_models` gives; any, with `spec`.
        spec: JSON of a `keras_resnets.ResNetSpec`, for a network that has no name, instead of the
            options here; the empty string for none.
        block: A class of `keras_resnets.layers` that replaces the network's blocks; see
            `keras_resnets.with_blocks`. The empty string for none.
        block_options: JSON of the further arguments of `with_blocks`.
        shortcut: Shortcut option; `"default"` is the model's own.
        zero_pad: Where shortcut option A puts its zero channels.
        stride_on: Where a bottleneck carries its stride.
        zero_init_residual: Whether the last γ of each branch begins at 0.
        drop_path_rate: Probability in [0, 1) of skipping the last block's branch.
        dropout_rate: Probability in [0, 1) of dropping a value before a branch's last convolution.
        classifier_std: Standard deviation of the classifier's initial weights; 0 for Keras's own.
        weights: Initial weights: what `weights` of `keras_resnets.ResNet34` takes, such as
            `"imagenet"`, the path of a `.keras` file or PyTorch checkpoint, or a run's folder; the
            empty string for none. Options at their default, and a normalization that is not
            given, give way to those of the weights.
        sync_batch_norm: Whether batch normalization takes its statistics over the whole batch
            and not over each replica's part.
    """

    name: str = "resnet20"
    spec: str = ""
    block: Literal["", "StackedBlock", "GatedBlock", "OrderedBlock", "UnnormalizedBlock"] = ""
    block_options: str = option("{}", block=bool)
    shortcut: Literal["default", "A", "B", "C", "D"] = option("default", spec=("",))
    zero_pad: Literal["end", "both"] = option("end", spec=("",))
    stride_on: Literal["3x3", "1x1"] = option("3x3", spec=("",))
    zero_init_residual: bool = option(False, spec=("",), weights=("",))
    drop_path_rate: float = option(0.0, spec=("",))
    dropout_rate: float = option(0.0, spec=("",))
    classifier_std: float = option(0.0, "[0, inf)")
    weights: str = ""
    sync_batch_norm: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.spec:
            is_name = re.fullmatch(r"[A-Za-z0-9_.-]+", self.name)
            self.require(
                is_name, "`model.name` must consist of letters, digits, `_`, `.` and `-`", "name"
            )
        elif self.name not in VARIANTS:
            raise ValueError(
                f"`model.name` must be one of {', '.join(VARIANTS)}."
                f"{nearest(self.name, VARIANTS)} Received: model.name={self.name!r}"
            )
        _ = self.architecture
        if self.block:
            self._check_block()

    @property
    def architecture(self) -> ResNetSpec:
        """What `spec`, or `name` and the options, say of the network, but for `block`."""
        if self.spec:
            try:
                return ResNetSpec.from_json(self.spec)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"`model.spec` must be the JSON text of a ResNetSpec. {error}. "
                    f"Received: model.spec={self.spec!r}"
                ) from error
        spec = VARIANTS[self.name]
        is_default = self.shortcut == "default"
        self.require(
            spec.shortcut or is_default,
            "`model.shortcut` has no effect in a plain network, which has no shortcuts",
            "shortcut name",
        )
        try:
            return dataclasses.replace(
                spec,
                shortcut=spec.shortcut if is_default else self.shortcut,
                zero_pad=self.zero_pad,
                stride_on=self.stride_on,
                zero_init_residual=self.zero_init_residual,
                drop_path_rate=self.drop_path_rate,
                dropout_rate=self.dropout_rate,
            )
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The network {self.name!r} does not support these options. {error}"
            ) from error

    def _check_block(self):
        from keras_resnets import layers

        try:
            options = json.loads(self.block_options)
            ends = [options.pop(end, {}) for end in ("first", "last")]
            for own in ends:
                getattr(layers, self.block)(16, **options, **own)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                "`model.block_options` must be a JSON object with arguments of the block. "
                f"{error}. Received: model.block={self.block!r}, "
                f"model.block_options={self.block_options!r}"
            ) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data(Group, prefix="data."):
    """The images.

    Args:
        source: `"digits"`, `"synthetic"`, `"folder:PATH"`, or the name of a TFDS data set, such as
            `"cifar10"` or `"imagenet2012"`.
        train_split: Name of the split to train on; TFDS slices (`"train[:90%]"`) are allowed.
        test_split: Name of the split to evaluate on.
        test_share: Part of the images that is tested with, for a folder that has class folders and
            none for the splits. Which ones depends on the files' contents alone.
        image_size: Height and width of the training images, in pixels.
        mean: Subtracted from each channel of values in [0, 1].
        std: Each channel is divided by it afterwards.
        per_pixel_mean: Whether the mean image of the training split is subtracted instead of
            `mean` (He et al., 2015).
        on_bad_image: What to do with a file that cannot be decoded: `"error"` or `"skip"`. Skipped
            images are counted; evaluation never skips.
    """

    source: str = "cifar10"
    train_split: str = "train"
    test_split: str = "test"
    test_share: float = option(0.0, "[0, 1)", source=lambda source: source.startswith("folder:"))
    image_size: int = option(32, "[1, inf)")
    mean: tuple[float, ...] = option(Unset((0.485, 0.456, 0.406)), per_pixel_mean=(False,))
    std: tuple[float, ...] = option(Unset((0.229, 0.224, 0.225)), "(0, inf)")
    per_pixel_mean: bool = False
    on_bad_image: Literal["error", "skip"] = option(
        "error", source=lambda source: source not in ("digits", "synthetic")
    )

    def __post_init__(self):
        super().__post_init__()
        for name in ("source", "train_split", "test_split"):
            self.require(getattr(self, name), f"`data.{name}` must be given", name)
        self.require(
            self.source != "folder:", "`data.source` must have a path after 'folder:'", "source"
        )
        self.require(
            len(self.std) in (1, 3) and (self.per_pixel_mean or len(self.mean) == len(self.std)),
            "`data.mean` and `data.std` must each have a value for each of 1 or 3 channels",
            "mean std",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation(Group, prefix="augmentation."):
    """What is done to the training images. Each draw depends on (seed, epoch, index) alone.

    Args:
        crop: `"none"` resizes to `image_size`; `"pad"` pads with `padding` zeros and takes a random
            crop (CIFAR); `"resized"` takes a random area and aspect ratio (Inception);
            `"scale"` resizes the shorter side to a random length in `scale_sides` and takes a
            random crop (He et al., 2015).
        padding: For `crop="pad"`: zeros on each side, in pixels.
        area: For `crop="resized"`: least and greatest part of the image.
        scale_sides: For `crop="scale"`: least and greatest length of the shorter side, in pixels.
        flip: Whether half of the images are mirrored.
        color_jitter: Strength of random brightness, contrast and saturation, in [0, 1).
        pca_noise: Standard deviation of the noise along the colours' principal components
            (Krizhevsky et al., 2012); 0 for none.
        magnitude: Strength of RandAugment, 0 to 10.
        magnitude_std: Standard deviation, around `magnitude`, of the strength that each operation
            draws for itself.
        operations: Number of operations RandAugment applies.
        policy_probability: Probability of each RandAugment operation.
        random_erasing: Probability of erasing a rectangle.
        mixup: α of mixup's Beta distribution; 0 for none.
        cutmix: α of CutMix's Beta distribution; 0 for none. With both, one is drawn for each batch.
        repeats: How many times in a row an image is drawn, each time with new augmentation.
    """

    crop: Literal["none", "pad", "resized", "scale"] = "pad"
    padding: int = option(4, "[1, inf)", crop=("pad",))
    area: tuple[float, float] = option((0.08, 1.0), "(0, 1]", crop=("resized",))
    scale_sides: tuple[int, int] = option((256, 480), "[1, inf)", crop=("scale",))
    flip: bool = True
    color_jitter: float = option(0.0, "[0, 1)")
    pca_noise: float = option(0.0, "[0, inf)")
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    magnitude: float = option(9.0, "[0, 10]", policy=("randaugment",))
    magnitude_std: float = option(0.0, "[0, inf)", policy=("randaugment",))
    operations: int = option(2, "[1, inf)", policy=("randaugment",))
    policy_probability: float = option(1.0, "(0, 1]", policy=("randaugment",))
    random_erasing: float = option(0.0, "[0, 1]")
    mixup: float = option(0.0, "[0, inf)")
    cutmix: float = option(0.0, "[0, inf)")
    repeats: int = option(1, "[1, inf)")

    def __post_init__(self):
        super().__post_init__()
        for name in ("area", "scale_sides"):
            least, greatest = getattr(self, name)
            self.require(
                least <= greatest, f"`augmentation.{name}` must have the least value first", name
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer(Group, prefix="optimizer."):
    """How gradients change weights.

    Args:
        learning_rate: The schedule's peak, for batches of `reference_batch`.
        reference_batch: The learning rate is multiplied by batch / reference_batch (linear
            scaling, Goyal et al., 2017); 0 leaves it as it is.
        momentum: Of SGD.
        nesterov: Whether SGD looks ahead.
        weight_decay: Coefficient of weight decay.
        decay: `"coupled"` adds weight_decay · w to the gradient, as the papers' SGD does;
            `"decoupled"` keeps it out of the moments, as AdamW and LAMB do.
        decay_norm_and_bias: Whether γ, β and biases decay as well, and with LAMB have a ratio.
        clip_norm: Greatest norm of the whole gradient; 0 for no limit.
        accumulate: Number of batches whose gradients make one step. `batch` counts them together.
    """

    name: Literal["sgd", "adamw", "lamb"] = "sgd"
    learning_rate: float = option(0.1, "(0, inf)")
    reference_batch: int = option(0, "[0, inf)")
    momentum: float = option(0.9, "[0, 1)", name=("sgd",))
    nesterov: bool = option(False, name=("sgd",), momentum=bool)
    weight_decay: float = option(1e-4, "[0, inf)")
    decay: Literal["coupled", "decoupled"] = "coupled"
    decay_norm_and_bias: bool = True
    clip_norm: float = option(0.0, "[0, inf)")
    accumulate: int = option(1, "[1, inf)")

    def __post_init__(self):
        super().__post_init__()
        if self.name != "sgd":
            self.require(
                self.decay == "decoupled",
                f"`optimizer.decay` must be 'decoupled' for {self.name!r}",
                "decay name",
            )
        elif not self.weight_decay:
            self.require_default("decay", "optimizer.weight_decay=0.0")
        if self.name != "lamb" and not self.weight_decay:
            self.require_default("decay_norm_and_bias", "optimizer.weight_decay=0.0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule(Group, prefix="schedule."):
    """How the learning rate changes.

    Args:
        warmup: Duration of the linear rise to the peak. `"onecycle"` falls for as long again.
        warmup_from: Learning rate at the start of the rise, as a part of the peak.
        warmup_until_accuracy: If positive, the rise is replaced by a constant `warmup_from` · peak
            until the running training accuracy exceeds this (He et al., 2015, depth 110).
        boundaries: For `"step"`: durations after which the rate is multiplied by `factor`.
        factor: For `"step"` and `"plateau"`.
        patience: For `"plateau"`: evaluations without a better one before the rate falls.
        power: For `"polynomial"`.
        final: For `"cosine"`, `"onecycle"` and `"polynomial"`: learning rate at the end, as a part
            of the peak.
    """

    name: Literal["constant", "step", "plateau", "cosine", "onecycle", "polynomial"] = "cosine"
    warmup: str = option("0 epochs", "[0, inf)")
    warmup_from: float = option(0.0, "[0, 1]")
    warmup_until_accuracy: float = option(0.0, "[0, 1)", name=("constant", "step"))
    boundaries: tuple[str, ...] = option((), "(0, inf)", name=("step",))
    factor: float = option(0.1, "(0, 1)", name=("step", "plateau"))
    patience: int = option(5, "[1, inf)", name=("plateau",))
    power: float = option(1.0, "(0, inf)", name=("polynomial",))
    final: float = option(0.0, "[0, 1]", name=("cosine", "onecycle", "polynomial"))

    def __post_init__(self):
        super().__post_init__()
        self.require(
            self.boundaries or self.name != "step",
            "`schedule.boundaries` must be given for schedule.name='step'",
            "boundaries",
        )
        if self.warmup_until_accuracy:
            self.require(
                not lasts(self.warmup),
                "`schedule.warmup` has no effect beside `schedule.warmup_until_accuracy`: leave it "
                "at '0 epochs'",
                "warmup warmup_until_accuracy",
            )
            self.require(
                self.warmup_from > 0,
                "`schedule.warmup_from` must be positive beside `schedule.warmup_until_accuracy`: "
                "with a rate of 0 the accuracy does not rise",
                "warmup_from warmup_until_accuracy",
            )
        elif not lasts(self.warmup):
            self.require_default("warmup_from", f"schedule.warmup={self.warmup!r}")
            self.require(
                self.name != "onecycle",
                "`schedule.warmup` must be longer than 0 for schedule.name='onecycle', whose rise "
                "it is",
                "warmup",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(Group, prefix="loss."):
    """What is minimized.

    Args:
        name: `"softmax"` cross-entropy, or `"bce"`: a binary cross-entropy for each class.
        label_smoothing: Part of the label that is spread over all classes, in [0, 1).
        target_threshold: For `"bce"` with mixed images: a class whose share of the image is above
            this counts as present (1), any other as absent (0); in [0, 1). 0 takes the shares.
    """

    name: Literal["softmax", "bce"] = "softmax"
    label_smoothing: float = option(0.0, "[0, 1)", target_threshold=(0.0,))
    target_threshold: float = option(0.0, "[0, 1)", name=("bce",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(Group, prefix="evaluation."):
    """How and when the test split is measured.

    Args:
        every: Duration between evaluations.
        batch: Images at a time.
        image_size: Height and width of the test images; 0 for that of training.
        crop_ratio: Size of the central crop over the shorter side after resizing; 1 for the whole.
        size_rule: How that side, image_size / crop_ratio, becomes a whole number of pixels:
            `"round"`, or `"floor"` as timm does.
        interpolation: How the images are resized; the filter widens where they shrink.
        ten_crop: Whether the scores of four corners, the centre and their mirror images are
            averaged, in the final evaluation.
    """

    every: str = option("1 epochs", "(0, inf)")
    batch: int = option(512, "[1, inf)")
    image_size: int = option(0, "[0, inf)")
    crop_ratio: float = option(1.0, "(0, 1]")
    size_rule: Literal["round", "floor"] = "round"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    ten_crop: bool = option(False, crop_ratio=lambda ratio: ratio < 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(Group):
    """All that determines a run, but the machine.

    Durations are strings of a number and a unit: `"90 epochs"`, `"64000 steps"`,
    `"1000000 examples"`.

    Args:
        model: The network.
        data: The images.
        augmentation: What is done to the training images.
        optimizer: How gradients change weights.
        schedule: How the learning rate changes.
        loss: What is minimized.
        evaluation: How and when the test split is measured.
        batch: Images a step, over all replicas together.
        length: Duration of the run.
        seed: Chooses initial weights, order, augmentation and dropped paths.
        precision: Keras's dtype policy.
        ema: Decay a step of the moving average of the weights, in [0, 1); 0 for none. Where there
            is one, it is what is evaluated and exported.
        head_only: Duration at the start during which only the classifier is trained.
        from_stage: The first stage that is trained after that, from 1; one more than there are
            stages, for the classifier alone (a linear probe); 0 for the whole network.
        keep: Which weights are handed on: the `"last"`, as in the papers, or those of the `"best"`
            evaluation, which the test images then choose.
        checkpoint_every: Duration between checkpoints. Before each evaluation there is one, too.
    """

    model: Model = Model()
    data: Data = Data()
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    evaluation: Evaluation = Evaluation()
    batch: int = option(128, "[1, inf)")
    length: str = option("15 epochs", "(0, inf)")
    seed: int = option(0, "[0, 2147483647]")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    ema: float = option(0.0, "[0, 1)")
    head_only: str = option("0 epochs", "[0, inf)")
    from_stage: int = option(0, "[0, inf)")
    keep: Literal["last", "best"] = "last"
    checkpoint_every: str = option("1 epochs", "(0, inf)")

    def __post_init__(self):
        super().__post_init__()
        data, augmentation = self.data, self.augmentation
        mixes = augmentation.mixup or augmentation.cutmix
        at_once, rest = divmod(self.batch, self.optimizer.accumulate)
        parts = "batch optimizer.accumulate"
        self.require(not rest, "`batch` must be a multiple of `optimizer.accumulate`", parts)
        self.require(
            at_once > 1 or not mixes,
            "Mixing images needs at least 2 of them at a time",
            f"{parts} augmentation.mixup augmentation.cutmix",
        )
        if not mixes:
            beside = "augmentation.mixup=0.0 and augmentation.cutmix=0.0"
            self.loss.require_default("target_threshold", beside)
        self.require(
            augmentation.crop != "scale" or augmentation.scale_sides[0] >= data.image_size,
            "`augmentation.scale_sides` must not be below `data.image_size`, which is cut out",
            "augmentation.scale_sides data.image_size",
        )
        if len(data.std) == 1:
            beside = f"data.std={data.std!r}, which is that of grey images"
            augmentation.require_default("pca_noise", beside)
        self.require(
            data.source != "digits" or len(data.std) == 1,
            "`data.std`, and `data.mean` unless `data.per_pixel_mean`, must have one value for the "
            "digits, which are grey",
            "data.mean data.std data.per_pixel_mean",
        )
        stride = self.model.architecture.natural_stride
        self.require(
            min(data.image_size, self.test_image_size) >= stride,
            f"The images must have at least {stride} pixels a side, the stride of this network",
            "data.image_size evaluation.image_size model.name",
        )
        self._check_durations()

    def _check_durations(self):
        """Raises if a part is as long as the whole, as far as that is known without the data."""
        self.require_parts_fit(self.length, functools.partial(is_shorter, batch=self.batch))
        self.require(
            self.model.weights or not lasts(self.head_only),
            "`head_only` needs `model.weights`: a classifier learns nothing from a backbone that "
            "is not trained",
            "head_only model.weights",
        )
        stages = len(self.model.architecture.repeats)
        self.require(
            self.from_stage <= stages + 1 and (self.model.weights or not self.from_stage),
            "`from_stage` needs `model.weights`, for the stages before it are not trained, and "
            f"must be at most {stages}, the number of stages, or {stages + 1}, for the classifier "
            "alone",
            "from_stage model.weights",
        )

    def require_parts_fit(self, length: str, is_shorter: Callable[[str, str, int], bool]) -> None:
        """Raises unless the parts of the run fit into its length; names all options to change."""
        schedule = self.schedule
        count = len(schedule.boundaries)
        evenly = [Fraction(number, count + 1) for number in range(1, count + 1)]
        twice = 2 if schedule.name == "onecycle" else 1
        # For each field: its durations, how often each takes place, and parts that would fit.
        parts = {
            "head_only": ([self.head_only], 1, [Fraction(1, 10)]),
            "schedule.warmup": ([schedule.warmup], twice, [Fraction(1, 10)]),
            "schedule.boundaries": ([*schedule.boundaries], 1, evenly),
        }
        received, options, can_fit = {}, [], True

        def fit(durations, times):
            pairs = itertools.pairwise([*durations, length])
            return all(is_shorter(one, other, times) for one, other in pairs)

        for name, (durations, times, fractions) in parts.items():
            if not fit(durations, times):
                others = [part_of(length, fraction) for fraction in fractions]
                can_fit &= fit(others, times)
                is_list = name == "schedule.boundaries"
                received[name] = durations if is_list else durations[0]
                options += [f"--{name.replace('_', '-')}", *map(repr, others)]
        if received:
            names = " and ".join(f"`{name}`" for name in received)
            growing = ", in growing order" if count > 1 else ""
            values = ", ".join(f"{name}={values!r}" for name, values in received.items())
            shorter = f"{' '.join(options)}, or " if can_fit else ""
            in_steps = f" ({length})" if length != self.length else ""
            raise ValueError(
                f"{names} must be over before the run{growing}: pass {shorter}a longer --length. "
                f"Received: {values}, length={self.length!r}{in_steps}"
            )

    @property
    def test_image_size(self) -> int:
        """Height and width of the images that the network is measured on, and handed on for."""
        return self.evaluation.image_size or self.data.image_size
