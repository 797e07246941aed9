"""The figures of a file; each function returns a figure that is not tied to any window.

Each module has the figures of a topic, and a function `plots` that lists those that a part of a
file has the data for; `catalogue` gathers the lists.
"""

from .accounts import classes, intervals, layers
from .catalogue import UnknownFigure, all_plots, result_plots, save, save_all
from .cluster_sums import clusters
from .densities import density
from .prediction_changes import confusion, confusion_gap
from .two_determinants import determinants, sizes
from .directions import bounds, contributions
from .eigenpairs import spectrum
from .history import training
from .weight_space import co_spectrum, gap_operator, operators
from .order_accounts import second_order
from .plot import Plot
from .studies import correlations, curves, study_plots

__all__ = ["Plot", "UnknownFigure", "all_plots", "bounds", "classes", "clusters", "co_spectrum",
           "confusion", "confusion_gap", "contributions", "correlations", "curves", "density",
           "determinants", "gap_operator", "intervals", "layers", "operators", "result_plots",
           "save", "save_all", "second_order", "sizes", "spectrum", "study_plots", "training"]
