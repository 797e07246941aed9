"""The page on a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..figures import study_plots
from ..groups import Groups, Statistics
from ..study import DONE, Study
from .markup import Html, cards, element, join, number, table
from .page import closing, figures, origin, page

MOST_FIGURES = 24

_PARTS = (("matched gap", "matched_gap"), (Html("ΔL<sub>s</sub>, sharp"), "sharp_contribution"),
          (Html("ΔL<sub>f</sub>, flat"), "flat_contribution"))
_LOSSES = (("training loss", "train_loss"), ("test loss", "test_loss"),
           ("training accuracy", "train_accuracy"), ("test accuracy", "test_accuracy"))


def study_page(study: Study) -> str:
    """Make the page on a study.

    Parameters
    ----------
    study
        The open study.

    Returns
    -------
    str
        The whole page.
    """
    title = study.title or "A study of dualscape"
    axes = [f"{key} = {', '.join(map(str, values.tolist()))}" for key, values in
            study.axes.items()]
    lead = [f"{'; '.join(axes) or 'no axis'}; {study.repeats} repeats of each point",
            *origin(study)]
    sections = [("Runs by status", _status(study)), ("Not done", _failures(study)),
                ("Means over the repeats", _means(study)),
                ("Figures", _figures(study)), ("All runs", _runs(study))]
    return page(title, lead, [*sections, *closing(study)])


def _status(study: Study) -> Html:
    seconds = float(np.nansum(study.runs["seconds"][study.done]))
    return cards([("runs", study.done.size), *study.status_counts.items(),
                  ("seconds of the done runs", seconds)])


def _failures(study: Study) -> Html:
    if study.done.all():
        return Html("")
    rest = study.runs.select(~study.done)
    parameters = study.parameters.select(~study.done)
    rows = [(folder, _point(parameters, row), status, reason) for row, (folder, status, reason)
            in enumerate(zip(rest["folder"].tolist(), rest["status"].tolist(),
                             rest["reason"].tolist()))]
    count = element("p", f"{rest.rows} of {study.done.size} runs are not done; they are left out "
                    "of all means and figures.", class_="warn")
    return join([count, table("Runs that are not done, and why",
                              ("run", "point", "status", "reason"), rows, True)])


def _point(parameters: dict[str, Sequence[object]], row: int) -> str:
    return ", ".join(f"{key} = {number(values[row].item())}"
                     for key, values in parameters.items()) or "–"


def _figures(study: Study) -> Html:
    plots = study_plots(study)
    rest = [plot.name for plot in plots[MOST_FIGURES:]]
    note = element("p", f"{len(rest)} more figures are made by 'python3 -m dualscape figures': "
                   f"{', '.join(rest)}.") if rest else ""
    return join([figures(plots[:MOST_FIGURES]), note])


def _means(study: Study) -> Html:
    if not study.done.any():
        return Html("")
    groups = study.groups()
    made = [_means_table(groups, "Losses and accuracies", [
        (label, groups.statistics(study.scalar(f"loss/{name}"))) for label, name in _LOSSES])]
    for layer in study.layers:
        made.append(_means_table(groups, f"The gap at {layer}, in units of the loss", [
            (label, groups.statistics(study.scalar(f"duality/{layer}/{name}")))
            for label, name in _PARTS]))
    return join(made)


def _means_table(groups: Groups, what: str,
                 columns: Sequence[tuple[object, Statistics]]) -> Html:
    keys = list(groups.values)
    rows = []
    for group in range(len(groups)):
        point = [groups.values[key][group].item() for key in keys] or ["all runs"]
        runs = groups.done[group] + groups.left_out[group]
        rows.append((*point, f"{groups.done[group]}\u00a0of\u00a0{runs}",
                     *(_mean(statistics, group) for _, statistics in columns)))
    return table(f"{what}: mean ± standard error (standard deviation) over the done runs",
                 (*(keys or ["point"]), "done", *(label for label, _ in columns)), rows, True)


def _mean(statistics: Statistics, group: int) -> str:
    mean, error = float(statistics.mean[group]), float(statistics.error[group])
    if statistics.count[group] < 2:
        return number(mean)
    return f"{mean:.5g} ± {error:.2g} ({statistics.deviation[group]:.2g})".replace("-", "−")


def _runs(study: Study) -> Html:
    layer = study.layers[0] if study.layers else None
    gap = study.scalar(f"duality/{layer}/matched_gap") if layer else None
    runs, parameters = study.runs, study.parameters
    headings = ["run", *study.keys, "repeat", "seed", "status", "seconds", "test loss"]
    test_loss = study.scalar("loss/test_loss") if "loss/test_loss" in study.scalars else None
    rows = []
    for row in range(runs.rows):
        cells = [runs["folder"][row].item(), *(parameters[key][row].item() for key in study.keys),
                 runs["repeat"][row].item(), runs["seed"][row].item(), _mark(runs["status"][row]),
                 runs["seconds"][row].item() if study.done[row] else None,
                 None if test_loss is None else float(test_loss[row])]
        rows.append(cells if gap is None else [*cells, float(gap[row])])
    if gap is not None:
        headings.append(f"matched gap, {layer}")
    return table("All runs", headings, rows, True)


def _mark(status: str) -> str:
    """Put a sign before the word, for those who skim."""
    return f"{'✓' if status == DONE else '✗' if status == 'failed' else '…'} {status}"
