"""A clock that is wrong or jumps changes nothing: no run is done twice, none is lost, and the numbers are the same."""

from __future__ import annotations

import datetime
import os
import signal
import struct
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import results
import studies
from program import Program, Running, check_failure, check_success

SHIFTED_CLOCK = os.environ["DUALSCAPE_SHIFTED_CLOCK"]
YEAR = 365 * 86400

#: Each rank goes by a clock of its own, as if on a host of its own.
LAUNCHER = f"""\
#!/bin/bash
export DUALSCAPE_TEST_CLOCK=$1.${{OMPI_COMM_WORLD_RANK:-0}} LD_PRELOAD={SHIFTED_CLOCK}
shift
exec "$@"
"""


class Clocks:
    """The clocks of some ranks, which can be set at any time."""

    def __init__(self, folder: Path, name: str, years: list[float]) -> None:
        self.path = folder / name
        self._files = []
        for rank, shift in enumerate(years):
            Path(f"{self.path}.{rank}").write_bytes(bytes(8))
            self._files.append(os.open(f"{self.path}.{rank}", os.O_WRONLY))
            self.set(rank, shift)

    def set(self, rank: int, years: float) -> None:
        """Shift a rank's clock."""
        os.pwrite(self._files[rank], struct.pack("=q", int(years * YEAR)), 0)

    def program(self, folder: Path) -> Program:
        """Return the program under these clocks."""
        launcher = folder / "clocked"
        launcher.write_text(LAUNCHER)
        launcher.chmod(0o755)
        return Program(folder, wrapper=[str(launcher), str(self.path)])

    def jump_until_the_end(self, running: Running, random: np.random.Generator) -> None:
        """Set the clocks forward and backward, by a year at least, until a command has ended."""
        while running.process.poll() is None:
            for rank in range(len(self._files)):
                self.set(rank, random.choice([-1, 1]) * random.uniform(1, 30))


def years_off(folder: Path) -> list[float]:
    """Return by how many years the dates of all results are wrong."""
    now = datetime.datetime.now(datetime.timezone.utc)
    dates = [results.read(path)["@date"] for path in sorted(folder.glob("runs/*/result.h5"))]
    return [(datetime.datetime.fromisoformat(date.replace("Z", "+00:00")) - now).total_seconds() / YEAR for date in dates]


def times_done(folder: Path) -> list[int]:
    """Return how often each run came to its end."""
    return [path.read_text().count("result.h5 written") for path in sorted(folder.glob("runs/*/log"))]


def test_jumps_while_it_runs_stops_and_continues(program: Program, expected_long: Path) -> None:
    studies.prepare(program.folder, studies.LONG)
    random = np.random.default_rng(1)
    clocks = Clocks(program.folder, "clock", [20, -20])
    clocked = clocks.program(program.folder)
    running = clocked.start("study", "deck.toml", ranks=2)
    for run in ("00000", "00001"):
        status = program.folder / "out/runs" / run / "status"
        running.wait_until(status.exists, f"run {run} began")
    for rank, years in enumerate([-25, 25]):
        clocks.set(rank, years)
    running.send(signal.SIGTERM)
    check_failure(running.finish(), 5, "stopped by a signal with 2 runs left to do")
    running = clocked.start("study", "deck.toml", "--resume", ranks=2)
    # MPI's network libraries measure their clocks' rates against the date when they start.
    running.wait_to_say("2 to do")
    clocks.jump_until_the_end(running, random)
    check_success(running.finish())
    for log in program.folder.glob("out/runs/*/log"):
        assert "training: resumed after epoch" in log.read_text()
    assert all(abs(years) > 0.1 for years in years_off(program.folder / "out"))
    assert times_done(program.folder / "out") == [1, 1]
    studies.check_same(expected_long, program.folder / "out")


def test_two_hosts_whose_clocks_differ_share_a_study(program: Program, expected: Path, pool: Executor) -> None:
    studies.prepare(program.folder, studies.SMALL)
    hosts = {"1/2": Clocks(program.folder, "past", [-20, -10]), "2/2": Clocks(program.folder, "future", [10, 20])}
    outcomes = pool.map(lambda part: hosts[part].program(program.folder)(
        "study", "deck.toml", "--resume", "--part", part, ranks=2), hosts)
    for outcome in outcomes:
        check_success(outcome)
    off = years_off(program.folder / "out")
    # Each of the four ranks may have done some of the six runs; no run went by the right clock, nor all by one.
    assert all(abs(years) > 9 for years in off) and min(off) < 0 < max(off), off
    assert times_done(program.folder / "out") == [1] * studies.RUNS
    program.succeed("collect", "out")
    studies.check_same(expected, program.folder / "out")
    # What the future wrote is not in the way of the present.
    assert "0 to do" in program.succeed("study", "deck.toml", "--resume").out


def test_files_of_any_time(program: Program, expected: Path) -> None:
    studies.prepare(program.folder, studies.SMALL)
    program.succeed("study", "deck.toml", "--only", "0-2")
    everything = sorted((program.folder / "out").rglob("*"))
    for number, path in enumerate(everything):
        moment = [0, 4_000_000_000, 1_000_000_000][number % 3]
        os.utime(path, (moment, moment))
    assert "3 to do" in program.succeed("study", "deck.toml", "--resume").out
    studies.check_same(expected, program.folder / "out")
