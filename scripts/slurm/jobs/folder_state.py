"""How far the runs in a folder have come, by their status files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from . import toml


class Run(NamedTuple):
    """A run: its name, and its state (done, running, failed, interrupted, waiting) with the reason."""

    name: str
    state: str
    reason: str


def run_in(folder: Path, name: str) -> Run:
    """Return the state of the run in a folder."""
    has_result = (folder / "result.h5").exists()
    try:
        line = (folder / "status").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return Run(name, "done" if has_result else "waiting", "")
    state, _, reason = line.partition(": ")
    if state == "done" and not has_result:
        return Run(name, "interrupted", "its result is gone")
    return Run(name, state, reason)


def runs_of(folder: Path) -> list[Run]:
    """Return the runs of a study, in their order, or the one run of a run's folder."""
    below = folder / "runs"
    if not below.is_dir():
        return [run_in(folder, folder.name)]
    found = {path.name: run_in(path, path.name) for path in below.iterdir() if path.is_dir()}
    # A run that nobody has begun has no folder yet.
    for number in range(number_of_runs(folder)):
        name = f"{number:05}"
        found.setdefault(name, Run(name, "waiting", ""))
    return sorted(found.values(), key=lambda run: (len(run.name), run.name))


def has_begun(folder: Path) -> bool:
    """Return whether a run or study has written into a folder."""
    return (folder / "status").exists() or (folder / "deck.resolved").exists() or (folder / "runs").is_dir()


def number_of_runs(folder: Path) -> int:
    """Return how many runs the study in a folder has: its resolved deck lists the values of every axis."""
    try:
        study = toml.read(folder / "deck.resolved")["study"]
        counts = [len(axis["values"]) for axis in study.get("axes", [])]
        points = min(counts, default=1) if study.get("mode") == "zip" else math.prod(counts)
        return points * int(study.get("repeats", 1))
    except (toml.Problem, KeyError, TypeError, ValueError):
        return 0


def is_finished(folder: Path, is_study: bool) -> bool:
    """Return whether nothing is left to do."""
    if not is_study:
        return run_in(folder, "").state == "done"
    runs = runs_of(folder)
    return ((folder / "study.h5").exists() and len(runs) >= max(1, number_of_runs(folder))
            and all(run.state == "done" for run in runs))
