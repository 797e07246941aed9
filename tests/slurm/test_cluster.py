"""Runs and studies on a real cluster of two nodes, and what may befall them there."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import results
import stops
from cluster import Cluster
from decks import write_data, write_deck
from program import Outcome, Program
from submitting import HARMFUL, call, write_site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose name has to be quoted, with data.h5."""
    path = tmp_path / HARMFUL
    path.mkdir()
    write_data(path / "data.h5")
    return path


class User:
    """Somebody on the login node, in a folder."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder

    def call(self, script: str, *words: object) -> Outcome:
        """Run one of the scripts."""
        return call(script, *words, folder=self.folder, environment=self.cluster.environment)

    def submit(self, *words: object) -> str:
        """Submit and return the number of the job."""
        outcome = self.call("submit", "deck.toml", "site.toml", *words)
        assert outcome.code == 0 and outcome.err == "", outcome
        return re.search(r"job (\d+) submitted", outcome.out)[1]

    def log(self, name: str) -> str:
        """Return what a job wrote."""
        return (self.folder / "out" / "slurm" / f"{name}.log").read_text()

    def check_completed(self, number: str, log: str) -> dict[str, str]:
        """Wait for the end of a job, which must be a good one."""
        record = self.cluster.wait_for_state(number, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        assert record["JobState"] == "COMPLETED" and record["ExitCode"] == "0:0", self.log(log)
        return record


@pytest.fixture
def user(cluster: Cluster, folder: Path) -> User:
    """Return a user in the folder."""
    return User(cluster, folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result of a run of some seconds that nothing stops."""
    return stops.undisturbed(tmp_path_factory.mktemp("training"), "training")


def check_no_harm(folder: Path) -> None:
    """Check that nothing took a part of a name for a command."""
    assert not [path for place in (folder, folder / "out", folder.parent, Path.home()) for path in place.glob("harm*")]


@pytest.mark.parametrize(("launcher", "options"), [("srun", ["--mpi=pmix"]), ("mpirun", ["-q", "--map-by", "ppr:1:node"])])
def test_a_run_on_two_nodes(user: User, launcher: str, options: list[str], expected: results.Contents) -> None:
    write_deck(user.folder / "deck.toml", title=HARMFUL, **stops.LONG["training"])
    write_site(user.folder / "site.toml", launcher=launcher, launcher_options=options)
    number = user.submit()
    user.check_completed(number, number)
    found = results.read(user.folder / "out/result.h5")
    assert found["@ranks"] == 2
    stops.check_same(expected, found)
    check_no_harm(user.folder)
    assert "is finished; nothing to submit" in user.call("submit", "deck.toml", "site.toml").out


def test_the_time_limit(user: User, expected: results.Contents) -> None:
    stops.prepare(user.folder, "training")
    write_site(user.folder / "site.toml")
    number = user.submit()
    status = user.folder / "out/status"
    user.cluster.wait_until(lambda: status.exists() and status.read_text() == "running\n", "the run to be at work")
    time.sleep(0.2)
    # What SLURM sends when the end is near; to the batch script, as --signal=B: does.
    user.cluster.run("scancel", "--batch", "--signal=USR1", number)
    again = user.call("submit", "deck.toml", "site.toml")
    assert re.search(rf"in the queue already: job {number} \w+; nothing submitted", again.out), again
    record = user.check_completed(number, number)
    log = user.log(number)
    assert record["Restarts"] == "1", log
    assert re.search(r"got USR1 .*stopped by a signal during the training.*status 5.*back to the queue, try 1 of 20.*"
                     r"start 1 on .*training: resumed after epoch \d+.*done\n", log, re.DOTALL), log
    stops.check_same(expected, results.read(user.folder / "out/result.h5"))
    check_no_harm(user.folder)
