"""Models that scale their images themselves: seen wherever it is done, and done once."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import (
    Preprocessing,
    classify,
    model_preprocessing,
    preprocess_input,
    set_preprocessing,
)

NAMES = ["a", "b", "c"]
CARRIED = Preprocessing.imagenet(36, 32)
MEAN, VARIANCE = [0.485, 0.456, 0.406], [0.0524, 0.0502, 0.0506]
COLOUR = np.array([103.0, 116.0, 123.0], "float32")
SIZE_ALONE = Preprocessing(resize=36, crop=32, value_range=(0, 255))
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype="uint8")


def network(**options):
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    return keras_resnets.build_model(spec, classes=3, **options)


@pytest.fixture
def base():
    model = network(input_shape=(32, 32, 3))
    set_preprocessing(model, CARRIED)
    return model


def sequential(*layers):
    return keras.Sequential([keras.Input((32, 32, 3)), *layers])


def functional(front):
    def build(base):
        image = keras.Input((32, 32, 3))
        return keras.Model(image, base(front(image)))

    return build


def rescaling():
    return keras.layers.Rescaling(1 / 255)


def normalized(x):
    return keras.layers.Normalization(mean=MEAN, variance=VARIANCE)(rescaling()(x))


class Subclassed(keras.Model):
    """A model whose code hides what it does."""

    def __init__(self, base):
        super().__init__()
        self.scale, self.base = rescaling(), base

    def call(self, x):
        return self.base(self.scale(x))


def answers_of(model, image=PHOTO):
    [answer] = classify(model, image, class_names=NAMES)
    found = {name: score for _, name, score in answer}
    return [found[name] for name in NAMES]


def outputs_of(model, image):
    return keras.ops.convert_to_numpy(model(image[None].astype("float32"), training=False))[0]


INSIDE = {
    "Normalization": functional(normalized),
    "arithmetic": functional(lambda x: x / 127.5 - 1.0),
    "less a mean": functional(lambda x: x - COLOUR),
    "Lambda": functional(keras.layers.Lambda(lambda x: x / 255.0)),
    "Sequential": lambda base: sequential(keras.layers.RandomFlip(), rescaling(), base),
    "nested": lambda base: sequential(sequential(rescaling()), sequential(base)),
    "before a layer with weights": (
        lambda base: sequential(sequential(rescaling(), keras.layers.Conv2D(3, 1)), base)
    ),
    "folded": lambda base: keras_resnets.fuse_batch_norm(functional(normalized)(base)),
    "subclassed": lambda base: functional(Subclassed(base))(lambda x: x),
}


@pytest.mark.parametrize("build", INSIDE.values(), ids=INSIDE)
def test_what_scales_inside_is_not_scaled_before(build, base):
    model = build(base)
    assert model_preprocessing(model) == SIZE_ALONE
    np.testing.assert_array_equal(preprocess_input(PHOTO, model), PHOTO)
    with pytest.raises(ValueError, match=r"scales its images itself .*value_range=\(0, 255\)"):
        set_preprocessing(model, CARRIED)
    set_preprocessing(model, SIZE_ALONE)
    assert model_preprocessing(model) == SIZE_ALONE


def test_grey_levels_are_classified_by_a_model_that_scales_them(base):
    model = functional(normalized)(base)
    # As large as what `resize` leaves: the centre is cut out, and no pixel is changed.
    around = np.pad(PHOTO, ((2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(answers_of(model, around), outputs_of(model, PHOTO), rtol=1e-5)


NOTHING = {
    "flip": lambda base: sequential(keras.layers.RandomFlip(), base),
    "channels": functional(lambda x: keras.layers.Concatenate()([x[..., :1]] * 3)),
    "a layer with weights": functional(keras.layers.Conv2D(3, 1)),
}


@pytest.mark.parametrize("build", NOTHING.values(), ids=NOTHING)
def test_what_scales_nothing_leaves_what_is_carried(build, base):
    model = build(base)
    assert model_preprocessing(model) == CARRIED
    set_preprocessing(model, CARRIED)


FOR_NOTED = {
    "0 to 1, inverted": (Preprocessing(), lambda x: 1.0 - x),
    "0 to 1, halved": (Preprocessing(), lambda x: x * 0.5),
    "0 to 1, less 1": (Preprocessing(), lambda x: x - 1),
    "0 to 1, normalized": (
        Preprocessing(),
        keras.layers.Normalization(mean=MEAN, variance=VARIANCE),
    ),
    "-1 to 1, to 0 to 1": (Preprocessing(value_range=(-1, 1)), lambda x: (x + 1) / 2),
    "0 to 1, sigmoid": (Preprocessing(), keras.ops.sigmoid),
    "0 to 1, a fifth": (Preprocessing(), lambda x: x * 0.2),
    "ImageNet's, clipped": (CARRIED, lambda x: keras.ops.clip(x, -1, 1)),
    "ImageNet's, tanh": (CARRIED, keras.ops.tanh),
    "Caffe's, grey": (
        Preprocessing.imagenet_caffe(None, None),
        lambda x: keras.ops.image.rgb_to_grayscale(x) + COLOUR * 0,
    ),
}


@pytest.mark.parametrize(("noted", "front"), FOR_NOTED.values(), ids=FOR_NOTED)
def test_what_is_for_the_noted_values_is_part_of_the_model(noted, front, base):
    noted = dataclasses.replace(noted, resize=None, crop=None)
    set_preprocessing(base, noted)
    model = functional(front)(base)
    assert model_preprocessing(model) == noted
    np.testing.assert_array_equal(preprocess_input(PHOTO, model), preprocess_input(PHOTO, noted))
    set_preprocessing(model, noted)


@pytest.mark.parametrize(
    ("noted", "front"),
    [
        (Preprocessing.imagenet_caffe(32, 32), lambda x: x - 100.0),
        (Preprocessing.imagenet_caffe(32, 32), lambda x: x / 127.5 - 1.0),
        (Preprocessing(resize=32, crop=32), lambda x: x * 0.1),
    ],
)
def test_what_may_be_for_either_is_refused(noted, front, base):
    set_preprocessing(base, noted)
    model = functional(front)(base)
    assert model_preprocessing(model) is None
    for call in (lambda: answers_of(model), lambda: set_preprocessing(model, noted)):
        with pytest.raises(
            ValueError, match=r"may be for both.*`set_preprocessing\(model, None\)`"
        ):
            call()
    set_preprocessing(model, None)
    assert model_preprocessing(model) == Preprocessing(
        resize=32, crop=(32, 32), value_range=(0, 255)
    )


def standardized(x):
    """Each image by its own mean and deviation."""
    mean, std = (each(x, (1, 2, 3), keepdims=True) for each in (keras.ops.mean, keras.ops.std))
    return (x - mean) / (std + 1e-3)


FRONTS = {
    "padded": keras.layers.ZeroPadding2D(20),
    "scaled, padded": lambda x: keras.layers.ZeroPadding2D(20)(rescaling()(x)),
    "scaled, to HSV": lambda x: keras.ops.image.rgb_to_hsv(rescaling()(x)),
    "grey": lambda x: keras.ops.repeat(keras.ops.image.rgb_to_grayscale(x), 3, -1),
    "untrained": keras.layers.BatchNormalization(trainable=False, scale=False, center=False),
    "standardized": standardized,
    "cropped": keras.layers.Cropping2D(40),
    "scaled, cropped": lambda x: keras.layers.Cropping2D(40)(rescaling()(x)),
}


@pytest.mark.parametrize("name", FRONTS)
def test_what_hides_the_ends_of_the_scale(name):
    base = network(input_shape=(None, None, 3))
    set_preprocessing(base, CARRIED)
    pixels = keras.Input((None, None, 3))
    model = keras.Model(pixels, base(FRONTS[name](pixels)))
    assert model_preprocessing(model) == (SIZE_ALONE if "scaled" in name else CARRIED)


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_front_that_cannot_be_tried_is_known_by_its_layers(is_inside, base):
    tf = pytest.importorskip("tensorflow")
    files = keras.Input((), dtype="string")
    decode = keras.layers.Lambda(
        lambda x: tf.map_fn(
            lambda each: tf.ensure_shape(tf.io.decode_png(each, 3), (32, 32, 3)),
            x,
            fn_output_signature=tf.uint8,
        ),
        output_shape=(32, 32, 3),
    )
    images = keras.ops.cast(decode(files), "float32")
    model = keras.Model(files, base(rescaling()(images) if is_inside else images))
    found = model_preprocessing(model)
    assert found.value_range == ((0, 255) if is_inside else (0, 1))


def test_a_network_without_a_front_is_not_run(base, monkeypatch):
    model = sequential(base)
    monkeypatch.setattr("keras_resnets.preprocessing.model._run", None)
    assert model_preprocessing(model) == CARRIED


def test_whole_numbers_are_grey_levels(base):
    pixels = keras.Input((32, 32, 3), dtype="uint8")
    model = keras.Model(pixels, base(1.0 - keras.ops.cast(pixels, "float32")))
    assert model_preprocessing(model) == SIZE_ALONE


def test_values_are_not_given_to_an_input_of_whole_numbers(base):
    pixels = keras.Input((32, 32, 3), dtype="uint8")
    model = keras.Model(pixels, base(keras.ops.cast(pixels, "float32")))
    with pytest.raises(ValueError, match=r"whole numbers cannot read.*uint8"):
        preprocess_input(PHOTO, model)


@pytest.mark.parametrize(
    ("noted", "front"),
    [
        (CARRIED, keras.layers.Normalization(mean=MEAN, variance=VARIANCE)),
        (None, keras.layers.Rescaling(2.0, offset=-1.0)),
        (CARRIED, lambda x: rescaling()(rescaling()(x))),
    ],
    ids=["Normalization", "Rescaling", "twice"],
)
def test_layers_for_images_that_were_scaled_before_are_refused(noted, front, base):
    set_preprocessing(base, noted)
    model = functional(front)(base)
    assert model_preprocessing(model) is None
    message = r"from grey levels 0 to 255.*Rescaling\(1 / 255\).*see black as .* and white as"
    for call in (
        lambda: answers_of(model),
        lambda: preprocess_input(PHOTO, model),
        lambda: set_preprocessing(model, noted or Preprocessing.imagenet_caffe(36, 32)),
    ):
        with pytest.raises(ValueError, match=message):
            call()


TOO_MUCH = {
    "clip": lambda x: keras.ops.clip(x, 0, 1),
    "sigmoid": keras.ops.sigmoid,
    "inverted": lambda x: 1.0 - x,
    "from -1 to 1": lambda x: (x + 1) / 2,
    "halved": lambda x: x * 0.5,
}


@pytest.mark.parametrize("front", TOO_MUCH.values(), ids=TOO_MUCH)
def test_grey_levels_are_not_given_to_what_makes_black_and_white_or_much_more_of_them(front, base):
    set_preprocessing(base, None)
    with pytest.raises(ValueError, match="from grey levels 0 to 255"):
        answers_of(functional(front)(base))


def test_one_that_carries_nothing_takes_images_of_any_size_to_its_own():
    pixels = keras.Input((24, 32, 3))
    model = network(input_tensor=rescaling()(pixels))
    expected = Preprocessing(resize=32, crop=(24, 32), value_range=(0, 255))
    assert model_preprocessing(model) == expected


def test_one_that_resizes_is_given_images_as_they_are(base):
    pixels = keras.Input((None, None, 3))
    for front in (lambda x: rescaling()(keras.layers.Resizing(32, 32)(x)), CARRIED.as_layer()):
        model = keras.Model(pixels, base(front(pixels)))
        assert model_preprocessing(model) == Preprocessing(value_range=(0, 255))
    # A layer that only resizes leaves the values to what is carried.
    model = keras.Model(pixels, base(SIZE_ALONE.as_layer()(pixels)))
    assert model_preprocessing(model) == CARRIED


def test_in_a_graph_that_is_being_traced(base):
    tf = pytest.importorskip("tensorflow")
    model = functional(normalized)(base)
    dataset = tf.data.Dataset.from_tensors(PHOTO[None])
    [outputs] = dataset.map(lambda x: preprocess_input(x, model))
    np.testing.assert_array_equal(outputs, PHOTO[None])
    [outputs] = dataset.map(lambda x: preprocess_input(x, base))
    np.testing.assert_allclose(outputs, preprocess_input(PHOTO[None], base), rtol=1e-5, atol=1e-5)


def test_weights_of_a_model_that_scales_do_not_hand_on_that_nothing_is_scaled(tmp_path):
    pixels = keras.Input((32, 32, 3))
    model = network(input_tensor=rescaling()(pixels))
    set_preprocessing(model, SIZE_ALONE)
    model.save(tmp_path / "model.keras")
    loaded = network(input_shape=(32, 32, 3), weights=tmp_path / "model.keras")
    assert model_preprocessing(loaded) is None
