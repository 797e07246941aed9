"""Reading, plotting and summing up the results of dualscape.

>>> import dualscape
>>> with dualscape.Result("runs/quickstart/result.h5") as result:
...     print(result.dualities["dense2"].matched_gap)
>>> with dualscape.Study("runs/batch_size/study.h5") as study:
...     print(study.groups().statistics(study.scalar("duality/dense2/matched_gap")).mean)

The figures are in `dualscape.figures`, the text in `dualscape.summary`, the page in
`dualscape.report`; all are also commands: ``python3 -m dualscape --help`` lists them.
"""

from .groups import Groups, Statistics
from .node import ResultError
from .reader import (DataSelection, Directions, Duality, History, Layer, Losses, Pairs,
                     Provenance, Result, Spectrum)
from .study import Study
from .table import Table

__all__ = ["DataSelection", "Directions", "Duality", "Groups", "History", "Layer", "Losses",
           "Pairs", "Provenance", "Result", "ResultError", "Spectrum", "Statistics", "Study",
           "Table"]
