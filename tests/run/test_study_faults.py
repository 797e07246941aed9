"""Whatever happens to a study, it can be resumed, and comes to the same to the last bit."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import time
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import pytest
import results
import studies
from program import PATIENCE, Outcome, Program, Running, check_failure, check_success

#: Studies killed at random moments; each is resumed to its end.
TRIALS = 52


def kill_and_resume(folder: Path, trial: int) -> tuple[int, str]:
    """Kill a study a moment after so many of its runs have begun and resume it.

    Return how many had begun and what it said.
    """
    folder.mkdir()
    studies.prepare(folder, studies.SMALL)
    program = Program(folder)
    random = np.random.default_rng(trial)
    running = program.start("study", "deck.toml", ranks=2 if trial % 8 == 0 else 1)
    lock = folder / "out/lock"
    running.wait_until(lock.exists, "it had its folder")

    def begun() -> int:
        return len(list(folder.glob("out/runs/*")))

    running.wait_until(lambda: begun() >= trial % (studies.RUNS + 1), "it had begun its runs")
    time.sleep(random.uniform(0.0, 0.08))
    running.kill()
    return begun(), check_success(program("study", "deck.toml", "--resume", ranks=1 + (trial % 8 == 4))).out


def test_killed_at_any_moment(expected: Path, tmp_path: Path, pool: Executor) -> None:
    folders = [tmp_path / f"trial{trial}" for trial in range(TRIALS)]
    begun = [begun for begun, _ in pool.map(kill_and_resume, folders, range(TRIALS))]
    # The moments hit the study before, in and after its runs.
    assert all(count >= trial % (studies.RUNS + 1) for trial, count in enumerate(begun)), begun
    for folder in folders:
        studies.check_same(expected, folder / "out")


def start_long(program: Program, ranks: int) -> Running:
    """Start the long study and return once all its runs are at work, or the first when there is one rank."""
    studies.prepare(program.folder, studies.LONG)
    running = program.start("study", "deck.toml", ranks=ranks)
    for run in range(ranks):
        status = program.folder / f"out/runs/{run:05}/status"
        running.wait_until(status.exists, f"run {run} began")
    return running


def test_a_single_rank_is_killed(program: Program, expected_long: Path) -> None:
    running = start_long(program, 2)
    os.kill(running.rank_ids()[1], signal.SIGKILL)
    assert running.finish().code not in (0, 2, 3, 5)
    # The launcher may be gone a moment before the rank it ends.
    end = time.monotonic() + PATIENCE
    while "running" in studies.states(program) and time.monotonic() < end:
        time.sleep(0.05)
    # The other rank may have finished its run before the launcher ended it.
    states = studies.states(program)
    assert "interrupted" in states and set(states) <= {"interrupted", "done"}
    program.succeed("study", "deck.toml", "--resume", ranks=2)
    studies.check_same(expected_long, program.folder / "out")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_stops_all_groups_in_order(program: Program, expected_long: Path, number: signal.Signals) -> None:
    running = start_long(program, 2)
    if number is signal.SIGUSR2:
        # To one rank alone: the other groups hear of it.
        os.kill(running.rank_ids()[1], number)
    else:
        running.send(number)
    outcome = running.finish()
    check_failure(outcome, 5, "stopped by a signal with 2 runs left to do; continue with --resume")
    study = results.read(program.folder / "out/study.h5")
    assert list(study["runs/status"]) == [b"interrupted"] * 2
    # On a busy machine a run may be past its training by then: it is stopped there, as orderly.
    reasons = study["runs/reason"]
    assert all(re.match(rb"stopped by a signal (during|before) ", reason) for reason in reasons), list(reasons)
    assert len(list(program.folder.glob("out/runs/*/training.h5"))) == 2
    program.succeed("study", "deck.toml", "--resume", ranks=1)
    for run, reason in enumerate(reasons):
        if b"during the training, after epoch" in reason:
            assert "training: resumed after epoch" in (program.folder / f"out/runs/{run:05}/log").read_text()
    studies.check_same(expected_long, program.folder / "out")


def test_a_damaged_checkpoint_is_noticed_and_made_anew(program: Program, expected_long: Path) -> None:
    check_failure(stopped(program), 5, "stopped by a signal")
    first, second = sorted(program.folder.glob("out/runs/*/training.h5"))
    first.write_bytes(first.read_bytes()[:-100])
    damaged = bytearray(second.read_bytes())
    # A bit of a weight: the file stays a good HDF5 file.
    damaged[weight_offset(second)] ^= 0x10
    second.write_bytes(damaged)
    program.succeed("study", "deck.toml", "--resume", ranks=2)
    for run in ("00000", "00001"):
        log = (program.folder / "out/runs" / run / "log").read_text()
        assert "training.h5" in log and "warning" in log, log
        assert "training: resumed" not in log
    studies.check_same(expected_long, program.folder / "out")


def test_a_damaged_result_is_noticed_and_made_anew(program: Program, expected: Path) -> None:
    studies.prepare(program.folder, studies.SMALL)
    program.succeed("study", "deck.toml", ranks=2)
    cut, changed, empty, gone, *_ = sorted(program.folder.glob("out/runs/*/result.h5"))
    cut.write_bytes(cut.read_bytes()[:-1000])
    damaged = bytearray(changed.read_bytes())
    damaged[weight_offset(changed)] ^= 0x01
    changed.write_bytes(damaged)
    empty.write_bytes(b"")
    gone.unlink()
    outcome = program("study", "deck.toml", "--resume", ranks=2)
    assert outcome.code == 0 and "4 to do" in outcome.out, outcome
    for path in (cut, changed, empty):
        assert re.search(rf"warning: .*{path.relative_to(program.folder)}'.*; the run is done anew", outcome.err), outcome
    assert "is damaged: its contents do not have the checksum they were stored with" in outcome.err
    studies.check_same(expected, program.folder / "out")
    # The same of a single run.
    changed.write_bytes(damaged)
    outcome = program("run", "out/runs/00001/deck.resolved", "--resume")
    assert outcome.code == 0 and "the run is done anew" in outcome.err, outcome
    assert "the run is done anew" in (changed.parent / "log").read_text()
    assert "nothing to do" in program.succeed("run", "out/runs/00001/deck.resolved", "--resume").out
    studies.check_same(expected, program.folder / "out")


def stopped(program: Program) -> Outcome:
    """Run the long study until a signal stops both of its runs."""
    running = start_long(program, 2)
    running.send(signal.SIGTERM)
    return running.finish()


def weight_offset(path: Path) -> int:
    """Return where the first weight of a checkpoint is in its file."""
    return path.read_bytes().index(results.read(path)["model/dense1/weight"].tobytes())


def test_two_studies_on_one_folder(program: Program, expected_long: Path) -> None:
    running = start_long(program, 1)
    host, pid = os.uname().nodename, running.process.pid
    os.kill(pid, signal.SIGSTOP)
    outcome = program("study", "deck.toml", "--resume")
    check_failure(outcome, 2, f"directory 'out' is in use: a study is at work in it (host {host}, process {pid}, since ")
    check_failure(program("study", "deck.toml", "--only", "1"), 2, "a study is at work in it")
    assert studies.states(program) == ["running", "waiting"]
    program.succeed("collect", "out")
    assert list(results.read(program.folder / "out/study.h5")["runs/status"]) == [b"running", b"waiting"]
    os.kill(pid, signal.SIGCONT)
    check_success(running.finish())
    studies.check_same(expected_long, program.folder / "out")


def test_a_run_that_another_job_has_is_left_to_it(program: Program) -> None:
    studies.prepare(program.folder, studies.LONG)
    first = program.start("study", "deck.toml", "--only", "0")
    first.wait_until((program.folder / "out/runs/00000/status").exists, "its run began")
    os.kill(first.process.pid, signal.SIGSTOP)
    check_failure(program("study", "deck.toml", "--resume", "--only", "0"), 5, "1 run is at work in another job")
    os.kill(first.process.pid, signal.SIGCONT)
    check_success(first.finish())


def limit_files(size: int) -> None:
    """Let this process write no file beyond a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk(program: Program, expected: Path) -> None:
    disk = program.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(disk)],
                             capture_output=True, check=False)
    studies.prepare(program.folder, studies.SMALL)
    if mounted.returncode == 0:
        try:
            (disk / "ballast").write_bytes(bytes(700_000))
            full(program, expected, disk, "No space left on device")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    else:
        print(f"no tmpfs ({mounted.stderr.decode().strip()}): a limit on the size of files stands in for it")
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        full(program, expected, disk, "File too large", limit)


def full(program: Program, expected: Path, disk: Path, reason: str, limit: tuple[int, int] | None = None) -> None:
    """Run the small study where its results cannot be written, then where they can."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limit[1]))
    outcome = program("study", "deck.toml", "--output", "disk/out")
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert outcome.code == 4, outcome
    assert reason in outcome.err, outcome
    (disk / "ballast").unlink(missing_ok=True)
    if not limit:
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    program.succeed("study", "deck.toml", "--output", "disk/out", "--resume")
    one, two = (studies.numbers(folder / "study.h5") for folder in (expected, disk / "out"))
    studies.check_same_contents({**one, "deck/resolved": b""}, {**two, "deck/resolved": b""})
