"""Outcomes, what is read off them, and the pages that are made of them."""

import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from keras_resnets import build_model
from tests.facts import CIFAR
from training.recipe.files import recipe_to_toml
from training.run.compare import spread
from training.studies import blocks, lesion
from training.studies.command import STUDIES, conduct, study_command
from training.studies.degradation import DEPTHS
from training.studies.page import load_outcomes, save_outcome, write_index, write_page
from training.studies.reading import beside, decay_alone, train_loss
from training.studies.study import (
    Images,
    Outcome,
    Report,
    Study,
    Trial,
    cifar_spec,
    study_recipe,
)
from training.studies.trials import run_name

NO_IMAGES = None  # costs need none
ENVIRONMENT = {"versions": {"tensorflow": "2.21.0", "keras": "3.15.1"}, "cores": 2}


def trial(label, seed, loss):
    entry = {"epoch": 1.0, "train_loss": loss, "train_accuracy": 0.5, "test_accuracy": 0.25}
    return Trial(label, seed, [entry], {"seconds": 30.0, "steps": 10}, {})


def outcome(*trials, study="tiny"):
    recipe = study_recipe("quick", cifar_spec(8))
    labels = dict.fromkeys(each.label for each in trials)
    recipes = {label: recipe_to_toml(recipe) for label in labels}
    return Outcome(study, "quick", recipes, [*trials], {"answer": 42}, ENVIRONMENT)


def of_errors(errors):
    return [
        Trial(label, seed, [{"test_accuracy": 1 - error}], {}, {})
        for label, values in errors.items()
        for seed, error in enumerate(values)
    ]


def tiny_study(seen):
    """A study whose report says what outcome it was given."""

    def report(given):
        seen.append(given)
        rows = [[label, spread(given.values(label, train_loss), 1)] for label in given.labels]
        tables = {"Losses:": (["network", "loss"], rows)}
        return Report("Forty-two.", "None.", tables, {}, details="Six by nine.")

    return Study(
        name="tiny", title="What is it?", background="Known.", contenders=dict, report=report
    )


def test_seeds_are_compared_one_by_one():
    found = outcome(
        trial("a", 0, 3.0), trial("a", 1, 1.0), trial("b", 0, 2.0), trial("b", 1, 2.0),
        trial("b", 2, 0.0),
    )  # fmt: skip
    assert found.every_seed("a", "b", train_loss) == (1, 2)
    assert found.seeds == [0, 1]
    assert found.labels == ["a", "b"]


def test_a_run_s_folder_follows_from_its_recipe_alone():
    recipe, same = (study_recipe("quick", cifar_spec(8)) for _ in range(2))
    assert run_name(recipe) == run_name(same)
    assert run_name(recipe) != run_name(study_recipe("quick", cifar_spec(8), seed=1))
    assert run_name(recipe) != run_name(study_recipe("quick", cifar_spec(8), length="2 epochs"))


def test_the_page_is_made_of_the_json_alone(tmp_path):
    seen = []
    study = tiny_study(seen)
    found = outcome(trial("a", 0, 1.0), trial("a", 1, 3.0))
    save_outcome(found, tmp_path)
    assert load_outcomes(study, tmp_path) == [found]
    page = write_page(study, tmp_path).read_text()
    assert seen == [found]
    for part in ("# What is it?", "Forty-two.", "Six by nine.", "| a | 2.0 ± 1.4 |", "--quick"):
        assert part in page
    write_index([study], tmp_path)
    index = (tmp_path / "index.md").read_text()
    assert "Forty-two. ([tiny](tiny.md))" in index
    assert "Six by nine." not in index


def test_a_full_page_says_what_is_missing(tmp_path):
    save_outcome(dataclasses.replace(outcome(trial("a", 0, 1.0)), budget="full"), tmp_path)
    page = write_page(tiny_study([]), tmp_path).read_text()
    assert "would add.** 3 seeds instead of 1" in page
    assert "instead of 12 epochs" in page
    assert "The full study, without" not in page


def test_what_weight_decay_alone_does():
    # 0.1 · 0.5 · 5e-4 / (1 − 0.9) a step of the recipe of the digits, on average.
    found = outcome(trial("a", 0, 1.0))
    found.trials[0].metrics[0]["step"] = 1000
    assert decay_alone(found) == pytest.approx(1 - np.exp(-0.25))


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '{"trials": [{}]}'])
def test_a_damaged_outcome_is_named(tmp_path, text):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "quick.json").write_text(text)
    with pytest.raises(ValueError, match=r"file that a study has written.*quick\.json"):
        load_outcomes(tiny_study([]), tmp_path)


def test_an_outcome_of_an_older_version_is_named(tmp_path):
    save_outcome(outcome(trial("a", 0, 1.0)), tmp_path)
    study = dataclasses.replace(tiny_study([]), report=lambda given: given.computed["question"])
    for write in (lambda: write_page(study, tmp_path), lambda: write_index([study], tmp_path)):
        with pytest.raises(
            ValueError, match=r"run 'tiny' again.*tiny/quick\.json without 'question'"
        ):
            write()


@pytest.mark.parametrize(("name", "named"), [("", "degradation, .*, dimensions"), ("gates",) * 2])
def test_nothing_to_render_is_refused(tmp_path, name, named):
    with pytest.raises(ValueError, match=f"must hold an outcome of {named}, which"):
        study_command(name, output=tmp_path, render=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("budget", ["quick", "full"])
def test_the_contenders_differ_in_their_network_alone(name, budget):
    recipes = STUDIES[name].contenders(budget)
    assert STUDIES[name].seeds >= 3
    assert len(recipes) >= 3
    assert len({run_name(recipe) for recipe in recipes.values()}) == len(recipes)
    first, *others = recipes.values()
    for other in others:
        assert (other.data, other.augmentation) == (first.data, first.augmentation)
        assert other.schedule == first.schedule
        if other.model.block != "UnnormalizedBlock":  # which a great step would make diverge
            assert other.optimizer == first.optimizer
        assert (other.length, other.batch, other.seed) == (first.length, first.batch, first.seed)


def test_the_twins_cost_what_the_paper_s_do():
    costs = STUDIES["degradation"].compute("quick", NO_IMAGES)
    assert costs["32"]["parameters"] == CIFAR[32][0]
    assert f"{costs['32']['macs'] / 1e6:.2f}" == CIFAR[32][3]


def test_the_shortcut_options_cost_what_was_computed_by_hand():
    costs = [*STUDIES["shortcuts"].compute("quick", NO_IMAGES).values()]
    assert [cost["parameters"] for cost in costs] == [269_722, 272_474, 283_962]
    assert [cost["projections"] for cost in costs] == [0, 2, 9]


def test_the_projections_where_shapes_differ():
    found = STUDIES["dimensions"].compute("quick", NO_IMAGES)
    assert [each["block"] for each in found["transitions"]] == ["stage2_block1", "stage3_block1"]
    # Weights, γ and β; and the weights times 16 · 16 or 8 · 8 positions.
    assert [each["parameters"] for each in found["transitions"]] == [
        16 * 32 + 2 * 32,
        32 * 64 + 2 * 64,
    ]
    assert [each["macs"] for each in found["transitions"]] == [16**2 * 16 * 32, 8**2 * 32 * 64]
    assert "16" in found["error"]
    assert "32" in found["error"]


def test_a_one_layer_block_is_one_convolution():
    for shortcut in "AC":
        assert blocks._difference_to_merged(shortcut) < 1e-12  # in double precision


def test_fewer_seeds_do_not_replace_more(tmp_path):
    present = outcome(trial("a", 0, 1.0), trial("a", 1, 3.0))
    save_outcome(present, tmp_path)
    study = dataclasses.replace(tiny_study([]), contenders=lambda budget: {})
    with pytest.raises(ValueError, match=r"outcome in `output`, 2: .* Received: seeds=1"):
        conduct(study, "quick", tmp_path, 1, None, Console(file=io.StringIO()))
    assert load_outcomes(study, tmp_path) == [present]


def test_contenders_are_told_apart_where_no_seeds_overlap():
    trials = of_errors({"a": (0.1, 0.2), "b": (0.3, 0.4), "c": (0.0, 0.05), "d": (0.15, 0.5)})
    # Of the six ways to order two and two seeds, two separate them.
    assert beside(outcome(*trials), "a") == (
        "“a” has a test error of 15.0%. Worse in every pair of seeds: “b” (35.0%). Better in every "
        "pair of seeds: “c” (2.5%). With 2 seeds, the other 1 do not differ clearly. Of 3 such "
        "comparisons, 33% would come out like this by chance."
    )
    assert beside(outcome(*(each for each in trials if each.label in "ad")), "a") == (
        "“a” has a test error of 15.0%. With 2 seeds, none of the others differs clearly."
    )
    assert beside(outcome(*(each for each in trials if each.seed == 0)), "a") == (
        "“a” has a test error of 10.0%. Others: “b” (30.0%), “c” (0.0%), “d” (15.0%). One seed "
        "cannot tell them apart."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gates", "list": True}, "`NAME` has no effect with --list: .* NAME='gates'"),
        ({"list": True, "render": True}, "`render` has no effect with --list"),
        ({"name": "gates", "render": True, "quick": True}, "`quick` has no effect with --render"),
        ({"render": True, "seeds": 2}, "`seeds` has no effect with --render: .* seeds=2"),
    ],
)
def test_arguments_without_effect_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        study_command(output=tmp_path, **arguments)


def test_batch_norm_with_a_batch_s_own_statistics_responds_with_one(monkeypatch):
    monkeypatch.setitem(DEPTHS, "quick", (20,))
    images = Images(*([(np.random.default_rng(0).uniform(0, 255, (64, 8, 8, 1)), None)] * 2))
    found = STUDIES["responses"].compute("quick", images)
    assert list(found) == ["plain 20", "residual 20"]
    for measured in found.values():
        # γ is 1, so that each channel has the standard deviation 1.
        assert [*measured["responses"].values()] == pytest.approx(
            [1.0] * len(measured["responses"]), abs=1e-3
        )
    # So has each branch's output, which is then the same size in all blocks of a stage, while what
    # passes it grows with each sum.
    ratios = [b["branch_to_shortcut"] for b in found["residual 20"]["balance"].values()]
    assert ratios[1] > ratios[2] > 0.2


def test_blocks_are_shuffled_within_their_stage():
    model = build_model(cifar_spec(20), input_shape=(8, 8, 1))

    class Reversing:
        """In the generator's place."""

        def permutation(self, places):
            return places[::-1]

    blocks = [layer for layer in model.layers if "_block" in layer.name]
    names = [block.name for block in blocks]
    kept = [b.name for b in blocks if b.input.shape == b.output.shape]
    shuffled = lesion._shuffled(model, blocks, kept, Reversing())
    came_from = {
        place: next(name for name in names if _have_same_weights(shuffled, place, model, name))
        for place in names
    }
    assert [*came_from.values()] == [
        *("stage1_block3", "stage1_block2", "stage1_block1"),
        *("stage2_block1", "stage2_block3", "stage2_block2"),
        *("stage3_block1", "stage3_block3", "stage3_block2"),
    ]


def _have_same_weights(one, place, other, name):
    pair = one.get_layer(place).get_weights(), other.get_layer(name).get_weights()
    return all(a.shape == b.shape and (a == b).all() for a, b in zip(*pair, strict=True))
