"""Runs of a study in groups, and their statistics over the repeats.

Letters of shapes: R runs, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .node import Array
from .table import Table


@dataclass(frozen=True)
class Statistics:
    """Statistics of the done runs of each group; all are (G, ...).

    Attributes
    ----------
    mean
        Mean over the runs that have a value; NaN where none has.
    deviation
        Standard deviation of one run, the sum of squares over count - 1; NaN below two runs.
    error
        Standard error of the mean: deviation/sqrt(count).
    count
        Runs that have a value.
    """

    mean: Array
    deviation: Array
    error: Array
    count: Array


class Groups:
    """Runs grouped by the values of some keys, in the order in which they first occur.

    Parameters
    ----------
    parameters
        Each run's values of the keys, (R); without keys all runs are one group.
    done
        Whether a run is done, (R); the others are left out of all statistics.

    Attributes
    ----------
    values : Table
        The groups' values of the keys, (G).
    member : Array
        Each run's group, (R).
    done : Array
        Done runs of each group, (G).
    left_out : Array
        Its other runs: failed, interrupted, running or waiting, (G).
    """

    def __init__(self, parameters: Table, done: Array) -> None:
        found: dict[tuple[object, ...], int] = {}
        rows = list(parameters.records()) if len(parameters) else [()] * done.size
        self.member = np.array([found.setdefault(row, len(found)) for row in rows], np.int64)
        first = np.unique(self.member, return_index=True)[1]
        self.values = parameters.select(first)
        self._done = done
        self.done = np.bincount(self.member[done], minlength=len(found))
        self.left_out = np.bincount(self.member[~done], minlength=len(found))

    def __len__(self) -> int:
        return self.done.size

    def statistics(self, values: Array) -> Statistics:
        """Average over the done runs of each group.

        Parameters
        ----------
        values
            One value or one array a run, (R, ...); NaN where there is none.
        """
        data, member = np.asarray(values, np.float64)[self._done], self.member[self._done]
        there = np.isfinite(data)
        count = self._sums(there.astype(np.int64), member)
        # Where there is nothing to divide by, the quotient is NaN, which stands for no value.
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._sums(np.where(there, data, 0), member) / count
            squares = self._sums(np.where(there, data - mean[member], 0)**2, member)
            deviation = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
            return Statistics(mean, deviation, deviation / np.sqrt(count), count)

    def _sums(self, data: Array, member: Array) -> Array:
        """Add up the runs of each group."""
        sums = np.zeros((len(self), *data.shape[1:]), data.dtype)
        np.add.at(sums, member, data)
        return sums

    def table(self, values: Mapping[str, Array], units: Mapping[str, str] | None = None) -> Table:
        """Return the groups and their statistics as a table.

        Parameters
        ----------
        values
            One value a run, (R), by name.
        units
            Their units by name.
        """
        columns: dict[str, Array] = {**self.values, "done": self.done, "left_out": self.left_out}
        of_columns: dict[str, str] = {}
        for name, data in values.items():
            statistics = self.statistics(data)
            for ending in ("mean", "deviation", "error", "count"):
                columns[f"{name}:{ending}"] = getattr(statistics, ending)
                if ending != "count":
                    of_columns[f"{name}:{ending}"] = (units or {}).get(name, "")
        return Table(columns, of_columns)
