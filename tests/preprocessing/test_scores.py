"""What makes scores of a model's outputs: one unit, several, and heads that are no classifier's."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import Preprocessing, classify, set_preprocessing

IMAGES = np.random.default_rng(0).integers(0, 256, size=(3, 16, 16, 3), dtype="uint8")


def classifier(units, activation=None, end=None):
    """A network whose outputs before the activation differ by image, and lie within -2 and 2."""
    spec = keras_resnets.ResNetSpec(block="basic", repeats=(1,), widths=(4,), stem="cifar")
    body = keras_resnets.build_model(
        spec, include_top=False, pooling="avg", input_shape=(16, 16, 3)
    )
    set_preprocessing(body, Preprocessing.imagenet(None, None))
    head = keras.layers.Dense(units, activation=activation, name="head")
    outputs = head(body.output)
    model = keras.Model(body.input, outputs if end is None else end(outputs), name="net")
    pooled = keras.ops.convert_to_numpy(body(prepared(model), training=False))
    centred = pooled - pooled.mean(axis=0)
    kernel = np.random.default_rng(1).normal(size=(pooled.shape[1], units))
    kernel = kernel / np.abs(centred @ kernel).max(axis=0)
    head.set_weights([kernel, 0.5 - pooled.mean(axis=0) @ kernel])
    return model


def prepared(model):
    return keras_resnets.preprocess_input(IMAGES, model)


def outputs_of(model):
    outputs = model(prepared(model), training=False)
    return keras.ops.convert_to_numpy(outputs).astype("float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def scores_of(answers, names):
    found = [{name: score for _, name, score in answer} for answer in answers]
    return np.array([[answer[name] for name in names] for answer in found])


def test_one_logit_is_the_sigmoid_of_the_positive_class():
    model = classifier(1)
    expected = sigmoid(outputs_of(model))
    assert np.ptp(expected) > 0.1
    answers = classify(model, IMAGES, class_names=["dog"])
    np.testing.assert_allclose(scores_of(answers, ["dog"]), expected, rtol=1e-4)
    answers = classify(model, IMAGES, class_names=["cat", "dog"])
    both = np.concatenate([1 - expected, expected], axis=1)
    np.testing.assert_allclose(scores_of(answers, ["cat", "dog"]), both, rtol=1e-4)
    assert [answer[0].name for answer in answers] == [
        "dog" if score > 0.5 else "cat" for [score] in expected
    ]
    assert {each.name: each.class_id for each in answers[0]} == {"cat": "0", "dog": "1"}


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_one_saturated_unit_is_exactly_0_or_1(activation):
    model = classifier(1, activation)
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([1e6 * kernel, 1e6 * (bias - 0.5)])
    answers = scores_of(classify(model, IMAGES, class_names=["cat", "dog"]), ["cat", "dog"])
    assert {*answers[:, 1]} == {0.0, 1.0}
    np.testing.assert_array_equal(answers.sum(axis=1), 1)


@pytest.mark.parametrize(("activation", "end"), [("sigmoid", None), (None, keras.ops.sigmoid)])
def test_one_probability_stays_as_it_is(activation, end):
    model = classifier(1, activation, end)
    answers = classify(model, IMAGES, class_names=["dog"])
    np.testing.assert_allclose(scores_of(answers, ["dog"]), outputs_of(model), rtol=1e-4)


def test_several_logits_are_softmax_and_by_choice_sigmoids():
    model, names = classifier(3), ["a", "b", "c"]
    logits = outputs_of(model)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for chosen, expected in ((None, softmax), ("softmax", softmax), ("sigmoid", sigmoid(logits))):
        answers = classify(model, IMAGES, class_names=names, scores=chosen)
        np.testing.assert_allclose(scores_of(answers, names), expected, rtol=1e-4)


def test_several_probabilities_stay_as_they_are():
    for activation, chosen in (("sigmoid", "sigmoid"), ("softmax", None)):
        model, names = classifier(3, activation), ["a", "b", "c"]
        answers = classify(model, IMAGES, class_names=names, scores=chosen)
        np.testing.assert_allclose(scores_of(answers, names), outputs_of(model), rtol=1e-4)
    with pytest.raises(ValueError, match=r"`scores` must be None .*'softmax', scores='sigmoid'$"):
        classify(model, IMAGES, class_names=names, scores="sigmoid")


@pytest.mark.parametrize(
    ("units", "activation", "end", "message"),
    [
        (3, "relu", None, "'net', which ends in 'relu'$"),
        (3, "tanh", None, "'net', which ends in 'tanh'$"),
        (3, "log_softmax", None, "'net', which ends in 'log_softmax'$"),
        (1, None, lambda x: x * 0.5, "'net', which ends in 'Multiply'$"),
        (1, "softmax", None, "softmax of one number is always 1.*'softmax'"),
        (1, None, keras.layers.Softmax(), "softmax of one number is always 1.*'softmax'"),
        # Within 0 to 1, but no probabilities of classes of which one is right.
        (3, None, lambda x: (x + 2) / 10, "'TrueDivide' and gives scores from 0"),
    ],
)
def test_a_head_of_neither_probabilities_nor_logits_is_refused_by_name(
    units, activation, end, message
):
    model = classifier(units, activation, end)
    with pytest.raises(ValueError, match=message):
        classify(model, IMAGES, class_names=["a", "b", "c"][:units])


def test_changed_logits_are_taken_for_such_by_choice():
    model = classifier(3, None, lambda x: x / 2.0)
    answers = classify(model, IMAGES, class_names=[*"abc"], scores="sigmoid")
    np.testing.assert_allclose(scores_of(answers, "abc"), sigmoid(outputs_of(model)), rtol=1e-4)
    with pytest.raises(ValueError, match="softmax of one number is always 1"):
        classify(classifier(1), IMAGES, class_names=["a"], scores="softmax")
    with pytest.raises(ValueError, match="one of 'softmax', 'sigmoid', 'probabilities'"):
        classify(model, IMAGES, class_names=[*"abc"], scores="argmax")


def averaged(x):
    return keras.layers.Average()([keras.ops.sigmoid(x), keras.ops.sigmoid(2 * x)])


@pytest.mark.parametrize(
    ("units", "end"),
    [
        (1, keras.layers.Lambda(keras.ops.sigmoid)),
        (3, averaged),
        (3, lambda x: keras.ops.cast(keras.ops.sigmoid(x), "float32")),
    ],
    ids=["Lambda", "Average", "cast"],
)
def test_probabilities_of_an_operation_are_taken_for_such_by_choice(units, end):
    model, names = classifier(units, None, end), ["a", "b", "c"][:units]
    with pytest.raises(ValueError, match="`scores='probabilities'` if they are"):
        classify(model, IMAGES, class_names=names)
    answers = classify(model, IMAGES, class_names=names, scores="probabilities")
    np.testing.assert_allclose(scores_of(answers, names), outputs_of(model), rtol=1e-4)
    with pytest.raises(ValueError, match="and gives scores from"):
        classify(classifier(units), IMAGES, class_names=names, scores="probabilities")


def test_a_softmax_of_probabilities_is_refused():
    model = classifier(3, None, lambda x: keras.ops.cast(keras.ops.softmax(x), "float32"))
    with pytest.raises(ValueError, match=r"probabilities already.*, scores='softmax'$"):
        classify(model, IMAGES, class_names=[*"abc"], scores="softmax")


def test_too_few_names_are_an_error_about_names():
    model = classifier(5)
    with pytest.raises(ValueError, match=r"must hold a name for each of the 5 .* 2 names"):
        classify(model, IMAGES, class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"one name for one unit, or two.* Received: 3 names"):
        classify(classifier(1), IMAGES, class_names=["a", "b", "c"])


def test_a_class_that_is_masked_out_has_the_score_0():
    """Its logit is minus infinity; where all of them are, or one is infinite, there is no score."""
    for logits, expected in (([0.0, 0.0, -np.inf], [0.5, 0.5, 0.0]), ([-np.inf] * 3, None)):
        model = keras_resnets.ResNet20(classes=3, classifier_activation=None)
        model.get_layer("predictions").kernel.assign(np.zeros((64, 3)))
        model.get_layer("predictions").bias.assign(logits)
        keras_resnets.set_preprocessing(model, keras_resnets.Preprocessing.imagenet(32, 32))
        image = np.zeros((32, 32, 3), "uint8")
        if expected is None:
            with pytest.raises(ValueError, match="must be finite"):
                keras_resnets.classify(model, image, class_names=["a", "b", "c"])
            continue
        [answer] = keras_resnets.classify(model, image, class_names=["a", "b", "c"])
        assert sorted(each.score for each in answer) == pytest.approx(sorted(expected))
