"""One screen on a folder: its runs by their state, why some failed, its jobs."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Sequence

from . import folder_state, scheduler
from .folder_state import Run
from .submission import job_name, read_record
from .toml import Problem

STATES = ("done", "running", "failed", "interrupted", "waiting")

#: Different reasons that are listed; the rest is counted.
MOST_REASONS = 12


def report(folder: Path) -> str:
    """Return the screen."""
    record = read_record(folder)
    if not record and not folder_state.has_begun(folder):
        raise Problem(f"'{folder}' is no folder of a run or study, and nothing was submitted to it")
    runs = folder_state.runs_of(folder)
    name = record.get("name") or job_name(folder)
    try:
        queue = scheduler.jobs_named([name, f"{name}-collect"])
        if not any(job.state == "RUNNING" for job in queue):
            runs = [_without_job(run) for run in runs]
        jobs = [_describe(job, name) for job in queue] or ["none in the queue"]
        jobs += [] if queue else _last_log(folder, record)
    except scheduler.SchedulerError as error:
        jobs = [f"unknown: {error}"]
    kind = f"study of {len(runs)} runs" if (folder / "runs").is_dir() else "run"
    lines = [f"{folder}: {kind}", "  " + ", ".join(_counts(runs)), *_reasons(runs), "jobs"]
    width = max(60, shutil.get_terminal_size().columns)
    return "\n".join(_wrap(line, width) for line in [*lines, *("  " + job for job in jobs)])


def _without_job(run: Run) -> Run:
    if run.state != "running":
        return run
    return Run(run.name, "interrupted", "it was at work, and no job of it is running; submit again to continue")


def _counts(runs: Sequence[Run]) -> list[str]:
    return [f"{sum(run.state == state for run in runs)} {state}" for state in STATES]


def _reasons(runs: Sequence[Run]) -> list[str]:
    lines = []
    for state in ("failed", "interrupted"):
        names: dict[str, list[str]] = {}
        for run in runs:
            if run.state == state:
                names.setdefault(run.reason or "no reason is known", []).append(run.name)
        if names:
            lines.append(state)
        lines += [f"  {_list(each)}: {reason}" for reason, each in list(names.items())[:MOST_REASONS]]
        if len(names) > MOST_REASONS:
            lines.append(f"  and for {len(names) - MOST_REASONS} more reasons")
    return lines


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _describe(job: scheduler.Job, name: str) -> str:
    what = "" if job.name == name else " (collects the study)"
    return f"{job.element}{what}  {job.state}  {job.elapsed}  {job.reason}"


def _last_log(folder: Path, record: dict[str, object]) -> list[str]:
    numbers = record.get("jobs")
    if not isinstance(numbers, list) or not numbers:
        return []
    logs = sorted((folder / "slurm").glob(f"{numbers[-1]}*.log"))
    lines = []
    for log in logs[:MOST_REASONS]:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        lines.append(f"last words of {log.name}: {said[-1] if said else 'none'}")
    return lines


def _wrap(line: str, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
