"""The figure of clusters of eigenvalues, where only sums over the directions mean something."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..node import Array
from ..reader import Duality
from ..table import Table
from .plot import Plot

_COLUMNS = {"size": "", "eigenvalue": "loss/weight^2", "contribution": "loss",
            "sigma_w_squared": "weight^2", "sigma_g_squared": "loss^2/weight^2",
            "mean_square_w": "weight^2", "mean_square_g": "loss^2/weight^2"}
_MOST_LABELS = 8


@style.styled
def clusters(duality: Duality) -> Figure:
    """Draw each cluster's contribution and sharpness, those of several directions marked.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    """
    sums = duality.clusters
    figure = style.new_figure(5.6)
    above, below = figure.subplots(2, 1, sharex=True)
    sharpness = np.sqrt(sums.sigma_g_squared)
    for axes, values in ((above, sums.contribution), (below, sharpness)):
        _draw(axes, values, sums.size)
    above.axhline(0, color=style.BLACK, linewidth=0.8)
    _write_sizes(above, sums.contribution, sums.size)
    style.signed_scale(above, sums.contribution)
    style.log_scale(below, sharpness, decades=8)
    style.integer_axis(below)
    above.set_ylabel("contribution [loss]")
    below.set_ylabel("sharpness\n$(\\sum \\sigma_{g,n}^2)^{1/2}$ [loss/weight]")
    below.set_xlabel(f"cluster of eigenvalues of {style.plain(duality.name)}, by descending value")
    style.legend_above(above, 2)
    return figure


def _draw(axes: Axes, values: Array, sizes: Array) -> None:
    numbers, several = np.arange(1, values.size + 1), sizes > 1
    axes.plot(numbers[~several], values[~several], "o", color=style.FLAT, markersize=3,
              label="a single direction")
    axes.plot(numbers[several], values[several], "D", color=style.VERMILION, markersize=7,
              label="several directions (their number)")


def _write_sizes(axes: Axes, values: Array, sizes: Array) -> None:
    for cluster in np.argsort(-sizes, kind="stable")[:_MOST_LABELS]:
        if sizes[cluster] > 1:
            axes.annotate(str(sizes[cluster]), (cluster + 1, values[cluster]), (0, 8),
                          textcoords="offset points", ha="center", fontsize=11)


def table(duality: Duality) -> Table:
    """Return the sums of each cluster as a table."""
    sums = duality.clusters
    return Table({"cluster": np.arange(1, sums.size.size + 1),
                  **{name: getattr(sums, name) for name in _COLUMNS}}, _COLUMNS)


def plots(duality: Duality) -> list[Plot]:
    """List the figure of the clusters, where one has several directions."""
    if "clusters" not in duality or not (duality.clusters.size > 1).any():
        return []
    return [Plot("clusters", duality.name,
                 f"Sums over the directions of each cluster of eigenvalues at {duality.name}: "
                 "contribution and sharpness, with the number of directions of the largest "
                 "clusters; within a cluster only these sums mean something.",
                 lambda: clusters(duality), lambda: table(duality))]
