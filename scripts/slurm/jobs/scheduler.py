"""SLURM's commands: what is in the queue, and what goes into it."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple, Sequence


class SchedulerError(Exception):
    """SLURM did not do as asked; the text says what it said."""


class Job(NamedTuple):
    """A job, or elements of an array, in the queue.

    `number` is that of the whole array, `element` names the elements as well, such as 12_[3-7].
    """

    number: str
    element: str
    name: str
    state: str
    elapsed: str
    reason: str


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    except OSError as error:
        raise SchedulerError(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise SchedulerError(f"{command[0]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def jobs_named(names: Sequence[str]) -> list[Job]:
    """Return the jobs of these names that wait, run or come to their end."""
    text = _run(["squeue", "--noheader", f"--name={','.join(names)}", "--format=%F|%i|%j|%T|%M|%R"])
    return [Job(*line.split("|", 5)) for line in text.splitlines()]


def submit(command: Sequence[str]) -> str:
    """Run an sbatch command, which must have --parsable, and return the job's number."""
    text = _run(command)
    # number[;cluster], after whatever a site's submission filter has to say.
    match = re.search(r"^(\d+)(?:;\S+)?$", text, re.MULTILINE)
    if not match:
        raise SchedulerError(f"sbatch gave no job number but: {text.strip()}")
    return match[1]
