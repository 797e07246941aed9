"""Runs and studies on a real cluster of two nodes, and what may befall them there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import results
import stops
from cluster import Cluster
from decks import write_data, write_deck
from program import Outcome, Program
from submitting import HARMFUL, call, write_site


#: Epochs of half a millisecond, most of a second in all.
RUN: dict[str, Any] = {**stops.LONG["training"], "title": HARMFUL,
                       "training": {**stops.LONG["training"]["training"], "max_epochs": 1500}}

AXES = [{"key": "training.learning_rate", "values": [0.01, 0.02, 0.04]}, {"key": "training.batch_size", "values": [4, 5]}]
STUDY = {**RUN, "study": {"axes": AXES}}

LAUNCHERS = {"srun": ["--mpi=pmix"], "mpirun": ["-q", "--map-by", "ppr:1:node"]}


class User:
    """Somebody on the login node, in a folder whose name has to be quoted, with data.h5 and a deck."""

    def __init__(self, cluster: Cluster, folder: Path, deck: dict[str, Any]) -> None:
        self.cluster = cluster
        self.folder = folder
        folder.mkdir(parents=True)
        write_data(folder / "data.h5")
        write_deck(folder / "deck.toml", **deck)

    def call(self, script: str, *words: object) -> Outcome:
        """Run one of the scripts."""
        return call(script, *words, folder=self.folder, environment=self.cluster.environment)

    def submit(self, *words: object) -> list[str]:
        """Submit and return the numbers of the job and of the one that collects after it, if there is one."""
        outcome = self.call("submit", "deck.toml", "site.toml", *words)
        assert outcome.code == 0 and outcome.err == "", outcome
        return re.findall(r"job (\d+)", outcome.out)

    def log(self, name: str) -> str:
        """Return what a job wrote."""
        return (self.folder / "out" / "slurm" / f"{name}.log").read_text()

    def wait_for_run(self, state: str, count: int = 1) -> None:
        """Return when so many runs are in a state."""
        def states() -> list[str]:
            return [path.read_text() for path in [*self.folder.glob("out/status"), *self.folder.glob("out/runs/*/status")]]

        self.cluster.wait_until(lambda: states().count(f"{state}\n") >= count, f"{count} {state}")

    def check_completed(self, number: str, log: str = "") -> dict[str, str]:
        """Wait for the end of a job, which must be a good one."""
        record = self.cluster.wait_for_state(number, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        assert record["JobState"] == "COMPLETED" and record["ExitCode"] == "0:0", self.log(log or number)
        return record

    def check_nothing_left(self, *words: object) -> None:
        """Check that the same submission has nothing to do, and that no name was taken for a command."""
        assert "is finished; nothing to submit" in self.call("submit", "deck.toml", "site.toml", *words).out
        places = (self.folder, self.folder / "out", self.folder.parent, Path.home())
        assert not [path for place in places for path in place.glob("harm*")]


@pytest.fixture
def users(cluster: Cluster, tmp_path: Path) -> dict[str, User]:
    """Return a user for each launcher, with a run for two nodes."""
    users = {}
    for launcher, options in LAUNCHERS.items():
        users[launcher] = User(cluster, tmp_path / launcher / HARMFUL, RUN)
        write_site(users[launcher].folder / "site.toml", launcher=launcher, launcher_options=options)
    return users


@pytest.fixture
def scholar(cluster: Cluster, tmp_path: Path) -> User:
    """Return a user with a study, each job of which has a node to itself."""
    user = User(cluster, tmp_path / HARMFUL, STUDY)
    write_site(user.folder / "site.toml", nodes=1, sbatch=["--exclusive"])
    return user


def undisturbed(folder: Path, command: str, deck: dict[str, Any]) -> Path:
    """Run a deck with no cluster, and return the folder of its results."""
    write_data(folder / "data.h5")
    write_deck(folder / "deck.toml", **deck)
    Program(folder).succeed(command, "deck.toml")
    return folder / "out"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result of the run when nothing happens to it."""
    return results.read(undisturbed(tmp_path_factory.mktemp("run"), "run", RUN) / "result.h5")


@pytest.fixture(scope="module")
def expected_study(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return what the study comes to when nothing happens to it."""
    return results.read(undisturbed(tmp_path_factory.mktemp("study"), "study", STUDY) / "study.h5")


def check_same_study(expected: results.Contents, found: results.Contents) -> None:
    """Check that a study has the same runs and, to the bit, the same numbers: each run was on one rank."""
    assert list(found["runs/status"]) == [b"done"] * 6
    compared = 0
    for key, value in expected.items():
        of_process = "seconds" in key or key.endswith("_bytes")
        if key.startswith(("scalars/", "arrays/", "runs/", "axes/")) and not of_process:
            np.testing.assert_array_equal(found[key], value, key)
            compared += 1
    assert compared > 100


def test_runs_on_two_nodes(users: dict[str, User], expected: results.Contents) -> None:
    numbers = {name: user.submit() for name, user in users.items()}
    for name, user in users.items():
        (number,) = numbers[name]
        assert user.check_completed(number)["NumNodes"] == "2"
        found = results.read(user.folder / "out/result.h5")
        assert found["@ranks"] == 2
        stops.check_same(expected, found)
        user.check_nothing_left()


def test_runs_that_meet_their_time_limit(users: dict[str, User], expected: results.Contents) -> None:
    numbers = {name: user.submit()[0] for name, user in users.items()}
    for name, user in users.items():
        user.wait_for_run("running")
        time.sleep(0.2)
        # What SLURM sends when the end is near; to the batch script, as --signal=B: does.
        user.cluster.run("scancel", "--batch", "--signal=USR1", numbers[name])
        again = user.call("submit", "deck.toml", "site.toml")
        assert re.search(rf"in the queue already: job {numbers[name]} \w+; nothing submitted", again.out), again
    for name, user in users.items():
        record = user.check_completed(numbers[name])
        log = user.log(numbers[name])
        assert record["Restarts"] == "1", log
        assert re.search(r"got USR1 .*stopped by a signal during the training.*status 5.*back to the queue, try 1 of 20.*"
                         r"start 1 on .*training: resumed after epoch \d+.*done\n", log, re.DOTALL), log
        stops.check_same(expected, results.read(user.folder / "out/result.h5"))
        user.check_nothing_left()


def test_a_study_on_two_nodes(scholar: User, expected_study: results.Contents) -> None:
    write_site(scholar.folder / "site.toml")
    (number,) = scholar.submit()
    assert scholar.check_completed(number)["NumNodes"] == "2"
    assert "2 at a time on 1 rank each" in scholar.log(number)
    check_same_study(expected_study, results.read(scholar.folder / "out/study.h5"))
    scholar.check_nothing_left()


def test_an_array_and_its_collection(scholar: User, expected_study: results.Contents) -> None:
    number, collect = scholar.submit("--array", 2)
    again = scholar.call("submit", "deck.toml", "site.toml", "--array", 2)
    assert "in the queue already" in again.out and "missing" not in again.out, again
    scholar.wait_for_run("running")
    said = scholar.call("status", "out").out
    assert re.search(r"study of 6 runs\n +\d done", said) and f"{collect} (collects the study)  PENDING" in said, said
    scholar.check_completed(collect, f"collect-{collect}")
    for element in (f"{number}_1", f"{number}_2"):
        scholar.check_completed(element)
    check_same_study(expected_study, results.read(scholar.folder / "out/study.h5"))
    assert "6 done, 0 running, 0 failed, 0 interrupted, 0 waiting" in scholar.call("status", "out").out
    scholar.check_nothing_left("--array", 2)


def test_a_node_that_dies_within_a_study(scholar: User, expected_study: results.Contents) -> None:
    cluster = scholar.cluster
    number, collect = scholar.submit("--array", 2)
    elements = [f"{number}_1", f"{number}_2"]
    for element in elements:
        cluster.wait_for_state(element, "RUNNING")
    (lost,) = [element for element in elements if cluster.job(element)["NodeList"] == "n2"]
    # Each job has three runs.
    cluster.wait_until(lambda: len([*scholar.folder.glob("out/runs/*/result.h5")]) >= 2, "the first runs to be done")
    cluster.lose_node("n2")
    try:
        scholar.check_completed(collect, f"collect-{collect}")
        record = scholar.check_completed(lost)
    finally:
        cluster.start_node("n2")
    assert record["Restarts"] == "1" and record["NodeList"] == "n1", scholar.log(lost)
    check_same_study(expected_study, results.read(scholar.folder / "out/study.h5"))
