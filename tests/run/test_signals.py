"""A signal ends a run in order, in every stage; resumed on any number of ranks it comes to the same."""

from __future__ import annotations

import os
import re
import signal
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


def start_training(program: Program, ranks: int = 1) -> Running:
    """Start or resume a run and return while it trains: once it has written a checkpoint of an epoch."""
    path = program.folder / "out/training.h5"

    def written() -> int:
        return path.stat().st_mtime_ns if path.exists() else 0

    before = written()
    running = program.start("run", "deck.toml", "--resume", ranks=ranks)
    running.wait_until(lambda: written() != before, "it stored an epoch")
    return running


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
    gate.open()
    outcome = check_stopped(running.finish())
    check_interrupted(program.folder / "out", outcome)
    assert "after reading the data" in outcome.err
    program.succeed("run", "deck.toml", "--resume", ranks=3 - ranks)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_while_it_trains(program: Program, ranks: int, number: signal.Signals,
                         expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    running = start_training(program, ranks)
    outcome = stop(running, number)
    check_interrupted(program.folder / "out", outcome)
    epoch = int(re.search(r"during the training, after epoch (\d+)", outcome.err)[1])
    assert 1 <= epoch < stops.EPOCHS
    said = resume(program, 3 - ranks, expected["training"])
    assert f"training: resumed after epoch {epoch}\n" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR2])
def test_other_signals_stop_it_too(program: Program, number: signal.Signals) -> None:
    stops.prepare(program.folder, "training")
    running = start_training(program)
    check_interrupted(program.folder / "out", stop(running, number))


def test_again_and_again_while_it_trains(program: Program, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    epochs = [0]
    for ranks in (1, 2, 1):
        running = start_training(program, ranks)
        outcome = stop(running, signal.SIGTERM)
        epochs.append(int(re.search(r"after epoch (\d+)", outcome.err)[1]))
    assert epochs == sorted(epochs)
    resume(program, 2, expected["training"])


def test_to_a_single_rank_stops_all(program: Program, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "training")
    running = start_training(program, 2)
    os.kill(running.rank_ids()[1], signal.SIGUSR1)
    outcome = check_stopped(running.finish())
    check_interrupted(program.folder / "out", outcome)
    resume(program, 1, expected["training"])


def stop_in(program: Program, ranks: int, said: str, stage: str, later: str) -> None:
    """Stop a run in a stage that begins once it has said something.

    On a busy machine the signal may come when the stage is over. That is no fault, if the run ends as one that was
    stopped later or finished: it is begun anew.
    """
    out = program.folder / "out"
    for _ in range(10):
        running = program.start("run", "deck.toml", "--force", ranks=ranks)
        running.wait_to_say(said)
        running.send(signal.SIGTERM)
        outcome = running.finish()
        if outcome.code == 0:
            assert (out / "status").read_text() == "done\n"
            continue
        check_stopped(outcome)
        check_interrupted(out, outcome)
        if re.search(stage, outcome.err):
            return
        assert re.search(later, outcome.err), outcome
    pytest.fail(f"never stopped {stage}: {outcome}")


@pytest.mark.parametrize("kind", ["spectrum", "dense"])
def test_while_it_searches_eigenpairs(program: Program, ranks: int, kind: str,
                                      expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, kind)
    stop_in(program, ranks, "training loss ", "during the search for eigenpairs",
            "after the spectrum|during the decomposition|before the result was written")
    said = resume(program, 3 - ranks, expected[kind])
    assert "training: resumed after epoch 2\n" in said


def test_while_it_decomposes(program: Program, ranks: int, expected: dict[str, results.Contents]) -> None:
    stops.prepare(program.folder, "dense")
    stop_in(program, ranks, "spectrum of dense2: 1225 of 1225", "after the spectrum|during the decomposition",
            "before the result was written")
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
