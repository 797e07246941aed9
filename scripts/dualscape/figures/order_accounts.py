"""The figure of the second-order accounts against the exact gap."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..node import Array
from ..reader import Duality
from ..table import Table
from .plot import Plot


@style.styled
def second_order(duality: Duality) -> Figure:
    """Draw each pair's exact loss gap against its second-order account, and the means.

    Parameters
    ----------
    duality
        The decomposed gap of one layer; its pairs have their gradient and curvature terms.
    """
    data = table(duality)
    figure = style.new_figure(7.4)
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    exact, account = data["loss_gap"], data["gradient_term"] + data["curvature_term"]
    above.plot(account, exact, "o", color=style.BLUE, markersize=3.5, alpha=0.5, label="a pair")
    _share_axes(above, np.concatenate([exact, account]))
    above.set_xlabel(r"second order $\nabla_z l \cdot r + \frac{1}{2} r^T M r$ [loss]")
    above.set_ylabel("exact loss gap $\\Delta l_k$ [loss]")
    style.legend_above(above, 2)
    _draw_means(below, duality)
    return figure


def _share_axes(axes: Axes, values: Array) -> None:
    """Give both axes one scale, linear near zero and logarithmic beyond, and draw their diagonal."""
    largest = float(np.abs(values).max(initial=0)) or 1.0
    sizes = np.abs(values[values != 0])
    linear = max(float(np.median(sizes)) if sizes.size else largest, 1e-4 * largest)
    linear = 10.0**np.ceil(np.log10(linear))
    ends = np.array([min(2 * values.min(initial=0), -linear), 2 * largest])
    decades = 10.0**np.arange(np.log10(linear), np.log10(largest) + 1, 2)
    ticks = np.concatenate([-decades[::-1], [0], decades])
    axes.plot(ends, ends, "--", color=style.BLACK, linewidth=1.4, label="equal")
    axes.set_xscale("symlog", linthresh=linear)
    axes.set_yscale("symlog", linthresh=linear)
    axes.set(xticks=ticks, yticks=ticks, xlim=ends, ylim=ends)
    for zero in (axes.axhline, axes.axvline):
        zero(0, color=style.BLACK, linewidth=0.8)


def _draw_means(axes: Axes, duality: Duality) -> None:
    means = {"exact: matched gap": duality.matched_gap, "second order": duality.second_order,
             "  gradient term": duality.gradient_term,
             "  curvature term": duality.curvature_term, "mean field": duality.mean_field}
    positions = np.arange(len(means))
    colours = [style.BLACK, style.BLUE, style.SKY, style.SKY, style.ORANGE]
    axes.barh(positions, list(means.values()), 0.7, color=colours)
    for position, value in zip(positions, means.values()):
        axes.annotate(f"{value:.3g}", (max(value, 0), position), (4, 0),
                      textcoords="offset points", va="center", fontsize=11)
    axes.set_yticks(positions, list(means))
    axes.invert_yaxis()
    axes.axvline(0, color=style.BLACK, linewidth=0.8)
    axes.margins(x=0.12)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"mean over the pairs of {style.plain(duality.name)} [loss]")


def table(duality: Duality) -> Table:
    """Return the kept pairs' loss gaps and their second-order accounts as a table."""
    pairs = duality.pairs
    kept = np.full(pairs.loss_gap.size, True) if pairs.state is None else pairs.state != 2
    names = ("loss_gap", "gradient_term", "curvature_term")
    return Table({"test_index": pairs.test_index, "train_index": pairs.train_index,
                  **{name: getattr(pairs, name) for name in names}},
                 dict.fromkeys(names, "loss")).select(kept)


def plots(duality: Duality) -> list[Plot]:
    """List the figure of the second-order accounts, where the file has them by pair."""
    if duality.pairs.curvature_term is None:
        return []
    return [Plot("second-order", duality.name,
                 f"Exact loss gap of each pair at {duality.name} against its second-order account "
                 "at the training partner; below, the means: in a fitted network the accounts are "
                 "far below the exact gap, and no approximations of it.",
                 lambda: second_order(duality), lambda: table(duality))]
