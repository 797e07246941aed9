"""The program as a user meets it: a command, at some number of ranks, that must come to an end."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

PROGRAM = os.environ.get("DUALSCAPE_PROGRAM", "dualscape")
MPIEXEC = os.environ.get("DUALSCAPE_MPIEXEC", "mpirun")

os.environ["OMPI_MCA_ess_singleton_isolated"] = "1"
# Once a rank has ended with a status, mpirun would give the others a whole second to end, however soon they do.
# All of ours have passed MPI_Finalize together by then.
os.environ["OMPI_MCA_odls_base_sigkill_timeout"] = "0"

#: Seconds a command may take. The longest one here takes a few; the rest is for a busy machine.
PATIENCE = 90.0


@dataclass(frozen=True)
class Outcome:
    """What a finished command left."""

    command: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return (f"{self.command}\nexit status {self.code}\n--- standard output\n{self.out}"
                f"--- standard error\n{self.err}")


class Running:
    """A command under way."""

    def __init__(self, command: list[str], folder: Path, ranks: int) -> None:
        self.command = " ".join(command)
        self.ranks = ranks
        self._files: list[IO[bytes]] = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        # Open MPI's processes meet in a folder of the user's that two of them must not make at the same
        # moment: each command gets one of its own.
        self._session = tempfile.TemporaryDirectory(prefix="ds", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=self._files[0], stderr=self._files[1],
                                        env={**os.environ, "OMPI_MCA_orte_tmpdir_base": self._session.name})

    def said(self) -> str:
        """Return its standard output so far."""
        return self._text(0)

    def _text(self, stream: int) -> str:
        descriptor = self._files[stream].fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Return as soon as a condition holds; it must come to hold while the command runs."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None:
                pytest.fail(f"ended before {what}:\n{self.finish()}")
            if time.monotonic() > end:
                self._fail_hanging(f"waited {PATIENCE:.0f} s for {what}")
            time.sleep(0.002)

    def wait_to_say(self, text: str) -> None:
        """Return as soon as a text is on standard output."""
        self.wait_until(lambda: text in self.said(), f"it said '{text}'")

    def rank_ids(self) -> list[int]:
        """Return the process ids of its ranks."""
        if self.ranks == 1:
            return [self.process.pid]
        return children_of(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every rank, as a batch system does."""
        for pid in self.rank_ids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # The first rank's signal has ended them all.

    def kill(self) -> None:
        """End every rank and what started them, at once."""
        for pid in [*self.rank_ids(), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def finish(self) -> Outcome:
        """Wait for the end."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._fail_hanging(f"not at its end after {PATIENCE:.0f} s")
        return Outcome(self.command, code, self.said(), self._text(1))

    def _fail_hanging(self, why: str) -> None:
        self.kill()
        pytest.fail(f"HANG: {why}: {self.command}\n{self.said()}{self._text(1)}")


def children_of(pid: int) -> list[int]:
    """Return the processes a process started."""
    children = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # pid (name) state parent ...: a name may hold anything, parentheses too.
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if int(parent) == pid:
            children.append(int(entry.name))
    return sorted(children)


class Program:
    """Runs commands in a folder. A wrapper is a command that starts each rank."""

    def __init__(self, folder: Path, wrapper: Sequence[str] = ()) -> None:
        self.folder = folder
        self._wrapper = wrapper

    def start(self, *arguments: object, ranks: int = 1) -> Running:
        """Start a command. One rank runs without the MPI launcher, and without MPI starting one for it."""
        launcher = [MPIEXEC, "-q", "--oversubscribe", "-np", str(ranks)] if ranks > 1 else []
        return Running([*launcher, *self._wrapper, PROGRAM, *map(str, arguments)], self.folder, ranks)

    def __call__(self, *arguments: object, ranks: int = 1) -> Outcome:
        """Run a command to its end."""
        return self.start(*arguments, ranks=ranks).finish()

    def succeed(self, *arguments: object, ranks: int = 1) -> Outcome:
        """Run a command that must end with status 0 and nothing on standard error."""
        return check_success(self(*arguments, ranks=ranks))

    def fail(self, code: int, *arguments: object, ranks: int = 1, said: str) -> Outcome:
        """Run a command that must end with this status and one message, with `said` in it."""
        return check_failure(self(*arguments, ranks=ranks), code, said)


def check_success(outcome: Outcome) -> Outcome:
    """Check that a command ended with status 0 and nothing on standard error."""
    assert outcome.code == 0, outcome
    assert outcome.err == "", outcome
    return outcome


def check_failure(outcome: Outcome, code: int, said: str) -> Outcome:
    """Check status and message: one, from one rank, in words, and nothing else on standard error."""
    assert outcome.code == code, outcome
    assert said in outcome.err, outcome
    assert outcome.err.startswith("dualscape: "), outcome
    assert outcome.err.count("dualscape: ") == 1, outcome
    for noise in ("HDF5-DIAG", "PETSC ERROR", "Backtrace", "what():", "MPI_ABORT", "mpirun"):
        assert noise not in outcome.err, outcome
    return outcome
