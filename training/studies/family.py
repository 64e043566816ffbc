"""What each option of the wider family changes, at equal cost."""

from typing import Any

from keras_resnets import ResNetSpec
from keras_resnets.architecture.plan import make_plan
from training.studies.reading import SHORT_RUNS, beside, end_table, errors, order_of_means
from training.studies.study import SHORT, Report, Study, cifar_spec, study_recipe

BLOCKS_A_STAGE = 3
# Options of the spec, for multiply-adds within 2 % of the first's.
MEMBERS: dict[str, dict[str, Any]] = {
    "ResNet-29": {},
    "D: pooled projections": {"shortcut": "D"},
    "squeeze and excitation": {"se_ratio": 1 / 16},
    # 17 w² multiply-adds a position in a block of w filters; with 4 groups of 3/8 w each, 17.06 w².
    "4 groups, 1.5 × as wide": {"groups": 4, "width_per_group": 24},
    "1.94 × as wide, a third of the blocks": {"width_per_group": 124, "repeats": (1,) * 3},
    "pre-activation": {"pre_activation": True},
}


def member_spec(options: dict[str, Any]) -> ResNetSpec:
    """Returns the spec of a network for CIFAR with three stages of bottlenecks."""
    bottlenecks = {"block": "bottleneck", "shortcut": "B", "repeats": (BLOCKS_A_STAGE,) * 3}
    return cifar_spec(20, **(bottlenecks | options))


def member_recipes(budget):
    """The network alone, and with each option."""
    return {
        label: study_recipe(budget, member_spec(options), lengths=SHORT)
        for label, options in MEMBERS.items()
    }


def member_costs(budget, images):
    """Costs for 32×32×3 and 10 classes."""
    return {
        label: make_plan(member_spec(options)).cost(32, 3, 10)._asdict()
        for label, options in MEMBERS.items()
    }


def _report_members(outcome):
    costs = {label: outcome.computed[label] for label in outcome.labels}
    of_first = costs["ResNet-29"]["macs"]
    columns = {
        "parameters": {label: f"{cost['parameters']:,}" for label, cost in costs.items()},
        "MMACs": {label: f"{cost['macs'] / 1e6:.2f}" for label, cost in costs.items()},
        "of ResNet-29's": {
            label: f"{cost['macs'] / of_first:.1%}" for label, cost in costs.items()
        },
    }
    return Report(
        answer=(
            "Each option alone, in a network of bottlenecks whose multiply-adds stay within 2 %. "
            f"{beside(outcome, 'ResNet-29')}"
        ),
        details=f"Ranked by mean test error, best first: {order_of_means(outcome)}.",
        limits=(
            f"{SHORT_RUNS} Most of these options were published with larger networks on ImageNet, "
            "after 90 epochs or more. Equal multiply-adds are not equal times: see the benchmark "
            "for convolutions in groups. Parameters and multiply-adds are those for 32×32×3 and 10 "
            "classes."
        ),
        tables=end_table(outcome, "network", before=columns),
        figures=errors(outcome),
    )


STUDY = Study(
    name="family",
    title="What do the later residual networks change, at equal cost?",
    background="""
Each option was found better than the network it changes. On ImageNet, pooling before the
projections (D) took the top-1 accuracy from 76.87 to 77.16 % ([He et al.,
2018](https://arxiv.org/abs/1812.01187), table 5); squeeze and excitation took the error of
ResNet-50 from 24.80 to 23.29 % ([Hu et al., 2018](https://arxiv.org/abs/1709.01507), table 2), and
groups at equal cost from 23.9 to 22.2 % ([Xie et al., 2017](https://arxiv.org/abs/1611.05431),
table 3). On CIFAR-10, pre-activation took that of 164 layers from 5.93 to 5.46 % ([He et al.,
2016](https://arxiv.org/abs/1603.05027), table 2); a wide network of 40 layers has 4.53 %, a thin
one of 1,001 layers and more parameters 4.92 % ([Zagoruyko & Komodakis,
2016](https://arxiv.org/abs/1605.07146), table 5). Here each option is added to one ResNet-29 of
bottlenecks with option B. Width is paid for by fewer blocks.
""",
    contenders=member_recipes,
    compute=member_costs,
    report=_report_members,
)
