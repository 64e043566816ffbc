"""Class names that a model carries, and who inherits them."""

import keras
import numpy as np
import pytest

import keras_resnets

NAMES = ("cat", "dog", "owl")


def network(classes=3, **options):
    return keras_resnets.ResNet20(input_shape=(16, 16, 3), classes=classes, **options)


@pytest.fixture(scope="module")
def named():
    model = network()
    keras_resnets.set_class_names(model, NAMES)
    keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing())
    return model


def test_a_new_model_carries_none():
    assert keras_resnets.model_class_names(network()) is None


def test_copies_of_the_classifier_keep_the_names(named, tmp_path):
    named.save(tmp_path / "named.keras")
    copies = [
        keras.saving.load_model(tmp_path / "named.keras"),
        keras.models.clone_model(named),
        keras_resnets.plain_twin(named),
        keras_resnets.fuse_batch_norm(named),
        keras.Sequential([keras.Input((16, 16, 3)), named]),
        keras.Sequential([keras.Input((16, 16, 3)), named, keras.layers.Activation("linear")]),
        network(weights=tmp_path / "named.keras"),
        network(weights=tmp_path / "named.keras", classifier_activation=None),
    ]
    assert [keras_resnets.model_class_names(copy) for copy in copies] == [NAMES] * len(copies)


@pytest.mark.parametrize("classes", [3, 4])
def test_a_new_classifier_inherits_none(named, classes, tmp_path):
    features = named.get_layer("avg_pool").output
    heads = [keras.layers.Dense(classes), keras_resnets.layers.Classifier(classes)]
    for head in heads:
        model = keras.Model(named.input, head(features))
        assert keras_resnets.model_class_names(model) is None
    if classes == 4:
        named.save(tmp_path / "named.keras")
        with pytest.warns(UserWarning, match="begins anew"):
            model = network(classes, weights=tmp_path / "named.keras")
        assert keras_resnets.model_class_names(model) is None


def test_a_softmax_may_follow_the_classifier():
    logits = network(classifier_activation=None)
    for layer in (keras.layers.Softmax(), keras.layers.Activation("softmax")):
        model = keras.Model(logits.input, layer(logits.output))
        keras_resnets.set_class_names(model, NAMES)
        assert keras_resnets.model_class_names(model) == NAMES


def test_classify_uses_them_unless_it_is_told_others(named):
    image = np.zeros((16, 16, 3), "uint8")
    for names in (None, ("a", "b", "c")):
        [found] = keras_resnets.classify(named, image, class_names=names)
        order = np.argsort(-named.predict_on_batch(np.zeros((1, 16, 16, 3), "float32"))[0])
        assert [each.name for each in found] == [(names or NAMES)[index] for index in order]
        assert [each.class_id for each in found] == [str(index) for index in order]


def test_names_can_be_taken_away(named):
    model = keras.models.clone_model(named)
    keras_resnets.set_class_names(model, None)
    assert keras_resnets.model_class_names(model) is None
    assert "class_names" not in model.get_layer("predictions").get_config()


def test_one_unit_has_one_name_or_two():
    model = network(1, classifier_activation="sigmoid")
    for names in (("dog",), ("cat", "dog")):
        keras_resnets.set_class_names(model, names)
        assert keras_resnets.model_class_names(model) == names


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("a", "b"), ValueError, "each of the 3 classes. Received: 2 names"),
        ({"a", "b", "c"}, TypeError, "in the order of the classes"),
        (5, TypeError, "in the order of the classes"),
        (("a", "b\nc", "d"), ValueError, "names of one line each"),
        (("a", " ", "d"), ValueError, "texts that are not empty"),
        (("a", b"b", "d"), TypeError, "texts that are not empty"),
        ("abc", TypeError, "in the order of the classes"),
    ],
)
def test_wrong_names_are_refused(names, error, message):
    model = network()
    keras_resnets.set_class_names(model, NAMES)
    with pytest.raises(error, match=message):
        keras_resnets.set_class_names(model, names)
    assert keras_resnets.model_class_names(model) == NAMES


def test_a_model_that_ends_in_another_layer_is_refused_with_the_way_out(named):
    model = keras.Model(named.input, keras.layers.Dense(3)(named.get_layer("avg_pool").output))
    with pytest.raises(ValueError, match=r"end in a `keras_resnets.layers.Classifier`.*pass"):
        keras_resnets.set_class_names(model, NAMES)
    with pytest.raises(TypeError, match=r"must be a keras\.Model"):
        keras_resnets.set_class_names("resnet20", NAMES)


def test_a_file_with_wrong_names_is_refused(named, tmp_path):
    import json
    import zipfile

    named.save(tmp_path / "named.keras")
    with (
        zipfile.ZipFile(tmp_path / "named.keras") as whole,
        zipfile.ZipFile(tmp_path / "wrong.keras", "w") as wrong,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            if name == "config.json":
                text = content.decode().replace('["cat", "dog", "owl"]', '["cat"]')
                assert json.loads(text) != json.loads(content)
                content = text.encode()
            wrong.writestr(name, content)
    with pytest.raises(keras_resnets.files.WeightsFileError, match="class names"):
        network(weights=tmp_path / "wrong.keras")


def test_a_classifier_can_be_quantized_as_keras_own(named):
    model = keras.models.clone_model(named)
    model.get_layer("predictions").quantize("int8")
    assert model.get_layer("predictions").quantization_mode == "int8"
    assert keras_resnets.model_class_names(model) == NAMES


def test_what_changes_the_meaning_of_the_outputs_loses_the_names(named):
    output = named.output
    flipped = keras.Model(named.input, keras.layers.Activation(lambda x: 1 - x)(output))
    reordered = keras.Model(named.input, output[:, ::-1])
    for model in (flipped, reordered):
        assert keras_resnets.model_class_names(model) is None
    for name in ("softmax", "sigmoid", "hard_sigmoid", "linear"):
        model = keras.Model(named.input, keras.layers.Activation(name)(output))
        assert keras_resnets.model_class_names(model) == NAMES


def test_a_fixed_batch_keeps_the_names():
    image = keras.Input((16, 16, 3), batch_size=2)
    model = keras_resnets.ResNet20(input_tensor=image, classes=3)
    keras_resnets.set_class_names(model, NAMES)
    assert keras_resnets.model_class_names(model) == NAMES
