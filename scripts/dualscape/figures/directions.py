"""Figures of what each direction carries of the gap."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .. import style
from ..reader import Duality
from ..table import Table
from .plot import Plot


@style.styled
def contributions(duality: Duality) -> Figure:
    """Draw each direction's contribution to the gap, and their sum up to the matched gap.

    Beside the sum stand its parts: the sharp directions, the flat ones and, where not all
    directions were computed, the complement, which counts as flat.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    """
    ordered = duality.directions.contribution[duality.directions.order_by_sigma_g]
    figure = style.new_figure(6.6, legend=0.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(12, 1))
    single = figure.add_subplot(grid[0, 0])
    total = figure.add_subplot(grid[1, 0], sharex=single)
    parts = figure.add_subplot(grid[1, 1], sharey=total)
    _draw_single(single, duality, ordered)
    _draw_total(total, duality, ordered)
    _draw_parts(parts, duality)
    _mark_boundary(single, duality)
    _mark_boundary(total, duality)
    style.rank_axis(single, ordered.size)
    single.tick_params(labelbottom=False)
    single.set_ylabel(r"contribution $\Delta L_n$ [loss]")
    total.set_ylabel("cumulative sum [loss]")
    total.set_xlabel(_order_label(duality))
    figure.legend(*single.get_legend_handles_labels(), loc="upper center", ncol=2)
    return figure


def _order_label(duality: Duality) -> str:
    name = style.plain(duality.name)
    return rf"direction $n$ of {name}, by descending sharpness $\sigma_{{g,n}}$"


def _is_sharp(duality: Duality, ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    return duality.directions.sharp[duality.directions.order_by_sigma_g][ranks - 1]


def _draw_single(axes: Axes, duality: Duality, ordered: NDArray[np.float64]) -> None:
    ranks = np.arange(1, ordered.size + 1)
    sharp = _is_sharp(duality, ranks)
    gap = duality.matched_gap

    def label(name: str, value: float) -> str:
        share = f" ({100 * value / gap:.0f} %)" if gap else ""
        return f"{name} = {value:.3g}{share}"

    for part, colour, text in (
            (sharp, style.SHARP, label(r"sharp: $\Delta L_s$", duality.sharp_contribution)),
            (~sharp, style.FLAT, label(r"flat: $\Delta L_f$", duality.flat_contribution))):
        axes.vlines(ranks[part], 0, ordered[part], color=colour, linewidth=1.2, alpha=0.5)
        axes.plot(ranks[part], ordered[part], "o", color=colour, markersize=3.5, label=text)
    axes.plot([], [], color=style.BLACK, linestyle="--",
              label=f"matched gap: $\\Delta L$ = {gap:.3g}")
    if _has_complement(duality):
        axes.plot([], [], "s", color=style.COMPLEMENT,
                  label=label("not computed", duality.complement_contribution))
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    style.signed_scale(axes, ordered)


def _draw_total(axes: Axes, duality: Duality, ordered: NDArray[np.float64]) -> None:
    ranks = np.arange(1, ordered.size + 1)
    sharp = _is_sharp(duality, ranks)
    sums = np.cumsum(ordered)
    axes.plot(ranks, sums, color=style.FLAT)
    axes.plot(ranks[sharp], sums[sharp], color=style.SHARP, marker="o")
    axes.axhline(duality.matched_gap, color=style.BLACK, linestyle="--", linewidth=1.4)
    axes.axhline(0, color=style.BLACK, linewidth=0.8)


def _has_complement(duality: Duality) -> bool:
    return abs(duality.complement_contribution) > 1e-9 * duality.mean_abs_loss_gap


def _draw_parts(axes: Axes, duality: Duality) -> None:
    sharp, total = duality.sharp_contribution, duality.total_contribution
    bars = [(0.0, sharp, style.SHARP), (sharp, total - sharp, style.FLAT)]
    if _has_complement(duality):
        bars.append((total, duality.complement_contribution, style.COMPLEMENT))
    for position, (start, height, colour) in enumerate(bars):
        axes.bar(position, height, bottom=start, width=0.9, color=colour)
    axes.axhline(duality.matched_gap, color=style.BLACK, linestyle="--", linewidth=1.4)
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    axes.set_axis_off()


def _mark_boundary(axes: Axes, duality: Duality) -> None:
    count = duality.directions.contribution.size
    if duality.sharp >= count or duality.sharp_by == "eigenvalue":
        return
    axes.axvline(duality.sharp + 0.5, color=style.GREY, linestyle=":", linewidth=1.6)


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
    sharp = _is_sharp(duality, ranks)
    figure = style.new_figure(6.2)
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, values in ((above, sharpness), (below, size)):
        axes.plot(ranks[sharp], values[sharp], "o", color=style.SHARP, markersize=4, label="sharp")
        axes.plot(ranks[~sharp], values[~sharp], "o", color=style.FLAT, markersize=4, label="flat")
        style.log_scale(axes, values, decades=6)
        _mark_boundary(axes, duality)
    if eigenvalues:
        _draw_eigenvalues(above, ranks, directions.eigenvalue[order])
    style.rank_axis(below, order.size)
    above.set_ylabel("sharpness $\\sigma_{g,n}$\n[loss/weight]")
    below.set_ylabel("cumulative size $S_{w,n}$\n[weight]")
    below.set_xlabel(_order_label(duality))
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


def plots(duality: Duality) -> list[Plot]:
    """List the figures of a layer's directions."""
    name = duality.name
    return [
        Plot(f"contributions-{name}",
             f"Contribution of each direction of {name} to the gap by descending sharpness, and "
             "their cumulative sum up to the matched gap (dashed); the dotted line ends the sharp "
             "part.", lambda: contributions(duality), lambda: table(duality)),
        Plot(f"determinants-{name}",
             f"The two determinants of the gap at {name} by descending sharpness: the sharpness "
             "of each direction, with its eigenvalue behind, and the cumulative size.",
             lambda: determinants(duality), lambda: table(duality))]


def table(duality: Duality) -> Table:
    """Return the directions by descending sharpness as a table, with cumulative sums."""
    directions, order = duality.directions, duality.directions.order_by_sigma_g
    units = {"eigenvalue": "loss/weight^2", "mean_w": "weight", "mean_g": "loss/weight",
             "sigma_w": "weight", "sigma_g": "loss/weight", "correlation": "",
             "contribution": "loss", "contribution_bound": "loss", "sharp": ""}
    columns = {name: getattr(directions, name)[order] for name in units}
    sums = {"cumulative_contribution": np.cumsum(columns["contribution"]),
            "cumulative_size": np.cumsum(columns["sigma_w"])}
    return Table({"n": np.arange(1, order.size + 1), "position": order, **columns, **sums},
                 {**units, "cumulative_contribution": "loss", "cumulative_size": "weight"})
