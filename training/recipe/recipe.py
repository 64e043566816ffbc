"""All that determines a run, as data."""

import dataclasses
from typing import Literal

from training.recipe.checks import (
    check_augmentation,
    check_data,
    check_evaluation,
    check_loss,
    check_model,
    check_optimizer,
    check_recipe,
    check_schedule,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The network.

    Args:
        name: A name that `keras_resnets.list_models` gives; any, with `spec`.
        spec: JSON of a `keras_resnets.ResNetSpec`, for a network that has no name, instead of the
            options here; the empty string for none.
        block: A class of blocks in `keras_resnets.layers` to take the place of the network's own;
            see `keras_resnets.with_blocks`. The empty string for none.
        block_options: JSON of the further arguments of `with_blocks`.
        shortcut: Shortcut option; `"default"` is the model's own.
        stride_on: Where a bottleneck carries its stride.
        zero_init_residual: Whether the last γ of each branch begins at 0.
        drop_path_rate: Probability in [0, 1) of skipping the last block's branch.
        classifier_std: Standard deviation of the classifier's initial weights; 0 keeps Keras's
            initializer.
        weights: Path of weights to begin with (`.weights.h5` or `.keras`); the empty string for
            none.
        sync_batch_norm: Whether batch normalization takes its statistics over the whole batch,
            where several replicas share it, and not over each one's part.
    """

    name: str = "resnet20"
    spec: str = ""
    block: Literal["", "StackedBlock", "GatedBlock", "OrderedBlock", "UnnormalizedBlock"] = ""
    block_options: str = "{}"
    shortcut: Literal["default", "A", "B", "C"] = "default"
    stride_on: Literal["3x3", "1x1"] = "3x3"
    zero_init_residual: bool = False
    drop_path_rate: float = 0.0
    classifier_std: float = 0.0
    weights: str = ""
    sync_batch_norm: bool = False

    def __post_init__(self):
        check_model(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """The images.

    Args:
        source: `"digits"`, `"synthetic"`, `"folder:PATH"`, or the name of a TFDS data set, such as
            `"cifar10"` or `"imagenet2012"`.
        train_split: Name of the split to train on; TFDS slices (`"train[:90%]"`) are allowed.
        test_split: Name of the split to evaluate on.
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
    image_size: int = 32
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    per_pixel_mean: bool = False
    on_bad_image: Literal["error", "skip"] = "error"

    def __post_init__(self):
        check_data(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
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
        policy: `"none"`, `"randaugment"` or `"trivialaugment"`.
        magnitude: Strength of RandAugment, 0 to 10.
        magnitude_std: Standard deviation, around `magnitude`, of the strength that each operation
            draws for itself.
        operations: Number of operations RandAugment applies.
        policy_probability: Probability of each RandAugment operation.
        random_erasing: Probability of erasing a rectangle.
        mixup: α of mixup's Beta distribution; 0 for none.
        cutmix: α of CutMix's Beta distribution; 0 for none. With both, one is drawn for each batch.
        repeats: How many times in a row an image is drawn, each time augmented anew.
    """

    crop: Literal["none", "pad", "resized", "scale"] = "pad"
    padding: int = 4
    area: tuple[float, float] = (0.08, 1.0)
    scale_sides: tuple[int, int] = (256, 480)
    flip: bool = True
    color_jitter: float = 0.0
    pca_noise: float = 0.0
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    magnitude: float = 9.0
    magnitude_std: float = 0.0
    operations: int = 2
    policy_probability: float = 1.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1

    def __post_init__(self):
        check_augmentation(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """How gradients change weights.

    Args:
        name: `"sgd"`, `"adamw"` or `"lamb"`.
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
    learning_rate: float = 0.1
    reference_batch: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay: Literal["coupled", "decoupled"] = "coupled"
    decay_norm_and_bias: bool = True
    clip_norm: float = 0.0
    accumulate: int = 1

    def __post_init__(self):
        check_optimizer(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes.

    Args:
        name: `"constant"`, `"step"`, `"plateau"`, `"cosine"`, `"onecycle"` or `"polynomial"`.
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
    warmup: str = "0 epochs"
    warmup_from: float = 0.0
    warmup_until_accuracy: float = 0.0
    boundaries: tuple[str, ...] = ()
    factor: float = 0.1
    patience: int = 5
    power: float = 1.0
    final: float = 0.0

    def __post_init__(self):
        check_schedule(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What is minimized.

    Args:
        name: `"softmax"` cross-entropy, or `"bce"`: a binary cross-entropy for each class.
        label_smoothing: Part of the label that is spread over all classes, in [0, 1).
        target_threshold: For `"bce"` with mixed images: a class whose share of the image is above
            this counts as present (1), any other as absent (0); in [0, 1). 0 takes the shares.
    """

    name: Literal["softmax", "bce"] = "softmax"
    label_smoothing: float = 0.0
    target_threshold: float = 0.0

    def __post_init__(self):
        check_loss(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
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

    every: str = "1 epochs"
    batch: int = 512
    image_size: int = 0
    crop_ratio: float = 1.0
    size_rule: Literal["round", "floor"] = "round"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    ten_crop: bool = False

    def __post_init__(self):
        check_evaluation(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
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
        checkpoint_every: Duration between checkpoints. Before each evaluation there is one, too.

    Raises:
        ValueError: If a value is not allowed, or contradicts or has no effect beside another.
    """

    model: Model = Model()
    data: Data = Data()
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    evaluation: Evaluation = Evaluation()
    batch: int = 128
    length: str = "15 epochs"
    seed: int = 0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    ema: float = 0.0
    head_only: str = "0 epochs"
    checkpoint_every: str = "1 epochs"

    def __post_init__(self):
        check_recipe(self)

    @property
    def test_image_size(self) -> int:
        """Height and width of the images that the network is measured on, and handed on for."""
        return self.evaluation.image_size or self.data.image_size
