"""Figures of the gap's accounts: intervals of its parts, layers side by side, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import style
from ..node import Array
from ..reader import Duality, Intervals
from ..table import Table
from .plot import Plot

# Name, colour, member of the intervals, member of the duality.
_PARTS = (("matched gap", style.BLACK, "matched_gap", "matched_gap"),
          ("sharp", style.SHARP, "sharp", "sharp_contribution"),
          ("flat", style.FLAT, "flat", "flat_contribution"),
          ("directions", style.GREEN, "total", "total_contribution"),
          ("not computed", style.COMPLEMENT, "complement", "complement_contribution"),
          ("unresolved", style.COMPLEMENT, "unresolved", "unresolved"))


@style.styled
def intervals(duality: Duality) -> Figure:
    """Draw the parts of the gap with their bootstrap intervals.

    Parameters
    ----------
    duality
        The decomposed gap of one layer; it has intervals.
    """
    data = intervals_table(duality)
    colours = {name: colour for name, colour, _, _ in _PARTS}
    figure = style.new_figure(1.6 + 0.5 * data.rows)
    axes = figure.subplots()
    for position, (name, value, low, high) in enumerate(data.records()):
        axes.plot([low, high], [position, position], color=colours[name], marker="|",
                  markersize=12, label="95 % interval" if position == 0 else None)
        axes.plot(value, position, "D", color=colours[name], markersize=7,
                  label="value" if position == 0 else None)
        axes.annotate(f"{value:.3g}", (value, position), (0, 8), textcoords="offset points",
                      ha="center", fontsize=11)
    axes.axvline(0, color=style.BLACK, linewidth=0.8)
    axes.plot(duality.real_gap, 0, "x", color=style.VERMILION, markersize=9, markeredgewidth=2,
              label="real gap")
    axes.set_yticks(np.arange(data.rows), data["part"])
    axes.set_ylim(data.rows - 0.5, -0.8)
    axes.set_xlabel(f"part of the gap at {style.plain(duality.name)} [loss]")
    style.legend_above(axes, 3)
    return figure


def intervals_table(duality: Duality) -> Table:
    """Return the parts of the gap that are not nothing, with their intervals, as a table."""
    parts = [(name, getattr(duality, member), *getattr(duality.intervals, of_interval))
             for name, _, of_interval, member in _PARTS]
    rounding = 1e-9 * duality.mean_abs_loss_gap
    kept = [part for part in parts if part[0] in ("matched gap", "sharp", "flat")
            or np.abs(part[1:]).max() > rounding]
    return Table(dict(zip(("part", "value", "low", "high"), zip(*kept))),
                 dict.fromkeys(("value", "low", "high"), "loss"))


@style.styled
def layers(dualities: Mapping[str, Duality]) -> Figure:
    """Draw the sharp and the flat part of the gap for several layers side by side.

    The parts of each layer add up to the whole gap: layers are never added.

    Parameters
    ----------
    dualities
        The decomposed gap by layer.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    data = layers_table(dualities)
    positions = np.arange(data.rows)
    for offset, part, colour, hatch, label in (
            (-0.2, "sharp", style.SHARP, style.SHARP_HATCH, r"sharp: $\Delta L_s$"),
            (0.2, "flat", style.FLAT, "", r"flat: $\Delta L_f$")):
        axes.bar(positions + offset, data[part], 0.38, color=colour, hatch=hatch,
                 edgecolor="white", linewidth=0, label=label)
        for position, duality in zip(positions, dualities.values()):
            _draw_interval(axes, position + offset, duality.intervals, part)
    for position, gap in zip(positions, data["matched_gap"]):
        axes.plot([position - 0.45, position + 0.45], [gap, gap], "--", color=style.BLACK,
                  label=r"matched gap: $\Delta L_s + \Delta L_f$" if position == 0 else None)
    axes.axhline(0, color=style.BLACK, linewidth=0.8)
    axes.grid(False, axis="x")
    axes.set_xticks(positions, [style.plain(name) for name in dualities])
    axes.set_xlabel("layer (each one's parts make the whole gap: never add layers)")
    axes.set_ylabel("part of the gap [loss]")
    style.legend_above(axes, 3)
    return figure


def layers_table(dualities: Mapping[str, Duality]) -> Table:
    """Return the gap of each layer, its parts and the layer's norms as a table."""
    members = {"matched_gap": "matched_gap", "sharp": "sharp_contribution",
               "flat": "flat_contribution", "complement": "complement_contribution",
               "unresolved": "unresolved"}
    return Table({"layer": list(dualities),
                  **{name: [getattr(duality, member) for duality in dualities.values()]
                     for name, member in members.items()},
                  "weight_norm": [duality.weight_norm for duality in dualities.values()],
                  "activity_weighted_norm": [duality.activity_weighted_norm
                                             for duality in dualities.values()]},
                 {**dict.fromkeys(members, "loss"), "weight_norm": "weight",
                  "activity_weighted_norm": "weight"})


def _draw_interval(axes: Axes, position: float, of_parts: Intervals | None, part: str) -> None:
    if of_parts is not None:
        axes.plot([position, position], getattr(of_parts, part), color=style.BLACK, marker="_",
                  markersize=8, linewidth=1.4)


@style.styled
def classes(duality: Duality, labels: Sequence[int]) -> Figure:
    """Draw the sharp and the flat part of the gap by class, and the classes' numbers of pairs.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    labels
        The classes' labels.
    """
    of_classes = duality.classes
    positions = np.arange(len(labels))
    figure = style.new_figure(5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for offset, values, colour, hatch, label in (
            (-0.2, of_classes.sharp, style.SHARP, style.SHARP_HATCH, r"sharp: $\Delta L_s$"),
            (0.2, of_classes.flat, style.FLAT, "", r"flat: $\Delta L_f$")):
        above.bar(positions + offset, values, 0.38, color=colour, hatch=hatch,
                  edgecolor="white", linewidth=0, label=label)
    above.plot(positions, of_classes.matched_gap, "_", color=style.BLACK, markersize=24,
               markeredgewidth=2, label="matched gap")
    above.axhline(0, color=style.BLACK, linewidth=0.8)
    below.bar(positions, of_classes.pairs, 0.6, color=style.GREY)
    for axes in (above, below):
        axes.grid(False, axis="x")
    if len(labels) <= 20:
        below.set_xticks(positions, [str(label) for label in labels])
    above.set_ylabel("part of the gap [loss]")
    below.set_ylabel("pairs")
    below.set_xlabel("class (the classes' parts add up to the totals of "
                     f"{style.plain(duality.name)})")
    style.legend_above(above, 3)
    return figure


def classes_table(duality: Duality, labels: Sequence[int]) -> Table:
    """Return the parts of the gap by class as a table."""
    members = ("matched_gap", "total", "complement", "sharp", "flat", "unresolved")
    of_classes = duality.classes
    return Table({"class": labels, "pairs": of_classes.pairs,
                  **{name: getattr(of_classes, name) for name in members}},
                 dict.fromkeys(members, "loss"))


def plots_of_layers(dualities: Mapping[str, Duality]) -> list[Plot]:
    """List the figure of the layers side by side, where there are several."""
    if len(dualities) < 2:
        return []
    return [Plot(
        "layers", "", "Sharp and flat part of the gap at each analysed layer, with 95 % intervals "
        "where they were computed; the parts of each layer add up to the whole matched gap "
        "(dashed), so layers are never added.",
        lambda: layers(dualities), lambda: layers_table(dualities))]


def plots(duality: Duality, classes_of: Array) -> list[Plot]:
    """List the figures of a layer's accounts.

    Parameters
    ----------
    duality
        The decomposed gap of one layer.
    classes_of
        The classes' labels.
    """
    name, labels, found = duality.name, classes_of.tolist(), []
    if duality.intervals is not None:
        found.append(Plot(
            "intervals", name, f"The parts of the gap at {name} with their 95 % bootstrap "
            f"intervals over {duality.intervals.resamples} resamples of the pairs.",
            lambda: intervals(duality), lambda: intervals_table(duality)))
    if "classes" in duality:
        found.append(Plot(
            "classes", name, f"Sharp and flat part of the gap at {name} by class, whose sum over "
            "the classes is the total, and the number of pairs of each class.",
            lambda: classes(duality, labels), lambda: classes_table(duality, labels)))
    return found
