"""The figures of a study: the gap and what determines it against the parameter."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..groups import Statistics
from ..node import Array
from ..study import Study
from ..table import Table
from .plot import Plot
from .sweeps import MOST_SERIES, Panel, Sweep, against, point_label, sweeps

_BINS_A_DECADE = 12
_MOST_BANDS = 4


def study_plots(study: Study) -> list[Plot]:
    """List the figures a study has the data for.

    Parameters
    ----------
    study
        The open study; without a run that is done there are none.
    """
    if not study.done.any():
        return []
    plots: list[Plot] = []
    views = sweeps(study)
    for number, sweep in enumerate(views):
        plots += _plots_of_sweep(study, sweep, number if len(views) > 1 else None)
    for layer in study.layers:
        plots += _plots_of_curves(study, layer)
    return plots


def _plots_of_sweep(study: Study, sweep: Sweep, number: int | None) -> list[Plot]:
    """List the figures along one key; where there are several views, their number names them."""
    bars = _bars(study)
    ending = "" if number is None else f"-{number + 1}"
    along = f" against {sweep.key}" if sweep.key else ""
    plots = []
    for layer in study.layers:
        for kind, means, text in (("gap", False, "without the mean term, as sums of c σ_w σ_g "
                                   "(the attributes ..._without_means)"),
                                  ("gap-with-means", True, "with the mean term μ_w μ_g: they add "
                                   "up to the matched gap")):
            panel = gap_panel(study, layer, means)
            plots.append(_plot(kind, layer + ending, f"Gap at {layer}{along}, its sharp and its "
                               f"flat part, {text}. {bars}", sweep, [panel]))
        plots.append(_plot("norms", layer + ending, f"Frobenius norm of the weight of {layer} and "
                           f"its activity-weighted norm{along}. {bars}", sweep,
                           norm_panels(study, layer)))
    plots.append(_plot("losses", ending.strip("-"), "Mean loss and accuracy of training and test "
                       f"samples{along}. {bars}", sweep, loss_panels(study)))
    return plots


def _plot(kind: str, of: str, caption: str, sweep: Sweep, panels: list[Panel]) -> Plot:
    return Plot(kind, of, caption, partial(against, sweep, panels),
                partial(_sweep_table, sweep, panels))


def _sweep_table(sweep: Sweep, panels: list[Panel]) -> Table:
    values = {_plain(label): values for panel in panels
              for label, values in panel.quantities.items()}
    units = {_plain(label): panel.unit for panel in panels for label in panel.quantities}
    return sweep.groups.table(values, units)


def _plain(label: str) -> str:
    """Turn a legend's text into a column's name."""
    return label.translate(str.maketrans("\n", " ", "$\\{}")).replace("Delta ", "D")


def _bars(study: Study) -> str:
    done, runs = int(study.done.sum()), study.done.size
    rest = f"; {runs - done} of {runs} runs are not done and left out" if done < runs else ""
    return ("Marks are means over the repeats, bars or bands one standard deviation to either "
            f"side, dots single runs{rest}.")


def gap_panel(study: Study, layer: str, means: bool) -> Panel:
    """Return the gap and its parts at a layer, with or without the mean term."""
    ending = "" if means else "_without_means"
    part = {name: study.scalar(f"duality/{layer}/{name}_contribution{ending}")
            for name in ("total", "complement", "sharp", "flat")}
    whole = (study.scalar(f"duality/{layer}/matched_gap") if means
             else part["total"] + part["complement"])
    what = "with" if means else "without"
    return Panel(f"part of the gap,\n{what} mean term", "loss",
                 {r"$\Delta L$": whole, r"$\Delta L_s$ (sharp)": part["sharp"],
                  r"$\Delta L_f$ (flat)": part["flat"]},
                 remark=f"{what} mean term", zero=True)


def norm_panels(study: Study, layer: str) -> list[Panel]:
    """Return the norms of a layer's weight."""
    return [Panel("$|W|_F$", "weight",
                  {"$|W|_F$": study.scalar(f"duality/{layer}/weight_norm")}),
            Panel("activity-weighted\nnorm", "weight",
                  {"activity-weighted\nnorm":
                   study.scalar(f"duality/{layer}/activity_weighted_norm")})]


def loss_panels(study: Study) -> list[Panel]:
    """Return the losses and accuracies."""
    return [Panel("mean loss", "loss", {"training loss": study.scalar("loss/train_loss"),
                                        "test loss": study.scalar("loss/test_loss")}, True),
            Panel("accuracy", "", {"training accuracy": study.scalar("loss/train_accuracy"),
                                   "test accuracy": study.scalar("loss/test_accuracy")})]


def by_sharpness(study: Study, layer: str) -> dict[str, Array]:
    """Return each run's sharpness, cumulative size and correlation by descending sharpness, (R, m).

    Parameters
    ----------
    study
        The open study.
    layer
        A layer whose gap was decomposed.
    """
    group = f"duality/{layer}/directions"
    order = np.asarray(study.stacked(f"{group}/order_by_sigma_g"), np.float64)
    there = order >= 0
    order = np.where(there, order, 0).astype(np.int64)
    sorted_by = {name: np.where(there, np.take_along_axis(study.stacked(f"{group}/{name}"), order,
                                                          axis=1), np.nan)
                 for name in ("sigma_g", "sigma_w", "correlation")}
    return {"sigma_g": sorted_by["sigma_g"], "S_w": np.cumsum(sorted_by["sigma_w"], axis=1),
            "c": sorted_by["correlation"]}


def curves_table(study: Study, layer: str) -> Table:
    """Return sharpness, cumulative size and correlation of every point and rank as a table."""
    groups = study.groups()
    statistics = {name: groups.statistics(values)
                  for name, values in by_sharpness(study, layer).items()}
    number = statistics["c"].mean.shape[1]
    columns = {key: np.repeat(values, number) for key, values in groups.values.items()}
    columns["n"] = np.tile(np.arange(1, number + 1), len(groups))
    units = {}
    for name, unit in (("sigma_g", "loss/weight"), ("S_w", "weight"), ("c", "")):
        for ending in ("mean", "deviation", "error"):
            columns[f"{name}:{ending}"] = getattr(statistics[name], ending).ravel()
            units[f"{name}:{ending}"] = unit
    columns["count"] = statistics["c"].count.ravel()
    return Table(columns, units).select(columns["count"] > 0)


def _plots_of_curves(study: Study, layer: str) -> list[Plot]:
    if f"duality/{layer}/directions/order_by_sigma_g" not in study.arrays:
        return []
    what = f"of the directions of {layer} by descending sharpness, for each value"
    return [Plot("curves", layer, f"Sharpness and cumulative size {what}, means over the repeats.",
                 partial(curves, study, layer), partial(curves_table, study, layer)),
            Plot("correlations", layer, f"Correlation c_n {what}, means over the repeats and over "
                 "the ranks within twelfths of a decade.",
                 partial(correlations, study, layer), partial(curves_table, study, layer))]


def _shown(study: Study) -> list[tuple[int, str]]:
    """Choose the points that are drawn as curves, at most eight, with their labels."""
    groups = study.groups()
    keys = [key for key, values in study.axes.items() if values.size > 1]
    done = np.flatnonzero(groups.done)
    if done.size > MOST_SERIES:
        done = done[np.linspace(0, done.size - 1, MOST_SERIES).round().astype(int)]
    return [(group, style.plain(point_label(groups, group, keys)) or "all runs")
            for group in done.tolist()]


@style.styled
def curves(study: Study, layer: str) -> Figure:
    """Draw sharpness and cumulative size by descending sharpness, a line for each point.

    Parameters
    ----------
    study
        The open study.
    layer
        A layer whose gap was decomposed.
    """
    shown = _shown(study)
    figure = style.new_figure(6.2)
    above, below = figure.subplots(2, 1, sharex=True)
    data = by_sharpness(study, layer)
    for axes, name in ((above, "sigma_g"), (below, "S_w")):
        statistics = study.groups().statistics(data[name])
        for index, (group, label) in enumerate(shown):
            look = style.ordered(index, len(shown))
            _draw_curve(axes, statistics, group, look, label, len(shown) <= _MOST_BANDS)
        means = statistics.mean[[group for group, _ in shown]]
        style.log_scale(axes, means[np.isfinite(means)], decades=5, remark=False)
    style.rank_axis(below, data["c"].shape[1])
    above.set_ylabel("sharpness $\\sigma_{g,n}$\n[loss/weight]")
    below.set_ylabel("cumulative size $S_{w,n}$\n[weight]")
    below.set_xlabel(rf"direction $n$ of {style.plain(layer)}, by descending sharpness")
    style.legend_of_figure(figure, above, handlelength=3.5)
    return figure


def _draw_curve(axes: Axes, statistics: Statistics, group: int, look: dict[str, object],
                label: str, band: bool) -> None:
    mean, deviation = statistics.mean[group], statistics.deviation[group]
    ranks = np.arange(1, mean.size + 1)
    axes.plot(ranks, mean, label=label, **look)
    if band:
        axes.fill_between(ranks, mean - deviation, mean + deviation, color=look["color"],
                          alpha=0.15, linewidth=0)


@style.styled
def correlations(study: Study, layer: str) -> Figure:
    """Draw the correlation c_n by descending sharpness, a line for each point.

    Parameters
    ----------
    study
        The open study.
    layer
        A layer whose gap was decomposed.
    """
    shown = _shown(study)
    figure = style.new_figure(4.2)
    axes = figure.subplots()
    statistics = study.groups().statistics(by_sharpness(study, layer)["c"])
    for index, (group, label) in enumerate(shown):
        centres, means = _binned(statistics.mean[group])
        axes.plot(centres, means, marker=style.SERIES_MARKERS[index], label=label,
                  **style.ordered(index, len(shown)))
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    style.rank_axis(axes, statistics.mean.shape[1])
    axes.set_ylabel("correlation $c_n$")
    axes.set_xlabel(rf"direction $n$ of {style.plain(layer)}, by descending sharpness")
    style.legend_of_figure(figure, axes, handlelength=3.5)
    return figure


def _binned(values: Array) -> tuple[Array, Array]:
    """Average over the ranks of each twelfth of a decade; the first ranks stay single."""
    ranks = np.arange(1, values.size + 1)[np.isfinite(values)]
    kept = values[np.isfinite(values)]
    bins = np.unique(np.floor(_BINS_A_DECADE * np.log10(ranks)), return_inverse=True)[1]
    count = np.bincount(bins)
    return np.bincount(bins, ranks) / count, np.bincount(bins, kept) / count
