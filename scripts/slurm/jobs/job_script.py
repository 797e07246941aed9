"""Job scripts: values quoted for bash, then the part that is the same in every job (job.sh)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple, Sequence

from .site_file import Site

BODY = Path(__file__).with_name("job.sh")

#: The function `module` of a login shell, in a shell that is none.
FIND_MODULE = """\
  if ! type module >/dev/null 2>&1; then
    for file in "${MODULESHOME:-/nowhere}/init/bash" /etc/profile.d/lmod.sh /etc/profile.d/modules.sh; do
      if [ -r "$file" ]; then . "$file"; break; fi
    done
  fi"""


class Task(NamedTuple):
    """What a job does: a command of dualscape with its arguments, and how many ranks do it.

    With `array`, it is an element of an array of so many jobs, which share a study.
    """

    command: str
    arguments: Sequence[str]
    nodes: int
    ranks: int
    array: int = 0


def set_up(site: Site) -> str:
    """Return a bash function that loads the site's modules and sets its environment."""
    lines = [FIND_MODULE] if site.modules else []
    lines += [f"  module load {shlex.quote(name)} || return 1" for name in site.modules]
    threads = str(site.threads_per_rank)
    variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, **site.environment}
    lines += [f"  export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "set_up() {\n" + "\n".join(lines) + "\n}\n"


def launcher(site: Site, task: Task) -> list[str]:
    """Return the command that starts the ranks."""
    if site.launcher == "mpirun":
        return ["mpirun", "-np", str(task.ranks), *site.launcher_options]
    # A step does not take the job's processors per task over, and does take the job's --export. --wait: ranks whose
    # fellow is gone do not wait for it to the end of the job.
    return ["srun", "--export=ALL", f"--nodes={task.nodes}", f"--ntasks={task.ranks}",
            f"--cpus-per-task={site.threads_per_rank}", "--kill-on-bad-exit=0", "--wait=60", *site.launcher_options]


def script(site: Site, task: Task, program: str, folder: Path, work: Path) -> str:
    """Return the text of a job script.

    Parameters
    ----------
    site, task
        The machine's ways and what is to be done.
    program
        The dualscape to run.
    folder, work
        Absolute: the folder of the run or study, and the one in which relative paths of the deck start.
    """
    part = f' --part "$SLURM_ARRAY_TASK_ID/{task.array}"' if task.array else ""
    return "\n".join([
        "#!/bin/bash",
        "# dualscape under SLURM; written by scripts/slurm/submit, whose sbatch command is in submission.json.",
        f"work={shlex.quote(str(work))}",
        f"folder={shlex.quote(str(folder))}",
        f"lock={shlex.quote(_lock(task, folder))}",
        f"tries={site.tries}",
        f"launcher=({_words(launcher(site, task))})",
        f"command=({_words([program, task.command])}{part} {_words(task.arguments)})",
        set_up(site),
        BODY.read_text(encoding="utf-8"),
    ])


def _lock(task: Task, folder: Path) -> str:
    if task.command == "run":
        return str(folder)
    return str(folder / "lock") if task.command == "study" and not task.array else ""


def _words(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))
