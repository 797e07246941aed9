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
    mark_boundary(single, duality)
    mark_boundary(total, duality)
    style.rank_axis(single, ordered.size)
    single.tick_params(labelbottom=False)
    single.set_ylabel(r"contribution $\Delta L_n$ [loss]")
    total.set_ylabel("cumulative sum [loss]")
    total.set_xlabel(order_label(duality))
    figure.legend(*single.get_legend_handles_labels(), loc="upper center", ncol=2)
    return figure


def order_label(duality: Duality) -> str:
    """Return the label of an axis of directions by descending sharpness."""
    name = style.plain(duality.name)
    return rf"direction $n$ of {name}, by descending sharpness $\sigma_{{g,n}}$"


def is_sharp(duality: Duality, ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which directions, by rank of descending sharpness from 1, are of the sharp part."""
    return duality.directions.sharp[duality.directions.order_by_sigma_g][ranks - 1]


def _draw_single(axes: Axes, duality: Duality, ordered: NDArray[np.float64]) -> None:
    ranks = np.arange(1, ordered.size + 1)
    sharp = is_sharp(duality, ranks)
    gap = duality.matched_gap

    def label(name: str, value: float) -> str:
        share = f" ({100 * value / gap:.0f} %)" if gap else ""
        return f"{name} = {value:.3g}{share}"

    for part, colour, marker, text in (
            (sharp, style.SHARP, style.SHARP_MARKER,
             label(r"sharp: $\Delta L_s$", duality.sharp_contribution)),
            (~sharp, style.FLAT, style.FLAT_MARKER,
             label(r"flat: $\Delta L_f$", duality.flat_contribution))):
        axes.vlines(ranks[part], 0, ordered[part], color=colour, linewidth=1.2, alpha=0.5)
        axes.plot(ranks[part], ordered[part], marker, color=colour, markersize=3.5, label=text)
    axes.plot([], [], color=style.BLACK, linestyle="--",
              label=f"matched gap: $\\Delta L$ = {gap:.3g}")
    if has_complement(duality):
        axes.plot([], [], "s", color=style.COMPLEMENT,
                  label=label("not computed", duality.complement_contribution))
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    style.signed_scale(axes, ordered)


def _draw_total(axes: Axes, duality: Duality, ordered: NDArray[np.float64]) -> None:
    ranks = np.arange(1, ordered.size + 1)
    sharp = is_sharp(duality, ranks)
    sums = np.cumsum(ordered)
    axes.plot(ranks, sums, color=style.FLAT)
    axes.plot(ranks[sharp], sums[sharp], color=style.SHARP, marker=style.SHARP_MARKER)
    axes.axhline(duality.matched_gap, color=style.BLACK, linestyle="--", linewidth=1.4)
    axes.axhline(0, color=style.BLACK, linewidth=0.8)


def has_complement(duality: Duality) -> bool:
    """Tell whether more than rounding lies outside the computed directions."""
    return abs(duality.complement_contribution) > 1e-9 * duality.mean_abs_loss_gap


def _draw_parts(axes: Axes, duality: Duality) -> None:
    sharp, total = duality.sharp_contribution, duality.total_contribution
    bars = [(0.0, sharp, style.SHARP, style.SHARP_HATCH), (sharp, total - sharp, style.FLAT, "")]
    if has_complement(duality):
        bars.append((total, duality.complement_contribution, style.COMPLEMENT, "..."))
    for position, (start, height, colour, hatch) in enumerate(bars):
        axes.bar(position, height, bottom=start, width=0.9, color=colour, hatch=hatch,
                 edgecolor="white", linewidth=0)
    axes.axhline(duality.matched_gap, color=style.BLACK, linestyle="--", linewidth=1.4)
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    axes.set_axis_off()


def mark_boundary(axes: Axes, duality: Duality) -> None:
    """Draw the line that ends the sharp part, where there is such a rank."""
    count = duality.directions.contribution.size
    if duality.sharp >= count or duality.sharp_by == "eigenvalue":
        return
    axes.axvline(duality.sharp + 0.5, color=style.GREY, linestyle=":", linewidth=1.6)


@style.styled
def bounds(duality: Duality) -> Figure:
    """Draw the contributions' sizes beside the bounds on their errors.

    A contribution is known as far as it stands above its bound; within a cluster of eigenvalues
    only sums mean something, and the bounds are as large as the gaps.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    """
    directions, order = duality.directions, duality.directions.order_by_sigma_g
    sizes, errors = np.abs(directions.contribution[order]), directions.contribution_bound[order]
    ranks = np.arange(1, order.size + 1)
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    draw_parts(axes, duality, sizes, suffix=r": $|\Delta L_n|$")
    axes.plot(ranks, errors, "_", color=style.GREEN, markersize=5, markeredgewidth=1.6,
              label="bound on its error")
    style.log_scale(axes, sizes, errors, decades=16)
    style.rank_axis(axes, order.size)
    mark_boundary(axes, duality)
    axes.set_ylabel("contribution and bound [loss]")
    axes.set_xlabel(order_label(duality))
    style.legend_above(axes, 3)
    return figure


def draw_parts(axes: Axes, duality: Duality, values: NDArray[np.float64],
               suffix: str = "") -> None:
    """Draw one value a direction, by descending sharpness, the sharp and the flat ones apart."""
    ranks = np.arange(1, values.size + 1)
    sharp = is_sharp(duality, ranks)
    for part, colour, marker, label in (
            (sharp, style.SHARP, style.SHARP_MARKER, "sharp"),
            (~sharp, style.FLAT, style.FLAT_MARKER, "flat")):
        axes.plot(ranks[part], values[part], marker, color=colour, markersize=4,
                  label=label + suffix)


def plots(duality: Duality) -> list[Plot]:
    """List the figures of the directions' contributions."""
    name = duality.name
    return [
        Plot("contributions", name,
             f"Contribution of each direction of {name} to the gap by descending sharpness, and "
             "their cumulative sum up to the matched gap (dashed); the dotted line ends the sharp "
             "part.", lambda: contributions(duality), lambda: table(duality)),
        Plot("bounds", name,
             f"Sizes of the contributions of the directions of {name} and the bounds on their "
             "errors that the eigenvectors' certificates give: a contribution is known as far as "
             "it stands above its bound.", lambda: bounds(duality), lambda: table(duality))]


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
