"""Study files made of synthetic results, by the contract of inputs/FORMAT.md."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import synthetic
from synthetic import Array, Contents

BATCH = "training.batch_size"
LOSS = "network.loss"
REASON = "4: the spectrum's solver <did not> converge & said \"so\""


def study(axes: dict[str, list[Any]] | None = None, repeats: int = 3,
          failed: tuple[int, ...] = (1,), waiting: tuple[int, ...] = (),
          title: str = "a study of <batches> & \"quotes\"") -> Contents:
    """Make the contents of a study, whose runs are synthetic results of different seeds.

    Parameters
    ----------
    axes
        Values of each key; batch sizes by default. The gap grows along the first axis.
    repeats
        Runs of each point.
    failed, waiting
        Numbers of the runs that failed, or have not begun.
    title
        The deck's title.
    """
    axes = {BATCH: [25, 100, 200, 400]} if axes is None else axes
    points = list(itertools.product(*axes.values()))
    runs = [(point, repeat) for point in range(len(points)) for repeat in range(repeats)]
    status = ["failed" if number in failed else "waiting" if number in waiting else "done"
              for number in range(len(runs))]
    contents = Contents()
    synthetic._add_provenance(contents)
    contents.set_attributes("/", filetype="dualscape-study", title=title,
                            command_line="dualscape study deck.toml --set 'title=\"<b>\"'")
    contents.datasets["deck/original"] = f"title = '{title}'\n"
    contents.datasets["axes/keys"] = list(axes)
    contents.set_attributes("axes", mode="grid", repeats=repeats)
    for position, (key, values) in enumerate(axes.items()):
        contents.datasets[f"axes/values/{key}"] = _column(values)
        contents.datasets[f"runs/parameters/{key}"] = _column(
            [points[point][position] for point, _ in runs])
    contents.datasets.update({
        "runs/number": np.arange(len(runs)), "runs/point": np.array([run[0] for run in runs]),
        "runs/repeat": np.array([run[1] for run in runs]),
        "runs/seed": 1000 + np.arange(len(runs)), "runs/status": status,
        "runs/reason": [REASON if state == "failed" else "" for state in status],
        "runs/folder": [f"runs/{number:05d}" for number in range(len(runs))],
        "runs/seconds": np.where(np.array(status) == "done", 5.0 + np.arange(len(runs)), 0.0),
        "runs/ranks": np.ones(len(runs), np.int64)})
    _stack(contents, [_result(number, point, len(points), axes)
                      if status[number] == "done" else None
                      for number, (point, _) in enumerate(runs)])
    return contents


def _column(values: list[Any]) -> Array | list[str]:
    return values if isinstance(values[0], str) else np.array(values)


def _result(number: int, point: int, points: int, axes: dict[str, list[Any]]) -> Contents:
    """Make a run's result, some with fewer directions than others."""
    result = synthetic.result(shape=(4, 3), count=12 if number % 2 == 0 else 9, pairs=60,
                              sharp=3, epochs=5, seed=number)
    factor = 1 + point / max(points - 1, 1)
    for (group, name), value in result.attributes.items():
        if isinstance(value, float) and group in {"duality/dense2", "loss"} and (
                "accuracy" not in name):
            result.attributes[group, name] = factor * value
    return result


def _stack(contents: Contents, results: list[Contents | None]) -> None:
    scalars: dict[str, list[float]] = {}
    stacked: dict[str, list[Array]] = {}
    for number, result in enumerate(results):
        if result is None:
            continue
        for (group, name), value in result.attributes.items():
            if isinstance(value, (bool, int, float)) and group != "/" and "intervals" not in group:
                row = scalars.setdefault(f"{group}/{name}", [np.nan] * len(results))
                row[number] = float(value)
        for name, value in result.datasets.items():
            if "/directions/" in name or name.endswith("/eigenvalues"):
                rows = stacked.setdefault(name, [np.zeros(0)] * len(results))
                rows[number] = np.asarray(value)
    contents.datasets.update({f"scalars/{name}": np.array(row) for name, row in scalars.items()})
    for name, rows in stacked.items():
        whole = all(row.dtype.kind in "iu" for row in rows if row.size)
        table = np.full((len(rows), max(row.size for row in rows)), -1 if whole else np.nan)
        for number, row in enumerate(rows):
            table[number, :row.size] = row
        contents.datasets[f"arrays/{name}"] = table.astype(np.int64) if whole else table
