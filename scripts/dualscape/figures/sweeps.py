"""Quantities of a study against a parameter, with the spread over the repeats as error bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..groups import Groups
from ..node import Array
from ..study import Study

MOST_SERIES = 8
# Beyond this many values bars would hide each other: a band shows the deviations.
_MOST_BARS = 25


@dataclass(frozen=True)
class Panel:
    """Quantities that share a vertical axis.

    Attributes
    ----------
    label
        What they are, without the unit.
    unit
        Their unit; empty for pure numbers.
    quantities
        One value a run, by the text of the legend.
    logarithmic
        Whether the axis is logarithmic where the values are far apart.
    remark
        What holds for all of them and stands below the figure where each has axes of its own.
    zero
        Whether the axis shows zero.
    """

    label: str
    unit: str
    quantities: Mapping[str, Array]
    logarithmic: bool = False
    remark: str = ""
    zero: bool = False

    @property
    def title(self) -> str:
        """Label of its axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


@dataclass(frozen=True)
class Series:
    """Groups of runs along the parameter, all other keys equal."""

    label: str
    groups: Array


@dataclass(frozen=True)
class Sweep:
    """A study along one of its keys.

    Attributes
    ----------
    key
        The key along the horizontal axis; empty where nothing varies but the seed.
    groups
        The runs by all keys.
    series
        The groups along the key for the values of the other keys.
    together
        Keys that vary together with this one.
    """

    key: str
    groups: Groups
    series: Sequence[Series]
    together: Sequence[str] = ()

    @property
    def label(self) -> str:
        """Label of the horizontal axis."""
        names = ", ".join(self.together)
        return style.plain(f"{self.key}, with {names}" if names else self.key)


def sweeps(study: Study) -> list[Sweep]:
    """List the ways to see a study: along each key that varies, at most eight series at a time."""
    groups = study.groups()
    keys = [key for key, values in study.axes.items() if values.size > 1]
    if study.mode == "zip" or not keys:
        key = keys[0] if keys else ""
        return [Sweep(key, groups, [Series("", _along(groups, key, np.arange(len(groups))))],
                      keys[1:])]
    found = []
    for key in keys:
        series = _series(groups, key, [other for other in keys if other != key])
        found += [Sweep(key, groups, series[first:first + MOST_SERIES])
                  for first in range(0, len(series), MOST_SERIES)]
    return found


def _series(groups: Groups, key: str, others: Sequence[str]) -> list[Series]:
    labels: dict[str, list[int]] = {}
    for group in range(len(groups)):
        labels.setdefault(point_label(groups, group, others), []).append(group)
    return [Series(label, _along(groups, key, np.array(members)))
            for label, members in labels.items()]


def _along(groups: Groups, key: str, members: Array) -> Array:
    """Sort groups by the key's value; texts keep their order."""
    if not key or groups.values[key].dtype.kind not in "iuf":
        return members
    return members[np.argsort(groups.values[key][members], kind="stable")]


def point_label(groups: Groups, group: int, keys: Sequence[str]) -> str:
    """Say which values of some keys a group has: `batch_size 25, loss mse`."""
    return ", ".join(f"{key.rsplit('.', 1)[-1]} {value_text(groups.values[key][group])}"
                     for key in keys)


def value_text(value: object) -> str:
    """Write a parameter's value as short as its digits allow."""
    return f"{value:.6g}" if isinstance(value, (float, np.floating)) else str(value)


@style.styled
def against(sweep: Sweep, panels: Sequence[Panel]) -> Figure:
    """Draw quantities against the parameter: means, one standard deviation, and the single runs.

    The deviations are bars; where there are many values, bands without the single runs.

    Parameters
    ----------
    sweep
        The study along one key. With several series each quantity has axes of its own.
    panels
        The quantities.
    """
    several = len(sweep.series) > 1
    if several:
        remarks = "".join(f"  ({panel.remark})" for panel in panels if panel.remark)
        panels = [Panel(label, panel.unit, {label: values}, panel.logarithmic, zero=panel.zero)
                  for panel in panels for label, values in panel.quantities.items()]
    figure = style.new_figure({1: 4.4, 2: 5.8}.get(len(panels), 2.1 * len(panels) + 0.6))
    axes_of_panels = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(axes_of_panels, panels):
        _parameter_axis(axes, sweep)
        _draw_panel(axes, sweep, panel)
        axes.set_ylabel(panel.title)
        if not several and len(panel.quantities) > 1:
            style.legend_above(axes, 3)
    axes_of_panels[-1].set_xlabel(sweep.label + (remarks if several else ""))
    if several:
        style.legend_of_figure(figure, axes_of_panels[0])
    return figure


def _draw_panel(axes: Axes, sweep: Sweep, panel: Panel) -> None:
    lines = [(series.groups, label if len(sweep.series) == 1 else series.label, values)
             for series in sweep.series for label, values in panel.quantities.items()]
    drawn = []
    for index, (members, label, values) in enumerate(lines):
        look = style.series(index)
        if not _is_numeric(sweep):
            look["linestyle"] = ""
        place, kept = positions(sweep, members)
        statistics = sweep.groups.statistics(values)
        means, spreads = statistics.mean[kept], statistics.deviation[kept]
        if place.size > _MOST_BARS:
            axes.plot(place, means, label=label, **{**look, "marker": ""})
            axes.fill_between(place, means - spreads, means + spreads, color=look["color"],
                              alpha=0.15, linewidth=0)
        else:
            shift = 0.006 if _is_numeric(sweep) else 0.02
            place = _beside(axes, place, shift * (index - (len(lines) - 1) / 2))
            single, at = _single_runs(sweep.groups, values, kept)
            axes.plot(place[at], single, ".", markersize=5, alpha=0.4, color=look["color"],
                      zorder=1)
            axes.plot(place, means, label=label, markersize=6, **look)
            barred = np.isfinite(spreads)
            axes.errorbar(place[barred], means[barred], spreads[barred], fmt="none",
                          ecolor=look["color"])
        drawn.append(means)
    _vertical_axis(axes, panel, np.concatenate(drawn))


def _vertical_axis(axes: Axes, panel: Panel, means: Array) -> None:
    if panel.zero:
        axes.axhline(0, color=style.BLACK, linewidth=0.8)
    means = means[np.isfinite(means)]
    if panel.logarithmic and means.size and means.min() > 0 and means.max() > 20 * means.min():
        axes.set_yscale("log")


def _single_runs(groups: Groups, values: Array, kept: Array) -> tuple[Array, Array]:
    """Return the values of the runs of some groups, and the places of their groups among these."""
    places = np.full(len(groups), -1)
    places[kept] = np.arange(kept.size)
    at = places[groups.member]
    drawn = (at >= 0) & np.isfinite(values)
    return values[drawn], at[drawn]


def _beside(axes: Axes, place: Array, share: float) -> Array:
    """Move marks by a share of the axis, so that bars stand beside each other."""
    if axes.get_xscale() == "log":
        low, high = np.log10(axes.get_xlim())
        return place * 10**(share * (high - low))
    low, high = axes.get_xlim()
    return place + share * (high - low)


def positions(sweep: Sweep, members: Array) -> tuple[Array, Array]:
    """Return where groups stand along the horizontal axis, and the groups that have done runs."""
    kept = members[sweep.groups.done[members] > 0]
    if not sweep.key:
        return np.zeros(kept.size), kept
    values = sweep.groups.values[sweep.key]
    if _is_numeric(sweep):
        return values[kept].astype(float), kept
    names = list(dict.fromkeys(values.tolist()))
    return np.array([names.index(value) for value in values[kept].tolist()], float), kept


def _is_numeric(sweep: Sweep) -> bool:
    return bool(sweep.key) and sweep.groups.values[sweep.key].dtype.kind in "iuf"


def _parameter_axis(axes: Axes, sweep: Sweep) -> None:
    if not sweep.key:
        axes.set_xticks([0], ["all runs"])
        axes.set_xlim(-1, 1)
        return
    values = sweep.groups.values[sweep.key]
    if not _is_numeric(sweep):
        names = list(dict.fromkeys(values.tolist()))
        axes.set_xticks(range(len(names)), [style.plain(str(name)) for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
        return
    ticks = np.unique(values[sweep.groups.done > 0]).astype(float)
    low, high = ticks[0], ticks[-1]
    if low > 0 and high / 8 >= low:
        exponents = np.log10([low, high])
        margin = 0.05 * (exponents[1] - exponents[0])
        # Doubles end at 1e308.
        axes.set(xscale="log", xlim=10**np.clip(exponents + [-margin, margin], -300, 307))
    else:
        margin = 0.05 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
    if ticks.size <= MOST_SERIES:
        axes.set_xticks(ticks, [value_text(tick) for tick in ticks])
        axes.minorticks_off()
