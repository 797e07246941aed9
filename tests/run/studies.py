"""Small studies, and what must be equal in two that did the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import results
from decks import write_data, write_deck
from program import Program

#: Six runs of some ten milliseconds with something in every stage.
SMALL: dict[str, Any] = {
    "training": {"max_epochs": 40, "momentum": 0.5, "stop_loss": 0.0},
    "network": {"layers": [{"units": 7, "dropout": 0.1}, {"units": 6}, {"units": 3}]},
    "spectrum": {"count": 6},
    "duality": {"sharp": 2, "bootstrap": 50},
    "study": {"repeats": 3, "axes": [{"key": "training.batch_size", "values": [20, 40]}]},
}
RUNS = 6
#: Two runs of a second or more, most of it training.
LONG: dict[str, Any] = {
    **SMALL,
    "training": {"max_epochs": 4500, "batch_size": 4, "momentum": 0.5, "stop_loss": 0.0},
    "study": {"axes": [{"key": "training.learning_rate", "values": [0.01, 0.02]}]},
}
RUN_FILES = ["deck.original", "deck.resolved", "log", "result.h5", "status"]

#: What two runs that came to the same may differ in.
TIMES = ("@date", "@host", "@command_line", "@seconds", "@ranks", "/seconds", "planned_bytes", "peak_bytes")


def prepare(folder: Path, study: dict[str, Any]) -> None:
    """Write data and deck of a study."""
    write_data(folder / "data.h5")
    write_deck(folder / "deck.toml", **study)


def undisturbed(folder: Path, study: dict[str, Any]) -> Path:
    """Run a study that nothing stops and return its folder."""
    prepare(folder, study)
    Program(folder).succeed("study", "deck.toml")
    return folder / "out"


def numbers(file: Path) -> results.Contents:
    """Return all that a file says but times and places."""
    return {key: value for key, value in results.read(file).items()
            if not key.endswith(TIMES) and key not in {"runs/ranks"}}


def check_same_contents(expected: results.Contents, found: results.Contents) -> None:
    """Compare to the last bit."""
    assert set(expected) == set(found)
    for key, value in expected.items():
        if key != "deck/original":
            np.testing.assert_array_equal(value, found[key], err_msg=key)


def check_same(expected: Path, found: Path) -> None:
    """Check that two studies came to the same: their collected numbers, and every result."""
    check_same_contents(numbers(expected / "study.h5"), numbers(found / "study.h5"))
    runs = sorted(path.name for path in (expected / "runs").iterdir())
    assert sorted(path.name for path in (found / "runs").iterdir()) == runs
    for run in runs:
        assert sorted(path.name for path in (found / "runs" / run).iterdir()) == RUN_FILES
        assert (found / "runs" / run / "status").read_text() == "done\n"
        check_same_contents(numbers(expected / "runs" / run / "result.h5"),
                            numbers(found / "runs" / run / "result.h5"))


def states(program: Program) -> list[str]:
    """Return the state of each run as --list tells it."""
    return [line.split()[1] for line in program.succeed("study", "deck.toml", "--list").out.splitlines()]
