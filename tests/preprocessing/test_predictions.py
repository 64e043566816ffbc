"""What answers mean: ImageNet's names, one's own, and the order of scores."""

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import Prediction, decode_predictions
from keras_resnets.preprocessing.predictions import imagenet_classes


def test_imagenet_s_classes_are_a_thousand_in_the_published_order():
    classes = imagenet_classes()
    assert len(classes) == len(set(classes)) == len({name for _, name in classes}) == 1000
    ids = [class_id for class_id, _ in classes]
    assert ids == sorted(ids)  # the outputs are in the order of the ids
    # As keras.applications, torchvision and the data set's paper number them.
    for index, expected in {
        0: ("n01440764", "tench"),
        1: ("n01443537", "goldfish"),
        207: ("n02099601", "golden retriever"),
        282: ("n02123159", "tiger cat"),
        388: ("n02510455", "giant panda"),
        954: ("n07753592", "banana"),
        999: ("n15075141", "toilet tissue"),
    }.items():
        assert classes[index] == expected


def test_the_best_come_first_and_equal_ones_in_their_order():
    scores = np.zeros((2, 1000))
    scores[0, [5, 3]] = 0.25, 0.5
    scores[1, [7, 2]] = 0.5
    first, second = decode_predictions(scores, top=2)
    assert first[0] == Prediction(imagenet_classes()[3][0], imagenet_classes()[3][1], 0.5)
    assert [score for _, _, score in first] == [0.5, 0.25]
    assert [class_id for class_id, _, _ in second] == [imagenet_classes()[i][0] for i in (2, 7)]


def test_tensors_and_one_s_own_names():
    scores = keras.ops.convert_to_tensor([[0.125, 0.625, 0.25]])
    assert decode_predictions(scores, top=3, class_names=["cat", "dog", "owl"]) == [
        [("1", "dog", 0.625), ("2", "owl", 0.25), ("0", "cat", 0.125)]
    ]


@pytest.mark.parametrize(
    ("kind", "scores"), [("uint8", [3, 255, 0]), ("int8", [3, 127, -128]), ("int64", [0, 2, -1])]
)
def test_integers_are_in_their_order_too(kind, scores):
    [row] = decode_predictions(np.array([scores], kind), top=3, class_names=[*"abc"])
    assert [(name, score) for _, name, score in row] == [
        ("b", scores[1]),
        ("a", scores[0]),
        ("c", scores[2]),
    ]


@pytest.mark.parametrize("names", [3, {"a", "b"}, {0: "a", 1: "b"}])
def test_names_without_an_order_are_refused(names):
    with pytest.raises(TypeError, match="`class_names` must be a list of names in the order"):
        decode_predictions(np.eye(2), top=1, class_names=names)


def test_the_letters_of_a_text_are_no_names_of_one_unit():
    with pytest.raises(TypeError, match=r"a list of names in the order.*class_names='ox'"):
        decode_predictions([[0.5]], class_names="ox")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preds": np.zeros((1, 10))}, r"\(batch, 1000\).*\(1, 10\)"),
        ({"preds": np.zeros(1000)}, r"\(batch, 1000\)"),
        ({"preds": np.full((1, 1000), np.nan)}, "NaN"),
        ({"preds": np.eye(2, dtype=bool), "top": 1, "class_names": ["a", "b"]}, "preds.dtype=bool"),
        ({"preds": np.eye(2, dtype=complex), "top": 1, "class_names": ["a", "b"]}, "dtype=complex"),
        ({"preds": np.array([["x", "y"]]), "top": 1, "class_names": ["a", "b"]}, "preds.dtype=<U1"),
        ({"preds": np.zeros((1, 1000)), "top": 0}, "`top` must be a positive"),
        (
            {"preds": np.zeros((1, 5)), "class_names": ["a", "b"]},
            "for each of the 5 classes.* 2 names",
        ),
        ({"preds": [[2.0]], "class_names": ["a", "b"]}, "of one unit must be prob.*2 to 2"),
        ({"preds": [[3.0]], "class_names": ["a"]}, "of one unit must be prob.*3 to 3"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_resnets.decode_predictions(**arguments)
