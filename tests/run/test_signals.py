"""A signal ends a run in order, in every stage; resumed on any number of ranks it comes to the same."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
import results
import stops
from decks import write_deck
from gate import Gate
from program import Outcome, Program, Running

FILES = ["deck.original", "deck.resolved", "log", "result.h5", "status"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, results.Contents]:
    """Return the results of the long runs when nothing stops them."""
    return {kind: stops.undisturbed(tmp_path_factory.mktemp(kind), kind) for kind in ("training", "spectrum", "dense")}


def wait_for_the_training(program: Program, running: Running) -> None:
    """Return a moment after the training began."""
    status = program.folder / "out/status"
    running.wait_until(lambda: status.exists() and status.read_text() == "running\n", "it was at work")
    time.sleep(0.1)


def stop(running: Running, number: signal.Signals) -> Outcome:
    """Stop a run by a signal to its ranks and check that it ended as it should."""
    running.send(number)
    return check_stopped(running.finish())


def check_stopped(outcome: Outcome) -> Outcome:
    """Check status and message of a run that a signal stopped."""
    assert outcome.code == 5, outcome
    assert re.fullmatch(r"dualscape: stopped by a signal [^\n]*; continue with --resume\n", outcome.err), outcome
    return outcome


def check_interrupted(out: Path, outcome: Outcome) -> None:
    """Check what an interrupted run leaves in its folder."""
    message = outcome.err.removeprefix("dualscape: ").removesuffix("; continue with --resume\n")
    assert (out / "status").read_text() == f"interrupted: {message}\n"
    assert message in (out / "log").read_text()
    assert not (out / "result.h5").exists()
    assert not list(out.glob("*.part"))


def resume(program: Program, ranks: int, expected: results.Contents) -> str:
    """Resume a run to its end, check what it came to, and return what it said."""
    said = program.succeed("run", "deck.toml", "--resume", ranks=ranks).out
    out = program.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert (out / "status").read_text() == "done\n"
    stops.check_same(expected, results.read(out / "result.h5"))
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_while_the_data_are_read(program: Program, ranks: int, number: signal.Signals) -> None:
    gate = Gate(program.folder)
    write_deck(program.folder / "deck.toml", data=gate.data)
    running = program.start("run", "deck.toml", ranks=ranks)
    gate.wait(running)
    running.send(number)
    time.sleep(0.1)
    gate.open()
    outcome = check_stopped(running.finish())
    check_interrupted(program.folder / "out", outcome)
    assert "after reading the data" in outcome.err
    program.succeed("run", "deck.toml", "--resume", ranks=3 - ranks)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_while_it_trains(program: Program, ranks: int, number: signal.Signals,
                         expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    running = program.start("run", "deck.toml", ranks=ranks)
    wait_for_the_training(program, running)
    outcome = stop(running, number)
    check_interrupted(program.folder / "out", outcome)
    epoch = int(re.search(r"during the training, after epoch (\d+)", outcome.err)[1])
    assert 0 <= epoch < stops.EPOCHS
    said = resume(program, 3 - ranks, expected["training"])
    assert f"training: resumed after epoch {epoch}\n" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR2])
def test_other_signals_stop_it_too(program: Program, number: signal.Signals) -> None:
    stops.prepare(program.folder, "training")
    running = program.start("run", "deck.toml")
    wait_for_the_training(program, running)
    check_interrupted(program.folder / "out", stop(running, number))


def test_again_and_again_while_it_trains(program: Program, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    epochs = [0]
    for ranks in (1, 2, 1):
        running = program.start("run", "deck.toml", "--resume", ranks=ranks)
        wait_for_the_training(program, running)
        outcome = stop(running, signal.SIGTERM)
        epochs.append(int(re.search(r"after epoch (\d+)", outcome.err)[1]))
    assert epochs == sorted(epochs)
    resume(program, 2, expected["training"])


def test_to_a_single_rank_stops_all(program: Program, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    running = program.start("run", "deck.toml", ranks=2)
    wait_for_the_training(program, running)
    os.kill(running.rank_ids()[1], signal.SIGUSR1)
    outcome = check_stopped(running.finish())
    check_interrupted(program.folder / "out", outcome)
    resume(program, 1, expected["training"])


@pytest.mark.parametrize("kind", ["spectrum", "dense"])
def test_while_it_searches_eigenpairs(program: Program, ranks: int, kind: str,
                                      expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, kind)
    running = program.start("run", "deck.toml", ranks=ranks)
    running.wait_to_say("training loss ")
    outcome = stop(running, signal.SIGTERM)
    check_interrupted(program.folder / "out", outcome)
    assert "during the search for eigenpairs" in outcome.err or "after the spectrum" in outcome.err
    said = resume(program, 3 - ranks, expected[kind])
    assert "training: resumed after epoch 2\n" in said


def test_while_it_decomposes(program: Program, ranks: int, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "dense")
    running = program.start("run", "deck.toml", ranks=ranks)
    running.wait_to_say("spectrum of dense2: 1225 of 1225")
    outcome = stop(running, signal.SIGTERM)
    check_interrupted(program.folder / "out", outcome)
    assert "after the spectrum" in outcome.err or "during the decomposition" in outcome.err \
        or "before the result was written" in outcome.err
    said = resume(program, 3 - ranks, expected["dense"])
    assert "spectrum: read from its checkpoint\n" in said


def test_while_the_result_is_written_changes_nothing_or_stops_before(
        program: Program, ranks: int, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "dense")
    running = program.start("run", "deck.toml", ranks=ranks)
    running.wait_to_say("duality at ")
    running.send(signal.SIGTERM)
    outcome = running.finish()
    out = program.folder / "out"
    if outcome.code == 5:
        check_interrupted(out, outcome)
        resume(program, ranks, expected["dense"])
    else:
        assert outcome.code == 0, outcome
        assert (out / "status").read_text() == "done\n"
        stops.check_same(expected["dense"], results.read(out / "result.h5"))
