"""What a model costs."""

from keras_resnets.analysis.cost import (
    assert_same_cost,
    count_macs,
    count_parameters,
    layer_costs,
)
from keras_resnets.analysis.summary import summarize

__all__ = ["assert_same_cost", "count_macs", "count_parameters", "layer_costs", "summarize"]
