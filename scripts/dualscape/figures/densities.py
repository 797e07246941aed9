"""The density of a matrix' eigenvalues."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from .. import style
from ..node import Array
from ..reader import Spectrum
from ..table import Table
from .plot import Plot

#: Decades of the density that are drawn below its highest point.
DECADES = 7


@style.styled
def density(spectrum: Spectrum) -> Figure:
    """Draw the density of the eigenvalues, and mark those that were computed.

    The axis is linear around zero and logarithmic beyond, and the density is per unit of its
    length, so that equal areas are equal shares of the eigenvalues (were the vertical axis linear).

    Parameters
    ----------
    spectrum
        The spectrum of one block; it has a density.
    """
    found = spectrum.density
    scale = found.linear_scale
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    stretch = np.hypot(found.grid, scale)
    share, error = found.density * stretch, found.error * stretch
    axes.set_xscale("asinh", linear_width=scale)
    axes.set_yscale("log")
    top = share.max() if share.max() > 0 else 1.0
    axes.set_ylim(10.0**-DECADES * top, 3 * top)
    axes.fill_between(found.grid, np.maximum(share - error, 1e-300), share + error,
                      color=style.SKY, alpha=0.45, linewidth=0, label="error")
    axes.plot(found.grid, share, color=style.BLUE, label="density")
    axes.plot(spectrum.eigenvalues, np.full(spectrum.eigenvalues.size, 0.05), "|",
              color=style.VERMILION, markersize=11, markeredgewidth=1.2,
              transform=axes.get_xaxis_transform(), label="eigenvalues computed")
    _mark_decades(axes.xaxis, found.grid, scale)
    name = style.plain(spectrum.name)
    axes.set_xlabel(rf"eigenvalue $\lambda$ of {name} [loss/weight$^2$]")
    axes.set_ylabel("share of the eigenvalues\nper e-fold")
    style.legend_above(axes, 3)
    return figure


def _mark_decades(axis: object, grid: Array, scale: float) -> None:
    """Set ticks at zero and at powers of ten beyond the linear part, on both sides."""
    decades = np.arange(np.ceil(np.log10(scale) - 1e-9), np.log10(np.abs(grid).max()) + 1e-9)
    step = max(1, int(np.ceil(decades.size / 5)))
    sizes = decades[::-1][::step]
    ticks, labels = [0.0], ["0"]
    for sign, mark in ((1, ""), (-1, "-")):
        for size in sizes:
            place = sign * 10.0**size
            if grid.min() <= place <= grid.max():
                ticks.append(place)
                labels.append(f"${mark}10^{{{int(size)}}}$")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())


def table(spectrum: Spectrum) -> Table:
    """Return the density as a table."""
    found = spectrum.density
    return Table({"eigenvalue": found.grid, "density": found.density, "error": found.error},
                 {"eigenvalue": "loss/weight^2", "density": "weight^2/loss",
                  "error": "weight^2/loss"})


def plots(spectrum: Spectrum) -> list[Plot]:
    """List the figures of a spectrum's density."""
    if spectrum.density is None:
        return []
    probes = spectrum.density.nodes.shape[0]
    return [Plot("density", spectrum.name,
                 f"Density of the eigenvalues of the {spectrum.operator} in {spectrum.name}, by "
                 f"Lanczos quadrature from {probes} random vectors, with its error (68 %); "
                 "marks: the eigenvalues that were computed one by one.",
                 lambda: density(spectrum), lambda: table(spectrum))]
