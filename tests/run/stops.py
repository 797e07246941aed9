"""Runs that are long enough to be stopped in a known stage, and what they would have come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import results
from decks import write_data, write_deck
from program import Program

EPOCHS = 700

LONG: dict[str, dict[str, Any]] = {
    # Epochs of some milliseconds, more than a second in all, and few messages, which a busy machine delays; the first
    # checkpoint tells that it is at work.
    "training": {"network": {"layers": [{"units": 150}, {"units": 100}, {"units": 3}]},
                 "training": {"max_epochs": EPOCHS, "batch_size": 30, "stop_loss": 0.0, "momentum": 0.5,
                              "learning_rate": 0.01},
                 "numerics": {"checkpoint_seconds": 0.1}},
    # Hundreds of products with 5000 parameters.
    "spectrum": {"network": {"layers": [{"units": 60}, {"units": 60}, {"units": 3}]},
                 "training": {"max_epochs": 2}, "spectrum": {"block": "all", "which": "both", "count": 90}},
    # Some time in every stage.
    "mixed": {"network": {"layers": [{"units": 30}, {"units": 30}, {"units": 3}]},
              "training": {"max_epochs": 800, "stop_loss": 0.0, "momentum": 0.5, "learning_rate": 0.01},
              "spectrum": {"which": "all"}},
    # A dense matrix of 1225 parameters, and thousands of duals in its basis.
    "dense": {"network": {"layers": [{"units": 35}, {"units": 35}, {"units": 3}]},
              "training": {"max_epochs": 2}, "spectrum": {"which": "all"}},
}


def prepare(folder: Path, kind: str) -> None:
    """Write data and deck of a long run."""
    write_data(folder / "data.h5", test=3000 if kind in ("dense", "mixed") else 90)
    write_deck(folder / "deck.toml", **LONG[kind])


def undisturbed(folder: Path, kind: str) -> results.Contents:
    """Return the result of a long run that nothing stops."""
    prepare(folder, kind)
    return finished(folder)


def finished(folder: Path) -> results.Contents:
    """Run the deck of a folder to its end; return the result."""
    Program(folder).succeed("run", "deck.toml")
    return results.read(folder / "out/result.h5")


def check_same(expected: results.Contents, found: results.Contents) -> None:
    """Check that a resumed run came to the same: the same weights to the bit, numbers within their bounds."""
    for key, value in expected.items():
        if key.startswith(("model/", "training/", "data/", "loss@")) or "/pairs/" in key:
            assert np.array_equal(value, found[key]), key
    (block,) = (key.removesuffix("/eigenvalues") for key in expected if key.endswith("/eigenvalues"))
    bounds = expected[block + "/value_bounds"] + found[block + "/value_bounds"]
    assert np.all(np.abs(expected[block + "/eigenvalues"] - found[block + "/eigenvalues"]) <= bounds)
    assert found[block + "@converged"] == found[block + "@requested"]
    duality = "duality/dense2"
    assert found[duality + "@identity_accounts"] < 1e-12
    # What the directions' own errors leave, and a little rounding.
    error = sum(np.sum(each[duality + "/directions/contribution_bound"]) for each in (expected, found))
    difference = abs(expected[duality + "@total_contribution"] - found[duality + "@total_contribution"])
    assert difference <= error + 1e-12 * expected[duality + "@mean_abs_loss_gap"]
