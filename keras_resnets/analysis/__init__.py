"""What a model costs, and what goes on inside it."""

from keras_resnets.analysis.cost import (
    assert_same_cost,
    count_macs,
    count_parameters,
    layer_costs,
    summarize,
)
from keras_resnets.analysis.explain import explain
from keras_resnets.analysis.gradients import gradient_norms, snapshot, update_ratios
from keras_resnets.analysis.plots import (
    plot_gradient_norms,
    plot_layer_responses,
    plot_lesions,
    plot_shortcut_balance,
    plot_update_ratios,
)
from keras_resnets.analysis.record_diagnostics import RecordDiagnostics
from keras_resnets.analysis.remove_blocks import remove_blocks, reorder_blocks
from keras_resnets.analysis.responses import layer_responses, shortcut_balance
from keras_resnets.layers.blocks import merge_one_layer_block

__all__ = [
    "RecordDiagnostics",
    "assert_same_cost",
    "count_macs",
    "count_parameters",
    "explain",
    "gradient_norms",
    "layer_costs",
    "layer_responses",
    "merge_one_layer_block",
    "plot_gradient_norms",
    "plot_layer_responses",
    "plot_lesions",
    "plot_shortcut_balance",
    "plot_update_ratios",
    "remove_blocks",
    "reorder_blocks",
    "shortcut_balance",
    "snapshot",
    "summarize",
    "update_ratios",
]
