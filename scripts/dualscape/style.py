"""The one look of all figures: sizes, colours, scales.

A figure is 6.67 inches wide: 1000 pixels at 150 dpi, and text of 7 points when a paper prints it
over one of two columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

DPI = 150
WIDTH = 6.67

# Okabe and Ito's palette, which colour-blind readers can tell apart too.
BLACK = "#000000"
GREY = "#8c8c8c"
BLUE = "#0072b2"
VERMILION = "#d55e00"
ORANGE = "#e69f00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
SKY = "#56b4e9"

SHARP = VERMILION
FLAT = BLUE
COMPLEMENT = GREY
TRAINING = BLUE
TEST = VERMILION
POSITIVE = BLUE
NEGATIVE = VERMILION
UNDECIDED = GREY

# What tells series apart, in black and white too.
SERIES_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
SERIES_MARKERS = ("o", "D", "^", "s", "v", "P", "X", "*")
SERIES_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)),
                (0, (3, 4)))
SHARP_MARKER = "D"
FLAT_MARKER = "o"
SHARP_HATCH = "///"

SETTINGS = {
    "font.size": 13,
    "axes.labelsize": 13,
    "axes.titlesize": 13,
    "legend.fontsize": 12,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "hatch.linewidth": 0.8,
    "errorbar.capsize": 3.5,
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.borderpad": 0.2,
}

Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Let a function draw its figure in this style, whatever the caller's settings are."""

    @wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(SETTINGS)
            return draw(*args, **kwargs)

    return in_style


def new_figure(height: float, legend: float = 0.0) -> Figure:
    """Make an empty figure of the common width.

    Parameters
    ----------
    height
        Its height in inches.
    legend
        How much of it is kept free at the top for a legend of the whole figure.
    """
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - legend / height))
    return figure


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend above the axes, where there is no data."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=columns)


def series(index: int) -> dict[str, Any]:
    """Return the colour, marker and line of one of several series, as arguments of a plot."""
    position = index % len(SERIES_COLOURS)
    return {"color": SERIES_COLOURS[position], "marker": SERIES_MARKERS[position],
            "linestyle": SERIES_LINES[position]}


def ordered(index: int, count: int) -> dict[str, Any]:
    """Return the colour and line of one of `count` series in an order: from dark to light."""
    shade = index / max(count - 1, 1)
    return {"color": matplotlib.colormaps["viridis"](0.88 * shade),
            "linestyle": SERIES_LINES[index % len(SERIES_LINES)]}


def legend_of_figure(figure: Figure, axes: Axes, **options: Any) -> None:
    """Put the legend of one of its axes above the whole figure, which grows by its height.

    Parameters
    ----------
    figure
        The figure, whose height is that of its axes.
    axes
        The axes with the entries.
    options
        Further arguments of the legend.
    """
    handles, labels = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, labels), default=0) <= 24 else 1
    extra = 0.15 + 0.25 * -(-len(labels) // columns)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + extra)
    figure.get_layout_engine().set(rect=(0, 0, 1, height / (height + extra)))
    figure.legend(handles, labels, loc="upper center", ncol=columns, **options)


def log_scale(axes: Axes, *series: NDArray[np.float64], decades: float = 12,
              remark: bool = True, axis: str = "y") -> None:
    """Make the vertical axis logarithmic, and say how many values it cannot show.

    Zeros and values that many decades below the largest are not shown.

    Parameters
    ----------
    axes
        Where the series are drawn.
    series
        The values drawn; what is not positive cannot be shown.
    decades
        How far the axis goes down from the largest value, at most.
    remark
        Whether to write the number of values that are not shown into the axes.
    axis
        The axis that becomes logarithmic: y, or x.
    """
    values = np.concatenate([np.ravel(values) for values in series])
    shown = values[values > 0]
    if shown.size == 0:
        note(axes, "nothing above zero")
        return
    top = shown.max()
    shown = shown[shown >= top * 10.0**-decades]
    margin = max((top / shown.min())**0.06, 1.25)
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (shown.min() / margin, top * margin)})
    hidden = values.size - shown.size
    if hidden and remark:
        note(axes, f"{hidden} of {values.size} zero or below the axis")


def signed_scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Make the vertical axis linear around zero and logarithmic beyond, where the values need it.

    Parameters
    ----------
    axes
        Where the values are drawn.
    values
        The values, of either sign.
    """
    sizes = np.abs(values[values != 0])
    if sizes.size == 0 or sizes.max() < 100 * np.median(sizes):
        return
    linear = 10.0**np.floor(np.log10(max(np.median(sizes), 1e-6 * sizes.max())))
    axes.set_yscale("symlog", linthresh=linear, linscale=1)
    axes.set_ylim(min(0.0, 2.5 * values.min()), max(0.0, 2.5 * values.max()))


def plain(name: str) -> str:
    """Keep a name's dollar signs from being read as mathematics."""
    return name.replace("$", r"\$")


def note(axes: Axes, text: str) -> None:
    """Write a remark into the lower left corner of the axes."""
    axes.text(0.015, 0.03, text, transform=axes.transAxes, color=GREY, fontsize=11,
              bbox={"facecolor": "white", "linewidth": 0, "pad": 1})


def rank_axis(axes: Axes, count: int) -> None:
    """Set up a horizontal axis of ranks 1 to `count`: logarithmic where there are many."""
    if count > 60:
        axes.set_xscale("log")
        axes.set_xlim(0.9, count * 1.12)
    else:
        integer_axis(axes)
        margin = max(0.6, 0.03 * count)
        axes.set_xlim(1 - margin, max(count, 1) + margin)


def integer_axis(axes: Axes) -> None:
    """Let the horizontal axis show integers only."""
    locator = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    axes.xaxis.set_major_locator(locator)
