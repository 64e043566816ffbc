"""All studies, in the order of their pages."""

from training.studies import degradation
from training.studies.study import Study

STUDIES: dict[str, Study] = {study.name: study for study in (degradation.STUDY,)}
