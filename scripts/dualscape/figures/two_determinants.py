"""Figures of the two determinants of the gap, sharpness and size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import style
from ..reader import Duality
from .directions import draw_parts, is_sharp, mark_boundary, order_label, table
from .plot import Plot


@style.styled
def determinants(duality: Duality, eigenvalues: bool = True) -> Figure:
    """Draw the two determinants of the gap: sharpness and size.

    The sharpness of each direction and the cumulative sum of the sizes, both in the order of
    descending sharpness.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    eigenvalues
        Whether to draw the directions' eigenvalues faintly behind the sharpness.
    """
    directions = duality.directions
    order = directions.order_by_sigma_g
    sharpness = directions.sigma_g[order]
    size = np.cumsum(directions.sigma_w[order])
    ranks = np.arange(1, order.size + 1)
    figure = style.new_figure(6.2)
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, values in ((above, sharpness), (below, size)):
        draw_parts(axes, duality, values)
        style.log_scale(axes, values, decades=6)
        mark_boundary(axes, duality)
    if eigenvalues:
        _draw_eigenvalues(above, ranks, directions.eigenvalue[order])
    style.rank_axis(below, order.size)
    above.set_ylabel("sharpness $\\sigma_{g,n}$\n[loss/weight]")
    below.set_ylabel("cumulative size $S_{w,n}$\n[weight]")
    below.set_xlabel(order_label(duality))
    style.legend_above(above, 3)
    return figure


def _draw_eigenvalues(axes: Axes, ranks: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    twin = axes.twinx()
    # What lies behind has no lines drawn over it: the grid moves to the axes there.
    axes.grid(False)
    twin.grid(False, axis="y")
    twin.spines["right"].set_visible(True)
    sizes = np.abs(values)
    twin.plot(ranks, sizes, ".", color=style.GREY, alpha=0.5, markersize=4)
    style.log_scale(twin, sizes, decades=10, remark=False)
    twin.set_ylabel("$|\\lambda_n|$ [loss/weight$^2$]", color=style.GREY)
    twin.tick_params(axis="y", which="both", colors=style.GREY)
    axes.plot([], [], ".", color=style.GREY, alpha=0.5, label=r"eigenvalue $|\lambda_n|$ (right)")
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


@style.styled
def sizes(duality: Duality) -> Figure:
    """Draw the directions' sizes against their sharpnesses, and below the correlations.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    """
    directions, order = duality.directions, duality.directions.order_by_sigma_g
    sharpness, size = directions.sigma_g[order], directions.sigma_w[order]
    sharp = is_sharp(duality, np.arange(1, order.size + 1))
    figure = style.new_figure(6.8)
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    for part, colour, marker, label in (
            (~sharp, style.FLAT, style.FLAT_MARKER, "flat"),
            (sharp, style.SHARP, style.SHARP_MARKER, "sharp")):
        above.plot(sharpness[part], size[part], marker, color=colour, markersize=4, alpha=0.7,
                   label=label)
    style.log_scale(above, sharpness, decades=8, axis="x")
    style.log_scale(above, size, decades=8, remark=False)
    draw_parts(below, duality, directions.correlation[order])
    below.axhline(0, color=style.BLACK, linewidth=0.8)
    style.rank_axis(below, order.size)
    below.set_ylim(-1.05, 1.05)
    mark_boundary(below, duality)
    above.set_xlabel("sharpness $\\sigma_{g,n}$ [loss/weight]")
    above.set_ylabel("size $\\sigma_{w,n}$ [weight]")
    below.set_xlabel(order_label(duality))
    below.set_ylabel("correlation $c_n$")
    style.legend_above(above, 2)
    return figure


def plots(duality: Duality) -> list[Plot]:
    """List the figures of the directions' determinants."""
    name = duality.name
    return [
        Plot("determinants", name,
             f"The two determinants of the gap at {name} by descending sharpness: the sharpness "
             "of each direction, with its eigenvalue behind, and the cumulative size.",
             lambda: determinants(duality), lambda: table(duality)),
        Plot("sizes", name,
             f"Size against sharpness of each direction of {name}, both on logarithmic axes; "
             "below, the correlation of the two components by descending sharpness.",
             lambda: sizes(duality), lambda: table(duality))]
