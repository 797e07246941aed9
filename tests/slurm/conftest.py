"""One throw-away cluster for all tests that need one, and an exit status of their own when all of them are skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Decks, data and comparisons are those of the program's own tests.
sys.path += [str(Path(__file__).resolve().parents[1] / "run"), str(Path(__file__).resolve().parents[2] / "scripts/slurm")]

from cluster import Cluster, Unavailable  # noqa: E402

#: ctest shows this exit status as a skipped test.
SKIPPED = 77

outcomes: set[str] = set()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a cluster of two nodes, or skip saying why this machine has none."""
    try:
        running = Cluster()
        running.__enter__()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield running
    running.stop()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember how tests ended."""
    if report.when == "call" or report.outcome != "passed":
        outcomes.add(report.outcome)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Tell a machine without a cluster from tests that passed."""
    if exitstatus == 0 and outcomes == {"skipped"}:
        session.exitstatus = SKIPPED
