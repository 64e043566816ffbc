"""Outcomes, what is read off them, and the pages that are made of them."""

import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from keras_resnets import build_model, with_blocks
from keras_resnets.layers import OrderedBlock
from tests.facts import CIFAR
from training.recipe.files import recipe_to_toml
from training.run.compare import spread
from training.run.session import Session
from training.studies import blocks, lesion
from training.studies.command import STUDIES, load_study, study_command
from training.studies.degradation import DEPTHS
from training.studies.page import load_outcomes, save_outcome, write_index, write_page
from training.studies.reading import beside, decay_alone, errors, train_loss, unless_separated
from training.studies.reading import test_error as error_of
from training.studies.study import Images, Outcome, Report, Study, Trial, cifar_spec, study_recipe
from training.studies.trials import conduct, run_name

NO_IMAGES = None  # costs need none
ENVIRONMENT = {"versions": {"tensorflow": "2.21.0", "keras": "3.15.1"}, "cores": 2}
RECIPE = study_recipe("quick", cifar_spec(8))


def outcome(losses, study="tiny"):
    """An outcome by the losses of each seed, which are errors too."""
    trials = [
        Trial(
            label,
            seed,
            [{"epoch": 1.0, "train_loss": loss, "train_accuracy": 0.5, "test_accuracy": 1 - loss}],
            {"seconds": 30.0, "steps": 10},
            {},
        )
        for label, values in losses.items()
        for seed, loss in enumerate(values)
    ]
    recipes = dict.fromkeys(losses, recipe_to_toml(RECIPE))
    return Outcome(study, "quick", recipes, trials, {"answer": 42}, ENVIRONMENT)


def tiny_study(seen=None, **changes):
    """A study whose report says what outcome it was given."""

    def report(given):
        if seen is not None:
            seen.append(given)
        rows = [[label, spread(given.values(label, train_loss), 1)] for label in given.labels]
        tables = {"Losses:": (["network", "loss"], rows)}
        return Report("Forty-two.", "None.", tables, {}, details="Six by nine.")

    study = Study(
        name="tiny", title="What is it?", background="Known.", contenders=dict, report=report
    )
    return dataclasses.replace(study, **changes)


def conducted(study, folder, seeds):
    return conduct(study, "quick", folder, seeds, None, Console(file=io.StringIO()))


def test_seeds_are_those_of_every_contender():
    found = outcome({"a": [3.0, 1.0], "b": [2.0, 2.0, 0.0]})
    assert found.seeds == [0, 1]
    assert found.labels == ["a", "b"]


def test_a_run_s_folder_follows_from_its_recipe_alone():
    assert run_name(RECIPE) == run_name(study_recipe("quick", cifar_spec(8)))
    for change in ({"seed": 1}, {"length": "2 epochs"}):
        assert run_name(RECIPE) != run_name(dataclasses.replace(RECIPE, **change))


def test_the_page_is_made_of_the_json_alone(tmp_path):
    seen = []
    study = tiny_study(seen)
    found = outcome({"a": [1.0, 3.0]})
    save_outcome(found, tmp_path)
    assert load_outcomes(study, tmp_path) == [found]
    page = write_page(study, tmp_path).read_text()
    assert seen == [found]
    for part in ("# What is it?", "Forty-two.", "Six by nine.", "| a | 2.0 ± 1.4 |", "--quick"):
        assert part in page
    index = write_index([study], tmp_path).read_text()
    assert "Forty-two. ([tiny](tiny.md))" in index
    assert "Six by nine." not in index


def test_a_full_page_says_what_is_missing(tmp_path):
    save_outcome(dataclasses.replace(outcome({"a": [1.0]}), budget="full"), tmp_path)
    page = write_page(tiny_study(), tmp_path).read_text()
    assert "would add.** 3 seeds instead of 1" in page
    assert "instead of 12 epochs" in page
    assert "The full study, without" not in page


def test_what_weight_decay_alone_does():
    # 0.1 · 0.5 · 5e-4 / (1 − 0.9) a step of the recipe of the digits, on average.
    found = outcome({"a": [1.0]})
    found.trials[0].metrics[0]["step"] = 1000
    assert decay_alone(found) == pytest.approx(1 - np.exp(-0.25))


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '{"trials": [{}]}'])
def test_a_damaged_outcome_is_named(tmp_path, text):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "quick.json").write_text(text)
    with pytest.raises(ValueError, match=r"file that a study has written.*quick\.json"):
        load_outcomes(tiny_study(), tmp_path)


def test_an_outcome_of_an_older_version_is_named(tmp_path):
    save_outcome(outcome({"a": [1.0]}), tmp_path)
    study = tiny_study(report=lambda given: given.computed["question"])
    for write in (lambda: write_page(study, tmp_path), lambda: write_index([study], tmp_path)):
        with pytest.raises(
            ValueError, match=r"run 'tiny' again.*tiny/quick\.json without 'question'"
        ):
            write()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"render": True}, "must hold an outcome of degradation, .*, which"),
        ({"name": "gates", "render": True}, "must hold an outcome of gates, which"),
        ({"name": "gates", "list": True}, "`NAME` has no effect with --list: .* NAME='gates'"),
        ({"list": True, "render": True}, "`render` has no effect with --list"),
        ({"name": "gates", "render": True, "quick": True}, "`quick` has no effect with --render"),
        ({"render": True, "seeds": 2}, "`seeds` has no effect with --render: .* seeds=2"),
        ({"name": "gates", "quick": True, "seeds": -1}, "`seeds` must not be negative"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        study_command(output=tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("budget", ["quick", "full"])
def test_the_contenders_differ_in_their_network_alone(name, budget):
    study = load_study(name)
    recipes = study.contenders(budget)
    assert study.name == name
    assert study.seeds >= 3
    assert len(recipes) >= 3
    assert len({run_name(recipe) for recipe in recipes.values()}) == len(recipes)
    first, *others = recipes.values()
    for other in others:
        if other.model.block == "UnnormalizedBlock":  # which a great step would make diverge
            other = dataclasses.replace(other, optimizer=first.optimizer)
        assert dataclasses.replace(other, model=first.model) == first


def test_costs_are_the_papers_and_those_computed_by_hand():
    twins = load_study("degradation").compute("quick", NO_IMAGES)["32"]
    assert (twins["parameters"], f"{twins['macs'] / 1e6:.2f}") == (CIFAR[32][0], CIFAR[32][3])
    costs = [*load_study("shortcuts").compute("quick", NO_IMAGES).values()]
    assert [cost["parameters"] for cost in costs] == [269_722, 272_474, 283_962]
    assert [cost["projections"] for cost in costs] == [0, 2, 9]
    family = load_study("family").compute("quick", NO_IMAGES)
    # A position in ResNet-29: the stem's 9 · 3 · 16; in a stage of w filters and c channels in, the
    # first block's c · w + 9 · w² + w · 4w and projection, c · 4w, and two blocks of 17 w².
    macs = 32**2 * 9 * 3 * 16 + 256 * 10
    for side, channels, width in ((32, 16, 16), (16, 64, 32), (8, 128, 64)):
        reduced = 4 * channels * width if width > 16 else channels * width  # before the stride
        others = 13 * width**2 + channels * 4 * width + 2 * 17 * width**2
        macs += side**2 * (reduced + others)
    assert family["ResNet-29"]["macs"] == macs
    for label, cost in family.items():
        assert cost["macs"] == pytest.approx(macs, rel=0.02), label
    assert family["D: pooled projections"] == family["ResNet-29"]
    found = load_study("dimensions").compute("quick", NO_IMAGES)
    assert [each["block"] for each in found["transitions"]] == ["stage2_block1", "stage3_block1"]
    # Weights, γ and β; and the weights times 16 · 16 or 8 · 8 positions.
    assert [each["parameters"] for each in found["transitions"]] == [
        16 * 32 + 2 * 32,
        32 * 64 + 2 * 64,
    ]
    assert [each["macs"] for each in found["transitions"]] == [16**2 * 16 * 32, 8**2 * 32 * 64]
    assert {"16", "32"} <= set(found["error"].replace(",", " ").replace(")", " ").split())


def test_full_pre_activation_is_that_of_the_published_outcomes():
    """The spec's option, and `OrderedBlock` with its first and last positions, are one network."""
    spec, block, _ = blocks.ordered_network("quick", "full_pre_activation")
    assert (spec.pre_activation, block) == (True, "")
    options = {"order": "full_pre_activation"}
    options |= {"first": {"position": "first"}, "last": {"position": "last"}}
    recipe = load_study("order").contenders("quick")["original"]
    original = build_model(recipe.model.architecture, input_shape=(8, 8, 3), name="net")
    published = with_blocks(original, OrderedBlock, **options)
    own = build_model(spec, input_shape=(8, 8, 3), name="net")

    generator = np.random.default_rng(0)
    values = {}
    for weight in published.weights:
        draw = generator.normal(0, 0.3, weight.shape)
        weight.assign(0.5 + abs(draw) if "variance" in weight.path else draw)
        path = weight.path.replace("stem_conv/norm", "stage1_block1/start_norm")
        path = path.replace("stage3_block2/sum_norm", "post_norm")
        values[path.replace("conv2/kernel", "conv2/conv/kernel")] = weight.numpy()
    assert {weight.path: weight.shape for weight in own.weights} == {
        path: value.shape for path, value in values.items()
    }
    for weight in own.weights:
        weight.assign(values[weight.path])
    images = generator.normal(size=(4, 8, 8, 3)).astype("float32")
    for training in (True, False):
        np.testing.assert_allclose(
            own(images, training=training), published(images, training=training), rtol=1e-4
        )


def test_a_one_layer_block_is_one_convolution():
    for shortcut in "AC":
        assert blocks._difference_to_merged(shortcut) < 1e-12  # in double precision


def test_fewer_seeds_do_not_replace_more(tmp_path):
    present = outcome({"a": [1.0, 3.0]})
    save_outcome(present, tmp_path)
    with pytest.raises(ValueError, match=r"outcome in `output`, 2: .* Received: seeds=1"):
        conducted(tiny_study(contenders=lambda budget: {}), tmp_path, 1)
    assert load_outcomes(tiny_study(), tmp_path) == [present]


@pytest.mark.parametrize("reads_observed", [False, True])
def test_a_stopped_study_resumes_and_stores_what_its_report_reads(
    reads_observed, tmp_path, monkeypatch
):
    begun, statuses = [], iter([0, 0, 143])

    def run(session):
        begun.append((session.recipe.model.name, session.recipe.seed))
        if status := next(statuses, 0):
            return status
        session.folder.path.mkdir(parents=True)
        measured = ("epoch", "test_loss", "learning_rate", "seconds", "train_accuracy")
        entry = dict.fromkeys((*measured, "train_loss", "test_accuracy"), 0.5)
        entry |= {"step": 1, "observed": {"gradient_norms": {"stem/kernel": 1.0}}}
        session.folder.metrics_file.write_text(json.dumps(entry))
        session.folder.result_file.write_text('{"seconds": 1.0}')
        return 0

    monkeypatch.setattr(Session, "run", run)
    both = {"a": RECIPE, "b": study_recipe("quick", cifar_spec(8, shortcut=None))}
    study = tiny_study(contenders=lambda budget: both, reads_observed=reads_observed)
    with pytest.raises(SystemExit) as stopped:
        conducted(study, tmp_path, 2)
    assert stopped.value.code == 143
    assert load_outcomes(study, tmp_path) == []
    found = conducted(study, tmp_path, 2)
    assert begun == [("resnet8", 0), ("plain8", 0), *[("resnet8", 1)] * 2, ("plain8", 1)]
    assert [(trial.label, trial.seed) for trial in found.trials] == [
        *(("a", 0), ("a", 1), ("b", 0), ("b", 1))
    ]
    assert ("observed" in found.trials[0].metrics[0]) == reads_observed
    assert load_outcomes(study, tmp_path) == [found]


def test_contenders_are_separated_where_no_seeds_overlap():
    errors = {"a": (0.1, 0.2), "b": (0.3, 0.4), "c": (0.0, 0.05), "d": (0.15, 0.5)}
    # Of the six ways to order two and two seeds, two separate them.
    assert beside(outcome(errors), "a") == (
        "“a” has a test error of 15.0 ± 7.1%. Worse in every pair of seeds: “b” (35.0 ± 7.1%). "
        "Better in every pair of seeds: “c” (2.5 ± 3.5%). Not separated from it by 2 seeds: “d” "
        "(32.5 ± 24.7%). By chance alone, 33% of 3 comparisons would be separated."
    )
    assert beside(outcome({label: errors[label] for label in "ad"}), "a") == (
        "“a” has a test error of 15.0 ± 7.1%. Not separated from it by 2 seeds: “d” (32.5 ± 24.7%)."
    )
    assert beside(outcome({label: errors[label][:1] for label in "abc"}), "a") == (
        "“a” has a test error of 10.0%. Others: “b” (30.0%), “c” (0.0%). One seed cannot tell them "
        "apart."
    )
    assert unless_separated(outcome(errors), "a", "d", error_of) == " (not separated by the seeds)"
    assert unless_separated(outcome(errors), "a", "b", error_of) == ""


def test_batch_norm_with_a_batch_s_own_statistics_responds_with_one(monkeypatch):
    monkeypatch.setitem(DEPTHS, "quick", (20,))
    images = Images(*([(np.random.default_rng(0).uniform(0, 255, (64, 8, 8, 1)), None)] * 2))
    found = load_study("responses").compute("quick", images)
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


def test_blocks_change_places_within_their_stage():
    order = [f"{stage}{block}" for stage in "abc" for block in (1, 2, 3)]
    shapes = {name: name[0] for name in order if name not in ("b1", "c1")}

    class Reversing:
        """In the generator's place."""

        def permutation(self, places):
            return places[::-1]

    assert lesion.shuffled(order, shapes, Reversing()) == [
        *("a3", "a2", "a1", "b1", "b3", "b2", "c1", "c3", "c2")
    ]
    swapped = lesion.swapped(order, shapes, np.random.default_rng(0))  # all four pairs
    assert sorted(swapped) == order
    assert [name[0] for name in swapped] == [name[0] for name in order]
    assert (swapped[3:6], swapped[6:]) == (["b1", "b3", "b2"], ["c1", "c3", "c2"])


@pytest.mark.parametrize(
    ("of_label", "cut"),
    [
        ({"a": [0.01, 0.02], "b": [0.03, 0.04]}, []),
        ({"a": [0.01], "b": [0.02], "c": [0.9]}, ["c"]),
        ({"a": [0.01, 0.02], "b": [0.02, 0.02], "c": [0.02, 0.9], "d": [0.01, 0.01]}, ["c"]),
        ({"a": [0.0], "b": [0.0], "c": [0.0], "d": [0.005]}, []),
        ({"a": [0.0, 0.0]}, []),
    ],
)
def test_a_network_that_failed_leaves_the_others_room_in_the_figure(of_label, cut):
    outcome = SimpleNamespace(labels=[*of_label], values=lambda label, read: of_label[label])
    figure, caption = errors(outcome)["errors"]
    [axes] = figure.axes
    left, right = axes.get_xlim()
    shown = [100 * error for label in of_label if label not in cut for error in of_label[label]]
    assert left == 0
    assert max(shown) <= right <= max(2 * max(shown), 1)
    assert [text.get_text()[-1] for text in axes.texts] == ["→" for _ in cut]
    assert caption.partition("Beyond the axis: ")[2] == "".join(f"“{label}”." for label in cut)
