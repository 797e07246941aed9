"""Reading, plotting and summing up the results of dualscape.

>>> import dualscape
>>> with dualscape.Result("runs/quickstart/result.h5") as result:
...     print(result.dualities["dense2"].matched_gap)

The figures are in `dualscape.figures`, the text in `dualscape.summary`; both are also commands:
``python3 -m dualscape figures RESULT.h5`` and ``python3 -m dualscape summary RESULT.h5``.
"""

from .node import ResultError
from .reader import (DataSelection, Directions, Duality, History, Layer, Losses, Pairs,
                     Provenance, Result, Spectrum)

__all__ = ["DataSelection", "Directions", "Duality", "History", "Layer", "Losses", "Pairs",
           "Provenance", "Result", "ResultError", "Spectrum"]
