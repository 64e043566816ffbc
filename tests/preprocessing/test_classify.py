"""`classify`: from files of any size to names."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_resnets
from keras_resnets import Preprocessing, classify, preprocess_input, set_preprocessing

NAMES = ["red", "green", "blue"]


def colour_model(activation="softmax", channels=3, input_tensor=None):
    """A network that answers with the mean of each channel: its branch gives nothing."""
    spec = keras_resnets.ResNetSpec(
        block="basic", repeats=(1,), widths=(3,), stem="cifar", zero_init_residual=True
    )
    shape = (16, 16, channels) if input_tensor is None else None
    model = keras_resnets.build_model(
        spec,
        classes=3,
        input_shape=shape,
        input_tensor=input_tensor,
        classifier_activation=activation,
    )
    kernel = np.zeros((3, 3, channels, 3))
    kernel[1, 1] = np.eye(3)[:channels]
    model.get_layer("stem_conv").conv.set_weights([kernel])
    model.get_layer("predictions").set_weights([10 * np.eye(3), np.zeros(3)])
    return model


@pytest.fixture
def model():
    model = colour_model()
    set_preprocessing(model, Preprocessing(resize=20, crop=16))
    return model


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, size in zip(NAMES, [(30, 50), (64, 20), (30, 50)], strict=True):
        Image.new("RGB", size, {"green": "lime"}.get(name, name)).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_files_of_several_sizes_are_named_in_their_order(model, files, batch_size):
    answers = classify(model, files, top=1, class_names=NAMES, batch_size=batch_size)
    assert [answer.name for [answer] in answers] == NAMES
    # Pure colour is 1 in its channel and 0 in the others, but for BN's epsilon.
    assert answers[0][0].score == pytest.approx(np.exp(10) / (np.exp(10) + 2), rel=1e-3)


def test_paths_and_arrays_alone_in_lists_and_in_batches(model, files):
    array = np.asarray(Image.open(files[2]))
    expected = classify(model, files[2], top=3, class_names=NAMES)
    assert len(expected) == 1
    assert len(expected[0]) == 3
    for images in (str(files[2]), array, [array], array[None], keras.ops.convert_to_tensor(array)):
        assert classify(model, images, top=3, class_names=NAMES) == expected
    assert classify(model, [], class_names=NAMES, top=3) == []


def test_the_logits_of_a_nested_model_become_probabilities(files):
    model = colour_model(activation=None)
    set_preprocessing(model, Preprocessing(resize=20, crop=16))
    expected = classify(model, files, top=3, class_names=NAMES)
    inputs = keras.Input((16, 16, 3))
    float32 = keras.layers.Activation("linear", dtype="float32")
    for outer in (
        keras.Sequential([keras.Input((16, 16, 3)), model]),
        keras.Model(inputs, float32(keras.Model(inputs, model(inputs))(inputs))),
        keras.Model(inputs, keras.layers.Softmax()(model(inputs))),  # not twice
        keras.Model(inputs, keras.layers.Flatten()(model(inputs))),
        keras.Model(inputs, keras.layers.Reshape((3,))(model(inputs))),
    ):
        answers = classify(outer, files, top=3, class_names=NAMES)
        for answer, wanted in zip(answers, expected, strict=True):
            assert [name for _, name, _ in answer] == [name for _, name, _ in wanted]
            scores = [score for _, _, score in wanted]
            np.testing.assert_allclose([score for _, _, score in answer], scores, rtol=1e-5)


def test_a_grey_model_takes_files_as_grey(files):
    model = colour_model(channels=1)
    set_preprocessing(model, Preprocessing(resize=20, crop=16))
    [answer] = classify(model, files[0], top=1, class_names=NAMES)
    # The grey of red is 76 of 255, in the first channel.
    level = np.exp(10 * 76 / 255)
    assert answer[0].score == pytest.approx(level / (level + 2), rel=1e-3)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([3], ValueError, r"image 0 of shape \(\)"),
        ([None], TypeError, "path or an array of numbers. Received: image 0"),
        (None, TypeError, "a path, an array .* or a list of such. Received: NoneType"),
        (iter([np.zeros((4, 4, 3))]), TypeError, "Received: list_iterator"),
        (np.zeros((4, 4)), TypeError, r"Received: ndarray of shape \(4, 4\)"),
        ([np.zeros((4, 4, 3)), np.zeros((4, 4, 1))], ValueError, "image 1 of shape"),
        ([np.full((4, 4, 3), -1.0)], ValueError, r"`images\[0\]` must hold grey levels 0 to 255"),
        (np.full((4, 4, 3), 0.5), ValueError, "these values are already scaled"),
        (
            [np.zeros((20, 20, 3)), np.zeros((1, 101, 3))],
            ValueError,
            r"at most 100 times as long as it is wide.*\(1, 1, 101, 3\) of image 1",
        ),
        (["nowhere.png"], FileNotFoundError, "nowhere.png"),
    ],
)
def test_wrong_images_are_named(model, images, error, message):
    with pytest.raises(error, match=message):
        classify(model, images, class_names=NAMES, top=1)


def test_what_is_no_model_is_refused(files):
    with pytest.raises(TypeError, match=r"`model` must be a keras\.Model.* Received: model='"):
        classify(str(files[0]), keras_resnets.ResNet20)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_outputs_that_are_not_finite_are_refused(activation):
    """Whatever the last layer does: a score of NaN would be as likely as any other."""
    broken = keras_resnets.ResNet20(classes=2, classifier_activation=activation)
    broken.get_layer("predictions").bias.assign([np.nan, 0])
    set_preprocessing(broken, Preprocessing.imagenet(32, 32))
    with pytest.raises(ValueError, match="outputs of `model` must be finite"):
        classify(broken, np.zeros((32, 32, 3), "uint8"), class_names=["cat", "dog"])


def test_what_is_no_classifier_is_refused(model):
    image = np.zeros((16, 16, 3), "uint8")
    features = model.get_layer("stage1_block1").output
    for outputs, shapes in [
        (features, r"\[\(None, 16, 16, 3\)\]"),
        ({"a": features, "b": model.output}, r"\[\(None, 16, 16, 3\), \(None, 3\)\]"),
    ]:
        with pytest.raises(ValueError, match=f"must be a classifier.* the shapes {shapes}"):
            classify(keras.Model(model.input, outputs), image, class_names=NAMES)


def test_a_dictionary_of_one_output_and_videos_are_refused(model):
    image = np.zeros((16, 16, 3), "uint8")
    named = keras.Model(model.input, {"a": model.output}, name="named")
    with pytest.raises(ValueError, match=r"no dictionary.* 'named' with the outputs \['a'\]"):
        classify(named, image, class_names=NAMES)
    video = keras.Input((2, 16, 16, 3))
    frames = keras.layers.TimeDistributed(model)(video)
    clips = keras.Model(video, keras.layers.GlobalAveragePooling1D()(frames), name="clips")
    with pytest.raises(ValueError, match=r"'clips', which takes \(None, 2, 16, 16, 3\)"):
        classify(clips, image, class_names=NAMES, scores="probabilities")


def test_a_model_that_is_not_built_is_told_so(model):
    for wrapped in (keras.Sequential([model]), keras.Sequential([keras.layers.Flatten()])):
        with pytest.raises(ValueError, match="build the model first"):
            classify(wrapped, np.zeros((16, 16, 3), "uint8"), class_names=NAMES)
    with pytest.raises(ValueError, match="build the model first"):
        preprocess_input(np.zeros((16, 16, 3), "uint8"), keras.Sequential([model]))


def test_a_model_that_says_nothing_or_classes_without_names_are_refused(model):
    image = np.zeros((16, 16, 3), "uint8")
    with pytest.raises(ValueError, match=r"`class_names` must name the classes.*3 classes"):
        classify(model, image)
    with pytest.raises(ValueError, match="must note how its images are prepared: give it"):
        classify(colour_model(), image, class_names=NAMES)
    with pytest.raises(ValueError, match="`batch_size`"):
        classify(model, image, class_names=NAMES, batch_size=0)
