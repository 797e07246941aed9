"""A summary of the curvature that is stopped or killed goes on after the last probes or quantity it finished."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import results
import stops
from decks import write_data, write_deck
from program import Program

GROUP = "spectrum/all"

#: What of a summary is found by random vectors alone: the same at any number of ranks but for rounding.
SUMMARY = [f"{GROUP}{entry}" for entry in (
    "/density/grid", "/density/density", "/density/error", "/density/nodes", "/density/weights", "/density@trace",
    "/density@trace_error", "/density@frobenius", "/density@frobenius_error", "/density@matvecs", "/density@pairs",
    "@trace", "@trace_error", "@frobenius", "@frobenius_error", "@trace_matvecs", "/diagonal", "/diagonal_error",
    "@diagonal_exact", "@diagonal_matvecs")]


def prepare(folder: Path) -> None:
    """Write data and deck of a run that has some time in each part of its summary."""
    write_data(folder / "data.h5")
    write_deck(folder / "deck.toml", network={"layers": [{"units": 40}, {"units": 40}, {"units": 3}]},
               training={"max_epochs": 2}, duality=None,
               spectrum={"block": "all", "count": 6, "density_probes": 40, "density_steps": 60, "trace_products": 900,
                         "diagonal_products": 900, "ntk": 5})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result when nothing stops the run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(folder)
    return stops.finished(folder)


def stored(program: Program) -> results.Contents:
    """Return what the checkpoint holds; nothing while there is none."""
    path = program.folder / "out/summary.h5"
    return results.read(path) if path.exists() else {}


def end_when(program: Program, condition: Callable[[results.Contents], bool], ranks: int, kill: bool) -> None:
    """Run on and end it once its checkpoint meets a condition."""
    running = program.start("run", "deck.toml", "--resume", ranks=ranks)
    running.wait_until(lambda: condition(stored(program)), "its checkpoint was that far")
    if kill:
        running.kill()
        return
    running.send(signal.SIGTERM)
    outcome = running.finish()
    assert outcome.code == 5, outcome
    assert re.search("during the summary of the curvature|after the spectrum|before the result", outcome.err), outcome


def check_same(expected: results.Contents, found: results.Contents) -> None:
    """Check that a resumed run came to the same but for rounding."""
    norm = expected[f"{GROUP}@frobenius"]
    for key in SUMMARY:
        scale = np.max(np.abs(expected[key])) if "/density/" in key else max(norm, abs(np.max(expected[key])))
        np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-8 * scale, err_msg=key)
    ntk = f"{GROUP}/ntk/eigenvalues"
    bounds = expected[f"{GROUP}/ntk/value_bounds"] + found[f"{GROUP}/ntk/value_bounds"]
    assert np.all(np.abs(found[ntk] - expected[ntk]) <= bounds)
    assert set(found) == set(expected)


@pytest.mark.parametrize("kill", [False, True])
def test_it_is_done_once(program: Program, expected: results.Contents, kill: bool) -> None:
    prepare(program.folder)
    probes = f"{GROUP}/density@probes"
    end_when(program, lambda found: found.get(probes, 0) > 0, 1, kill)
    first = stored(program)
    assert first[probes] in (16, 32, 40)
    end_when(program, lambda found: f"{GROUP}@trace" in found, 3, not kill)
    second = stored(program)
    for key in ("nodes", "weights"):
        # No probe is made twice.
        rows = slice(0, int(first[probes]))
        assert np.array_equal(second[f"{GROUP}/density/{key}"][rows], first[f"{GROUP}/density/{key}"][rows])
        assert np.all(first[f"{GROUP}/density/{key}"][rows.stop:] == 0)
    said = program.succeed("run", "deck.toml", "--resume", ranks=2).out
    assert "summary of the curvature: resumed from its checkpoint\n" in said
    found = results.read(program.folder / "out/result.h5")
    for key in SUMMARY:
        if key in second:
            assert np.array_equal(second[key], found[key]), key
    check_same(expected, found)
    assert not (program.folder / "out/summary.h5").exists()


def test_other_pairs_and_damage_make_it_anew(program: Program, expected: results.Contents) -> None:
    prepare(program.folder)
    end_when(program, lambda found: f"{GROUP}@trace" in found, 2, True)
    (program.folder / "out/spectrum.h5").unlink()
    running = program.start("run", "deck.toml", "--resume", ranks=1)
    running.wait_to_say("summary of the curvature: its checkpoint is of a spectrum solved earlier; it is done anew\n")
    running.wait_until(lambda: f"{GROUP}/density@probes" in stored(program)
                       and f"{GROUP}@trace" not in stored(program), "it began anew")
    running.kill()
    path = program.folder / "out/summary.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    outcome = program("run", "deck.toml", "--resume", ranks=1)
    assert outcome.code == 0, outcome
    assert "warning: 'out/summary.h5' is damaged: " in outcome.err
    assert "resumed from its checkpoint" not in outcome.out
    check_same(expected, results.read(program.folder / "out/result.h5"))


def test_other_data_are_refused(program: Program, ranks: int) -> None:
    prepare(program.folder)
    end_when(program, lambda found: f"{GROUP}/density@probes" in found, ranks, True)
    with h5py.File(program.folder / "data.h5", "r+") as file:
        file["data/train/x"][5, 3] ^= np.uint8(1)
    for name in ("training", "spectrum"):
        (program.folder / f"out/{name}.h5").unlink()
    program.fail(3, "run", "deck.toml", "--resume", ranks=ranks,
                 said="'out/summary.h5' was made from other data or weights than this run has")
