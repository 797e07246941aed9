"""The reader of study files; inputs/FORMAT.md describes their layout.

Letters of shapes: R runs, m directions or eigenpairs of the run that has most of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import h5py
import numpy as np

from .files import File
from .groups import Groups
from .node import Array
from .node import attribute_property as _attribute
from .table import Table

DONE = "done"
_RUN_COLUMNS = ("number", "point", "repeat", "seed", "status", "reason", "folder", "seconds",
                "ranks")


class Study(File):
    """A study file, open for reading; `with Study(path) as study` closes it at the end.

    Nothing but the file's type and version is read on opening; arrays are read when they are first
    asked for, and kept. A run that is not done has NaN in place of its numbers.

    >>> with dualscape.Study("runs/batch_size/study.h5") as study:
    ...     gaps = study.groups().statistics(study.scalar("duality/dense2/matched_gap"))
    ...     print(study.axes, gaps.mean, gaps.error)

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ResultError
        If the file is missing, unreadable, of another type or of a version not known here.
    """

    filetype = "dualscape-study"
    expected = "a study.h5 that 'dualscape study' or 'dualscape collect' wrote"
    hints = {
        "dualscape-result": "it holds a single run: open it as a Result",
        "dualscape-checkpoint": "it belongs to an unfinished run: give the study.h5 of the study",
    }

    title = _attribute("title", "The deck's title.")

    @cached_property
    def keys(self) -> list[str]:
        """The deck keys that vary, in the deck's order."""
        return self.array("axes/keys").tolist()

    @cached_property
    def axes(self) -> dict[str, Array]:
        """The values each key takes, in the deck's order."""
        return {key: self.array(f"axes/values/{key}") for key in self.keys}

    @cached_property
    def mode(self) -> str:
        """How several axes go together: grid or zip."""
        return str(self.node("axes").attribute("mode"))

    @cached_property
    def repeats(self) -> int:
        """Runs of each point, which differ in their seed alone."""
        return int(self.node("axes").attribute("repeats"))

    @cached_property
    def runs(self) -> Table:
        """The runs, (R): number, point, repeat, seed, status, reason, folder, seconds, ranks."""
        return Table({name: self.array(f"runs/{name}") for name in _RUN_COLUMNS}, {"seconds": "s"})

    @cached_property
    def parameters(self) -> Table:
        """Each run's values of the keys that vary, (R)."""
        return Table({key: self.array(f"runs/parameters/{key}") for key in self.keys})

    @cached_property
    def done(self) -> Array:
        """Whether a run is done, (R); only done runs enter means."""
        return self.runs["status"] == DONE

    @cached_property
    def status_counts(self) -> dict[str, int]:
        """Number of runs by status, the done ones first."""
        names, counts = np.unique(self.runs["status"], return_counts=True)
        found = dict(zip(names.tolist(), counts.tolist()))
        return {DONE: found.pop(DONE, 0), **found}

    @cached_property
    def scalars(self) -> list[str]:
        """Names of the numbers that each run gives, `loss/test_loss` for instance."""
        return self._names("scalars")

    @cached_property
    def arrays(self) -> list[str]:
        """Names of the stacked arrays, `duality/dense2/directions/sigma_g` for instance."""
        return self._names("arrays")

    @cached_property
    def layers(self) -> list[str]:
        """The layers whose gap was decomposed."""
        return self._children("scalars/duality")

    @cached_property
    def blocks(self) -> list[str]:
        """The blocks whose spectrum was computed."""
        return self._children("scalars/spectrum")

    def scalar(self, name: str) -> Array:
        """Return one number of every run, (R); NaN for the runs that have none.

        Parameters
        ----------
        name
            One of `scalars`.
        """
        return self._kept(f"scalars/{name}")

    def stacked(self, name: str) -> Array:
        """Return an array of every run, (R, m); beyond a run's own values NaN, or -1 for integers.

        Parameters
        ----------
        name
            One of `arrays`.
        """
        return self._kept(f"arrays/{name}")

    def unit(self, name: str) -> str:
        """Return the unit of a scalar, empty for a pure number."""
        unit = self.member(f"scalars/{name}").attrs.get("units", "")
        return "" if unit in ("1", "-") else str(unit)

    @cached_property
    def table(self) -> Table:
        """All runs with their parameters and numbers as one table, (R)."""
        columns = {**self.runs, **self.parameters,
                   **{name: self.scalar(name) for name in self.scalars}}
        return Table(columns, {**self.runs.units, **{name: self.unit(name)
                                                     for name in self.scalars}})

    @cached_property
    def means(self) -> Table:
        """The points with mean, deviation, error and count of each number over their done runs."""
        return self.groups().table({name: self.scalar(name) for name in self.scalars},
                                   {name: self.unit(name) for name in self.scalars})

    def groups(self, by: Sequence[str] | None = None) -> Groups:
        """Group the runs by their values of some keys; repeats and all other keys are averaged.

        Parameters
        ----------
        by
            Keys; all that vary by default, so that a group holds the repeats of one point.
        """
        keys = self.keys if by is None else list(by)
        return Groups(Table({key: self.parameters[key] for key in keys}), self.done)

    def _kept(self, path: str) -> Array:
        if path not in self._cache:
            self._cache[path] = self.array(path)
        return self._cache[path]

    @cached_property
    def _cache(self) -> dict[str, Array]:
        return {}

    def _children(self, group: str) -> list[str]:
        return list(self.member(group)) if group in self else []

    def _names(self, group: str) -> list[str]:
        names: list[str] = []
        if group in self:
            self.member(group).visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return names

    def _describe(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.status_counts.items())
        return f"{self.title!r}, runs: {counts}, axes {', '.join(self.keys) or 'none'}"
