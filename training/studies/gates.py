"""Would a weight on the shortcut help?"""

import dataclasses
import json

from keras_resnets.layers.shortcuts import GATES
from training.recipe.recipe import Model
from training.studies.reading import (
    END_CAPTION,
    ERROR_HEADER,
    ERRORS_CAPTION,
    SHORT_RUNS,
    beside,
    draw_errors,
    error_columns,
    test_error,
)
from training.studies.recipes import cifar_spec, study_recipe
from training.studies.study import Report, Study

DEPTHS = {"quick": 14, "full": 20}
# Options of `GatedBlock`, and the test error % of ResNet-110 in He et al., 2016, table 1.
CONTENDERS = {
    "identity": ({}, "6.61"),
    "both × 0.5": ({"gate": "constant"}, "12.35"),
    "one weight": ({"gate": "scalar"}, ""),
    "a weight a channel": ({"gate": "channel"}, ""),
    "gate, bias 0": ({"gate": "shortcut_only"}, "12.86"),
    "gate, bias −6": ({"gate": "shortcut_only", "gate_bias": -6.0}, "6.91"),
    "exclusive gate, bias −6": ({"gate": "exclusive", "gate_bias": -6.0}, "8.70"),
    "dropout": ({"gate": "dropout"}, "fails"),
}
PROJECTION = "1×1 convolution"


def contenders(budget):
    """The identity, each gate, and the 1×1 convolution, which is option C."""
    depth = DEPTHS[budget]
    plain_identity = study_recipe(budget, cifar_spec(depth))
    recipes = {}
    for label, (options, _) in CONTENDERS.items():
        model = Model(
            name=f"gated{depth}",
            spec=plain_identity.model.spec,
            block="GatedBlock",
            block_options=json.dumps(options),
        )
        recipes[label] = dataclasses.replace(plain_identity, model=model)
    recipes[PROJECTION] = study_recipe(budget, cifar_spec(depth, shortcut="C"))
    return recipes


def report(outcome):
    """What the page shows."""
    published = {label: error for label, (_, error) in CONTENDERS.items()} | {PROJECTION: "12.22"}
    rows = [
        [label, *error_columns(outcome.of(label)), published[label]] for label in outcome.labels
    ]
    return Report(
        answer=beside(outcome, "identity"),
        details=_beside_the_paper(outcome, published),
        limits=(
            f"{SHORT_RUNS} The paper's networks have 110 layers, through which a factor on every "
            f"shortcut acts 54 times; these have {DEPTHS[outcome.budget]}."
        ),
        tables={END_CAPTION: (["shortcut", *ERROR_HEADER, "paper, 110 layers"], rows)},
        figures={"errors": (draw_errors(outcome), ERRORS_CAPTION)},
    )


def _beside_the_paper(outcome, published):
    """Says which of the contenders that the paper found worse are not worse here."""
    own = max(outcome.values("identity", test_error))
    worse_there = [
        label
        for label, error in published.items()
        if error and (error == "fails" or float(error) > float(published["identity"]) + 1)
    ]
    but_here = [label for label in worse_there if min(outcome.values(label, test_error)) <= own]
    if not but_here:
        return "All that the paper found more than a point worse than the identity are worse here."
    named = ", ".join(f"“{label}”" for label in but_here)
    return (
        "Contrary to the paper, where they are more than a point worse than the identity, these "
        f"are not worse here for every pair of seeds: {named}."
    )


STUDY = Study(
    name="gates",
    title="Would weights on the skip connection help?",
    background=f"""
[He et al., 2016](https://arxiv.org/abs/1603.05027), section 3, put something on the shortcut and
found each to hinder what passes through: constant factors, gates, a 1×1 convolution, dropout. With
s for the shortcut's output: *both × 0.5* is {GATES["constant"]}; *one weight* is {GATES["scalar"]};
*a weight a channel* is {GATES["channel"]}; a *gate* is {GATES["shortcut_only"]}, with g = σ(W*s +
b); an *exclusive gate* is {GATES["exclusive"]}; *dropout*: {GATES["dropout"]}. The two learned
weights are not in the paper.
""",
    contenders=contenders,
    report=report,
)
