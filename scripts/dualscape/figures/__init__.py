"""The figures of a file; each function returns a figure that is not tied to any window.

Each module has the figures of a topic, and a function `plots` that lists those that a part of a
file has the data for; `catalogue` gathers the lists.
"""

from .catalogue import result_plots, save, save_all
from .directions import contributions, determinants
from .eigenpairs import spectrum
from .history import training
from .plot import Plot

__all__ = ["Plot", "contributions", "determinants", "result_plots", "save", "save_all", "spectrum",
           "training"]
