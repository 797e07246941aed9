"""An eigensolve that is stopped or killed goes on from its last restart, on any number of ranks."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import results
import stops
from decks import write_deck
from program import Program

SPECTRUM = {"block": "all", "which": "both", "count": 40}

#: What a cycle of these solves takes at most: their basis, 3 x 41 + 16 vectors.
CYCLE = 139


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result of the long solve when nothing stops it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(folder)
    return stops.finished(folder)


def prepare(folder: Path, precision: str = "double") -> None:
    """Write data and deck of the long solve, which stores each restart."""
    stops.prepare(folder, "spectrum")
    write_deck(folder / "deck.toml", **{**stops.LONG["spectrum"], "spectrum": SPECTRUM},
               numerics={"checkpoint_seconds": 0.0, "precision": precision})


def products_in(checkpoint: Path) -> int:
    """Return the products a checkpoint has behind it; 0 while there is none."""
    try:
        with h5py.File(checkpoint) as file:
            return int(file["eigensolve"].attrs["products"])
    except OSError:
        return 0


def stop_after(program: Program, products: int, ranks: int, kill: bool, resume: bool) -> None:
    """Start the run and end it once so many products are in its checkpoint."""
    running = program.start("run", "deck.toml", *(["--resume"] if resume else []), ranks=ranks)
    checkpoint = program.folder / "out/eigensolve.h5"
    running.wait_until(lambda: products_in(checkpoint) >= products, f"it stored {products} products")
    if kill:
        running.kill()
        return
    running.send(signal.SIGTERM)
    assert running.finish().code == 5


@pytest.mark.parametrize("kill", [False, True])
def test_a_solve_goes_on_from_its_last_restart(program: Program, expected: results.Contents, kill: bool) -> None:
    prepare(program.folder)
    (block,) = (key.removesuffix("@matvecs") for key in expected if key.endswith("@matvecs")
                and key.startswith("spectrum/"))
    total = int(expected[block + "@matvecs"])
    before = 0
    for resumes, (share, ranks) in enumerate([(0.2, 1), (0.6, 2)]):
        stop_after(program, int(share * total), ranks, kill, resumes > 0)
        stored = products_in(program.folder / "out/eigensolve.h5")
        assert stored >= before
        before = stored
    said = program.succeed("run", "deck.toml", "--resume", ranks=3).out
    resumed = int(re.search(r"spectrum: resumed after (\d+) products", said)[1])
    assert resumed == before
    found = results.read(program.folder / "out/result.h5")
    stops.check_same(expected, found)
    # Rounding differs with the ranks, so that a restart may come a cycle earlier or later.
    assert abs(found[block + "@matvecs"] - total) <= CYCLE
    assert not (program.folder / "out/eigensolve.h5").exists()


def test_a_solve_in_mixed_precision_goes_on_too(program: Program, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    prepare(folder, "mixed")
    expected = stops.finished(folder)
    (block,) = (key.removesuffix("@matvecs_single") for key in expected if key.endswith("@matvecs_single"))
    single = int(expected[block + "@matvecs_single"])
    assert single > 0 and expected[block + "@matvecs_double"] > 0
    prepare(program.folder, "mixed")
    stop_after(program, int(0.2 * single), 2, kill=True, resume=False)
    said = program.succeed("run", "deck.toml", "--resume", ranks=1).out
    assert int(re.search(r"spectrum: resumed after (\d+) products", said)[1]) >= int(0.2 * single)
    found = results.read(program.folder / "out/result.h5")
    stops.check_same(expected, found)
    assert abs(found[block + "@matvecs"] - expected[block + "@matvecs"]) <= CYCLE


@pytest.mark.parametrize(("stage", "how", "ranks"), [("training", "cut", 1), ("eigensolve", "flipped", 2)])
def test_damage_is_found_and_said(program: Program, stage: str, how: str, ranks: int,
                                  expected: results.Contents) -> None:
    prepare(program.folder)
    stop_after(program, 100, ranks, True, False)
    path = program.folder / f"out/{stage}.h5"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] if how == "cut"
                     else whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1:])
    outcome = program("run", "deck.toml", "--resume", ranks=ranks)
    assert outcome.code == 0, outcome
    assert outcome.err.count("warning: ") == 1, outcome
    assert f"warning: 'out/{stage}.h5' is damaged: " in outcome.err
    assert "what it held is computed anew" in outcome.err
    stops.check_same(expected, results.read(program.folder / "out/result.h5"))


def test_a_checkpoint_of_other_data_is_refused(program: Program, ranks: int) -> None:
    prepare(program.folder)
    stop_after(program, 100, ranks, True, False)
    (program.folder / "out/training.h5").rename(program.folder / "kept.h5")
    with h5py.File(program.folder / "data.h5", "r+") as file:
        file["data/train/x"][5, 3] ^= np.uint8(1)
    program.fail(3, "run", "deck.toml", "--resume", ranks=ranks,
                 said="'out/eigensolve.h5' was made from other data or weights than this run has")
    (program.folder / "kept.h5").rename(program.folder / "out/training.h5")
    program.fail(3, "run", "deck.toml", "--resume", ranks=ranks,
                 said="'out/training.h5' was made from other data or weights than this run has")
