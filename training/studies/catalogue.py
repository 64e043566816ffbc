"""All studies, in the order of their pages."""

from training.studies import (
    block_depth,
    degradation,
    dimensions,
    gates,
    gradients,
    lesion,
    order,
    responses,
    shortcuts,
)
from training.studies.study import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (
        degradation,
        gradients,
        responses,
        block_depth,
        shortcuts,
        gates,
        order,
        lesion,
        dimensions,
    )
}
