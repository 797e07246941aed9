"""A run killed at any moment leaves a folder that can be resumed, and comes to the same."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import results
import stops
from program import Program

TRIALS = 10

# What may stand in a run's folder at any moment, besides files not yet renamed to their names.
LEFT = {"deck.original", "deck.resolved", "log", "status", "training.h5", "spectrum.h5", "eigensolve.h5", "summary.h5",
        "duality.dense2.h5", "result.h5"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[results.Contents, float]:
    """Return the result of a run that nothing kills, and how long it took."""
    start = time.monotonic()
    contents = stops.undisturbed(tmp_path_factory.mktemp("undisturbed"), "mixed")
    return contents, time.monotonic() - start


@pytest.mark.parametrize("trial", range(TRIALS))
def test_killed_runs_are_resumed(program: Program, expected: tuple[results.Contents, float], trial: int) -> None:
    contents, duration = expected
    random = np.random.default_rng(trial)
    stops.prepare(program.folder, "mixed")
    out = program.folder / "out"
    ranks = 1 + trial % 2
    for delay in random.uniform(0.0, duration, 2):
        running = program.start("run", "deck.toml", "--resume", ranks=ranks)
        time.sleep(delay)
        running.kill()
        for path in out.glob("*"):
            assert path.name in LEFT or path.suffix == ".part", path
    program.succeed("run", "deck.toml", "--resume", ranks=3 - ranks)
    assert sorted(path.name for path in out.iterdir()) == ["deck.original", "deck.resolved", "log", "result.h5",
                                                           "status"]
    assert (out / "status").read_text() == "done\n"
    stops.check_same(contents, results.read(out / "result.h5"))


def test_a_killed_run_says_that_it_runs_and_is_refused_without_resume(program: Program, ranks: int) -> None:
    stops.prepare(program.folder, "training")
    running = program.start("run", "deck.toml", ranks=ranks)
    running.wait_to_say("data: ")
    status: Path = program.folder / "out/status"
    running.wait_until(status.exists, "it had a status")
    running.kill()
    assert status.read_text() == "running\n"
    program.fail(2, "run", "deck.toml", ranks=ranks, said="directory 'out' holds an unfinished run: add --resume")
