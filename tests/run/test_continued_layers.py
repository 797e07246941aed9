"""A decomposition that is stopped or killed goes on after the last layer it finished, on any number of ranks."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import results
import stops
from decks import write_data, write_deck
from program import Program

#: In the order of the deck, what takes longest last, so that a run is not over before it is ended.
LAYERS = ["dense3", "dense1", "dense2"]

#: What says when, where and how a result was made.
PROVENANCE = re.compile(r"@(command_line|date|host|ranks|threads|seconds|planned_bytes|peak_bytes)$")

#: What an eigensolve and the rounding of products may change with the number of ranks.
RANKS = re.compile("/operators/|bound|@identity_curvature")

#: What only rounding and the course of an eigensolve decide: below a tolerance, but not the same twice.
COURSE = re.compile(r"/operators/[^/]+(/residuals|/value_bounds|/angle_bounds|@matvecs|@check_matvecs|"
                    r"@orthogonality_defect|@symmetry_defect)$")


def prepare(folder: Path) -> None:
    """Write data and deck of a run whose layers take some time each."""
    write_data(folder / "data.h5", test=3000)
    write_deck(folder / "deck.toml", network={"bias": True, "layers": [{"units": 35}, {"units": 35}, {"units": 3}]},
               training={"max_epochs": 2}, spectrum={"block": "all", "count": 12},
               duality={"layer": LAYERS, "dual": "augmented", "operators": ["gap", "dual-covariance"],
                        "operator_count": 4})


def prepare_blocks(folder: Path) -> None:
    """Write data and deck of a run whose pass over the pairs has six blocks, each of which is kept."""
    write_data(folder / "data.h5", test=3000)
    write_deck(folder / "deck.toml", network={"layers": [{"units": 20}, {"units": 20}, {"units": 3}]},
               training={"max_epochs": 2}, spectrum={"which": "all"}, duality={"layer": "dense2"},
               numerics={"lanes": 2, "checkpoint_seconds": 0})


@pytest.fixture(scope="module")
def expected_of_blocks(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result of such a run that nothing stops."""
    folder = tmp_path_factory.mktemp("undisturbed_blocks")
    prepare_blocks(folder)
    return stops.finished(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> results.Contents:
    """Return the result when nothing stops the run."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(folder)
    return stops.finished(folder)


def checkpoint(program: Program, layer: str) -> Path:
    """Return where a finished layer is kept."""
    return program.folder / f"out/duality.{layer}.h5"


def end_after(program: Program, layer: str, ranks: int, kill: bool) -> None:
    """Run on and end it once a layer is kept."""
    running = program.start("run", "deck.toml", "--resume", ranks=ranks)
    running.wait_until(checkpoint(program, layer).exists, f"it kept {layer}")
    if kill:
        running.kill()
        return
    running.send(signal.SIGTERM)
    outcome = running.finish()
    assert outcome.code == 5, outcome
    assert re.search(r"during the decomposition|before the result was written", outcome.err), outcome


def kept(program: Program) -> dict[str, results.Contents]:
    """Return the group of each layer that is kept."""
    return {layer: results.group(results.read(checkpoint(program, layer)), f"duality/{layer}")
            for layer in LAYERS if checkpoint(program, layer).exists()}


def resume(program: Program, ranks: int, warnings: int = 0) -> tuple[str, results.Contents]:
    """Resume the run to its end; return what it said and its result, after which nothing is kept."""
    outcome = program("run", "deck.toml", "--resume", ranks=ranks)
    assert outcome.code == 0, outcome
    assert outcome.err.count("warning: ") == warnings, outcome
    assert not kept(program)
    return outcome.out + outcome.err, results.read(program.folder / "out/result.h5")


def check_bits(stored: results.Contents, contents: results.Contents, layer: str) -> None:
    """Check that a layer of a result is what was kept of it, to the bit."""
    found = results.group(contents, f"duality/{layer}")
    assert set(found) == set(stored)
    assert len(found) > 150
    for key, value in stored.items():
        assert np.array_equal(value, found[key]), key
        assert np.asarray(value).dtype == np.asarray(found[key]).dtype, key


def check_all(expected: results.Contents, found: results.Contents, same_ranks: list[str]) -> None:
    """Check that a run came to the same: all to the bit, but for what other ranks may change."""
    assert set(found) == set(expected)
    for key, value in expected.items():
        parts = re.split("[/@]", key)
        if PROVENANCE.search(key):
            continue
        if parts[0] != "duality" or parts[1] in same_ranks or not RANKS.search(key):
            assert np.array_equal(value, found[key]), key
        elif key.endswith("/eigenvalues"):
            bounds = [each[key.replace("eigenvalues", "value_bounds")] for each in (expected, found)]
            assert np.all(np.abs(value - found[key]) <= sum(bounds)), key
        elif key.endswith("/eigenvectors"):
            angles = [each[key.replace("eigenvectors", "angle_bounds")] for each in (expected, found)]
            # Of length 1 and of one sign: no further apart than sqrt(2) times the sine of their angle.
            assert np.all(np.linalg.norm(value - found[key], axis=1) <= np.sqrt(2) * sum(angles)), key
        elif np.issubdtype(np.asarray(value).dtype, np.floating) and not COURSE.search(key):
            np.testing.assert_allclose(found[key], value, rtol=1e-12, atol=1e-12, err_msg=key)


@pytest.mark.parametrize("kill", [False, True])
def test_layers_are_done_once(program: Program, expected: results.Contents, kill: bool) -> None:
    prepare(program.folder)
    end_after(program, "dense3", 1, kill)
    by_one = kept(program)
    end_after(program, "dense1", 3, not kill)
    stored = kept(program)
    assert set(by_one) <= set(stored)
    said, found = resume(program, 2)
    for layer in LAYERS:
        assert (f"duality at {layer}: read from its checkpoint\n" in said) == (layer in stored), layer
    for layer, group in {**stored, **by_one}.items():
        check_bits(group, found, layer)
    check_all(expected, found, list(by_one))


@pytest.mark.parametrize(("how", "ranks"), [("cut", 2), ("flipped", 1)])
def test_damage_is_found_and_said(program: Program, expected: results.Contents, how: str, ranks: int) -> None:
    prepare(program.folder)
    end_after(program, "dense3", 1, True)
    path = checkpoint(program, "dense3")
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] if how == "cut"
                     else whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1:])
    said, found = resume(program, ranks, warnings=1)
    assert "warning: 'out/duality.dense3.h5' is damaged: " in said
    assert "what it held is computed anew" in said
    assert "duality at dense3: read from its checkpoint" not in said
    check_all(expected, found, [])


def test_a_layer_of_other_directions_is_done_anew(program: Program) -> None:
    prepare(program.folder)
    end_after(program, "dense3", 1, True)
    (program.folder / "out/spectrum.h5").unlink()
    said, found = resume(program, 3)
    assert "duality at dense3: its checkpoint is of a spectrum solved earlier; it is done anew\n" in said
    assert np.array_equal(found["duality/dense3/directions/eigenvalue"],
                          next(value for key, value in found.items() if re.match("spectrum/.*/eigenvalues$", key)))


def test_a_layer_of_other_test_samples_is_refused(program: Program, ranks: int) -> None:
    prepare(program.folder)
    end_after(program, "dense3", 1, True)
    with h5py.File(program.folder / "data.h5", "r+") as file:
        file["data/test/x"][5, 3] ^= np.uint8(1)
    program.fail(3, "run", "deck.toml", "--resume", ranks=ranks,
                 said="'out/duality.dense3.h5' was made from other data or weights than this run has")


def end_within_pass(program: Program, blocks: int, ranks: int, kill: bool) -> int:
    """Run on and end it once so many blocks of pairs are kept; return how many are."""
    path = program.folder / "out/pass.h5"

    def kept_blocks() -> int:
        try:
            with h5py.File(path) as file:
                return int(file["pass"].attrs["blocks"])
        except OSError:
            return 0

    running = program.start("run", "deck.toml", "--resume", ranks=ranks)
    running.wait_until(lambda: kept_blocks() >= blocks, f"it kept {blocks} blocks")
    if kill:
        running.kill()
    else:
        running.send(signal.SIGTERM)
        outcome = running.finish()
        assert outcome.code == 5, outcome
        assert "during the decomposition" in outcome.err, outcome
    return kept_blocks()


def resumed_after(said: str) -> int:
    """Return the blocks of pairs that a run said it resumed after."""
    found = re.search(r"duality at dense2: resumed after 0 of 400 directions and (\d) blocks of pairs\n", said)
    assert found, said
    return int(found[1])


def test_blocks_of_pairs_are_done_once(program: Program, expected_of_blocks: results.Contents) -> None:
    prepare_blocks(program.folder)
    first = end_within_pass(program, 1, 1, True)
    second = end_within_pass(program, first + 1, 3, False)
    assert 1 <= first < second <= 6
    said, found = resume(program, 2)
    assert resumed_after(said) == second
    assert not (program.folder / "out/pass.h5").exists()
    check_all(expected_of_blocks, found, [])


def test_a_damaged_pass_is_done_anew(program: Program, expected_of_blocks: results.Contents) -> None:
    prepare_blocks(program.folder)
    end_within_pass(program, 2, 1, True)
    path = program.folder / "out/pass.h5"
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1:])
    said, found = resume(program, 2, warnings=1)
    assert "warning: 'out/pass.h5' is damaged: " in said
    assert "resumed after 0 of" not in said
    check_all(expected_of_blocks, found, [])
