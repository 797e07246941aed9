"""A submission: the files in FOLDER/slurm, the sbatch commands, and finding again what is in the queue already."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Sequence

from . import folder_state, job_script, scheduler
from .deck import Deck
from .job_script import Task
from .site_file import Site
from .toml import Problem

CHECKOUT = Path(__file__).resolve().parents[3]


class Request(NamedTuple):
    """What the user asked for."""

    deck: Deck
    site: Site
    output: str | None
    array: int
    petsc_options: Sequence[str]


def job_name(folder: Path) -> str:
    """Return the name by which the jobs of a folder are found again; letters that no tool has to quote."""
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", folder.name).strip("-")[:24]
    return f"ds-{slug}-{hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:8]}"


class Submission:
    """The jobs of one folder."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.folder = request.deck.folder(request.output)
        self.files = self.folder / "slurm"
        self.name = job_name(self.folder)
        self.work = Path.cwd()
        self.program = _program(request.site)
        self._check_request()

    @property
    def scripts(self) -> dict[Path, str]:
        """The job scripts by path, the collecting one last."""
        scripts = {self.files / "job.sh": self._script(self._task)}
        if self.request.array:
            scripts[self.files / "collect.sh"] = self._script(Task("collect", [str(self.folder)], 1, 1))
        return scripts

    def command(self) -> list[str]:
        """Return the sbatch command of the job."""
        site, array = self.request.site, self.request.array
        return [*self._common(self.name, "%A_%a" if array else "%j"), f"--nodes={site.nodes}",
                f"--ntasks-per-node={site.ranks_per_node}", f"--cpus-per-task={site.threads_per_rank}",
                f"--time={site.time}", f"--signal=B:USR1@{site.signal_seconds}",
                *([f"--partition={site.partition}"] if site.partition else []),
                *([f"--array=1-{array}"] if array else []), *site.sbatch, str(self.files / "job.sh")]

    def collect_command(self, number: str) -> list[str]:
        """Return the sbatch command of the job that collects a study after the array `number`, however that ends."""
        site = self.request.site
        partition = site.collect.get("partition", site.partition)
        return [*self._common(f"{self.name}-collect", "collect-%j"), "--nodes=1", "--ntasks=1",
                f"--time={site.collect.get('time', site.time)}", f"--dependency=afterany:{number}",
                "--kill-on-invalid-dep=yes", *([f"--partition={partition}"] if partition else []),
                *site.collect.get("sbatch", site.sbatch), str(self.files / "collect.sh")]

    def check_deck(self) -> None:
        """Let the program check the deck here, where it can run here, so that no job waits for a mistake."""
        command = [self.program, "validate", str(self.request.deck.path), *self._settings()]
        script = f"{job_script.set_up(self.request.site)}set_up && {' '.join(map(shlex.quote, command))}"
        try:
            done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  universal_newlines=True, timeout=120)
        except subprocess.TimeoutExpired:
            print("dualscape: the deck is not checked: the program does not answer here", file=sys.stderr)
            return
        if done.returncode == 2:
            raise Problem(done.stderr.strip().replace("dualscape: ", "", 1))
        if done.returncode != 0:
            print(f"dualscape: the deck is not checked: the program does not run here (status {done.returncode}): "
                  f"{done.stderr.strip()[-500:]}", file=sys.stderr)

    def submit(self) -> str:
        """Put the jobs into the queue unless they are there, and return what was done, in words."""
        self.files.mkdir(parents=True, exist_ok=True)
        with _locked(self.files / "lock"):
            queue = scheduler.jobs_named([self.name, f"{self.name}-collect"])
            found = [job for job in queue if job.name == self.name]
            if found:
                return self._adopt(found, has_collect=len(found) < len(queue))
            self._check_same_deck()
            if folder_state.is_finished(self.folder, self.request.deck.is_study):
                return f"'{self.folder}' is finished; nothing to submit"
            continued = folder_state.has_begun(self.folder)
            self._write_files()
            self._record(None, None)
            number = scheduler.submit(self.command())
            self._record(number, None)
            said = f"job {number} submitted" + (", which continues what is there" if continued else "")
            return said + self._submit_collect(number)

    def _adopt(self, found: Sequence[scheduler.Job], has_collect: bool) -> str:
        number = found[0].number
        states = ", ".join(f"{job.element} {job.state}" for job in found)
        said = f"in the queue already: job {states}; nothing submitted"
        if has_collect or not self.request.array:
            return said
        # An earlier submission came to its end between its two jobs.
        return said + " but what was missing" + self._submit_collect(number)

    def _submit_collect(self, number: str) -> str:
        if not self.request.array:
            return ""
        collect = scheduler.submit(self.collect_command(number))
        self._record(number, collect)
        return f"; job {collect} collects the study after it"

    def _check_request(self) -> None:
        deck, site, array = self.request.deck, self.request.site, self.request.array
        if array and not deck.is_study:
            raise Problem(f"--array splits a study, and '{deck.path}' has no [study]")
        threads = deck.get("numerics", "threads")
        if threads is not None and threads != site.threads_per_rank:
            raise Problem(f"numerics.threads is {threads} in the deck and threads_per_rank is {site.threads_per_rank} in "
                          "the site file; make them the same, or leave it out of the deck")
        ranks_per_run = deck.get("study", "ranks_per_run")
        if isinstance(ranks_per_run, int) and ranks_per_run > site.ranks:
            raise Problem(f"study.ranks_per_run is {ranks_per_run}, and the site file gives a job {site.ranks} ranks "
                          "(nodes x ranks_per_node)")

    def _check_same_deck(self) -> None:
        record, copy = self._read_record(), self.files / "deck.toml"
        if not record or not copy.exists() or not folder_state.has_begun(self.folder):
            return
        before = Deck(copy, record["settings"]).table
        if difference := _difference(before, self.request.deck.table):
            raise Problem(f"'{self.folder}' holds runs of a different deck: {difference}; choose another folder with "
                          "--output, or remove this one")

    def _settings(self) -> list[str]:
        settings = list(self.request.deck.settings)
        if self.request.site.threads_per_rank != 1 and self.request.deck.get("numerics", "threads") is None:
            settings.append(f"numerics.threads={self.request.site.threads_per_rank}")
        return [word for setting in settings for word in ("--set", setting)]

    @property
    def _task(self) -> Task:
        site, options = self.request.site, self.request.petsc_options
        # A copy, so that a deck edited while its job waits changes nothing.
        arguments = [str(self.files / "deck.toml"), *self._settings(), "--output", str(self.folder), "--resume"]
        return Task("study" if self.request.deck.is_study else "run", [*arguments, *(["--", *options] if options else [])],
                    site.nodes, site.ranks, self.request.array)

    def _script(self, task: Task) -> str:
        return job_script.script(self.request.site, task, self.program, self.folder, self.work)

    def _common(self, name: str, log: str) -> list[str]:
        account = self.request.site.account
        place = str(self.files).replace("%", "%%")
        return ["sbatch", "--parsable", f"--job-name={name}", f"--chdir={self.work}", f"--output={place}/{log}.log",
                "--open-mode=append", "--requeue", *([f"--account={account}"] if account else [])]

    def _write_files(self) -> None:
        _write(self.files / "deck.toml", self.request.deck.path.read_text(encoding="utf-8"))
        for path, text in self.scripts.items():
            _write(path, text)

    def _read_record(self) -> dict[str, Any]:
        return read_record(self.folder)

    def _record(self, number: str | None, collect: str | None) -> None:
        earlier = [job for job in self._read_record().get("jobs", []) if job != number]
        record = {"version": 1, "name": self.name, "array": self.request.array, "deck": str(self.request.deck.path.absolute()),
                  "settings": list(self.request.deck.settings), "command": self.command(), "collect": collect,
                  "jobs": earlier + ([number] if number else [])}
        _write(self.files / "submission.json", json.dumps(record, indent=2) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """Return what the last submission of a folder wrote down; empty when there was none."""
    try:
        record = json.loads((folder / "slurm" / "submission.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _program(site: Site) -> str:
    if site.program:
        # A bare name is looked for on the job's PATH, which modules may set.
        return os.path.abspath(os.path.expanduser(site.program)) if "/" in site.program else site.program
    built = Path(os.environ.get("DUALSCAPE_BUILD", CHECKOUT / "build")) / "dualscape"
    return str(built.absolute()) if built.exists() else shutil.which("dualscape") or "dualscape"


def _difference(before: Any, now: Any, key: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            path = f"{key}.{name}" if key else name
            if path != "output.directory" and (found := _difference(before.get(name), now.get(name), path)):
                return found
        return ""
    return "" if before == now else f"{key} was {before!r}, now {now!r}"


def _write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two submissions of a folder from overlapping."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
