"""Figures of eigenpairs and of what certifies them."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .. import style
from ..reader import Spectrum
from ..table import Table
from .plot import Plot


@style.styled
def spectrum(eigenpairs: Spectrum) -> Figure:
    """Draw the eigenvalues' sizes, and below them what certifies them.

    An eigenvalue that its bound does not tell from zero is drawn at the bound.

    Parameters
    ----------
    eigenpairs
        The eigenpairs of one block.
    """
    values, bounds = eigenpairs.eigenvalues, eigenpairs.value_bounds
    ranks = np.arange(1, values.size + 1)
    certain = np.abs(values) > bounds
    figure = style.new_figure(5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    sizes = np.where(certain, np.abs(values), bounds)
    for kind, colour, marker, label in (
            (certain & (values > 0), style.POSITIVE, "o", "positive"),
            (certain & (values < 0), style.NEGATIVE, "v", "negative"),
            (~certain, style.UNDECIDED, "_", "zero within its bound")):
        if kind.any():
            above.plot(ranks[kind], sizes[kind], marker, color=colour, markersize=4, label=label)
    below.plot(ranks, eigenpairs.residuals, "o", color=style.BLACK, markersize=3,
               label="residual $r_n$")
    below.plot(ranks, bounds, "_", color=style.GREEN, markersize=5, markeredgewidth=1.6,
               label="bound on the eigenvalue's error")
    style.log_scale(above, sizes, decades=20)
    style.log_scale(below, eigenpairs.residuals, bounds, decades=8)
    style.integer_axis(below)
    above.set_ylabel("$|\\lambda_n|$\n[loss/weight$^2$]")
    below.set_ylabel("error\n[loss/weight$^2$]")
    name = style.plain(eigenpairs.name)
    below.set_xlabel(rf"eigenpair $n$ of {name}, by descending $\lambda_n$")
    style.legend_above(above, 3)
    style.legend_above(below, 2)
    return figure


def plots(eigenpairs: Spectrum) -> list[Plot]:
    """List the figures of a spectrum."""
    return [Plot("spectrum", eigenpairs.name,
                 f"Sizes of the {eigenpairs.converged} computed eigenvalues of the "
                 f"{eigenpairs.operator} in {eigenpairs.name} by descending value, positive and "
                 "negative ones apart; below, their residuals and the bounds on their errors.",
                 lambda: spectrum(eigenpairs), lambda: table(eigenpairs))]


def table(eigenpairs: Spectrum) -> Table:
    """Return the eigenvalues and what certifies them as a table."""
    unit = "loss/weight^2"
    names = ("eigenvalues", "residuals", "value_bounds", "angle_bounds", "clusters")
    return Table({"n": np.arange(1, eigenpairs.eigenvalues.size + 1),
                  **{name: getattr(eigenpairs, name) for name in names}},
                 dict.fromkeys(names[:3], unit))
