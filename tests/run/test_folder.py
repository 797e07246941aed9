"""The run folder: what is in it, what may be done to it, and what happens when it cannot be written."""

from __future__ import annotations

import resource
import shutil
import signal
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
import results
from decks import write_deck
from gate import Gate
from program import Program, check_failure, check_success

FILES = ["deck.original", "deck.resolved", "log", "result.h5", "status"]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def out(program: Program) -> Path:
    """Return the folder of a finished run."""
    write_deck(program.folder / "deck.toml")
    program.succeed("run", "deck.toml")
    return program.folder / "out"


class TestFinished:
    def test_a_run_leaves_its_files_and_nothing_else(self, program: Program, ranks: int) -> None:
        write_deck(program.folder / "deck.toml")
        said = program.succeed("run", "deck.toml", ranks=ranks).out
        out = program.folder / "out"
        assert sorted(contents(out)) == FILES
        assert (out / "status").read_text() == "done\n"
        assert (out / "deck.original").read_bytes() == (program.folder / "deck.toml").read_bytes()
        assert "max_epochs = 30\n" in (out / "deck.resolved").read_text()
        log = (out / "log").read_text().splitlines()
        for line in said.splitlines():
            assert any(entry.endswith(f"  info     {line}") for entry in log), line
        assert "\r" not in said and "\033" not in said

    def test_it_is_refused(self, program: Program, out: Path, ranks: int) -> None:
        before = contents(out)
        program.fail(2, "run", "deck.toml", ranks=ranks,
                     said="directory 'out' holds a finished result: add --resume to keep it and do only what is "
                          "missing, --force to start anew, or choose another with --output")
        assert contents(out) == before

    def test_there_is_nothing_to_resume(self, program: Program, out: Path, ranks: int) -> None:
        before = contents(out)
        said = program.succeed("run", "deck.toml", "--resume", ranks=ranks).out
        assert said == "nothing to do: 'out' holds the finished result\n"
        assert contents(out) == before

    def test_force_does_it_again(self, program: Program, out: Path, ranks: int) -> None:
        before = contents(out)
        (out / "training.h5").write_bytes(b"of another run")
        (out / "spectrum.h5.part").write_bytes(b"of a killed run")
        program.succeed("run", "deck.toml", "--force", "--set", "seed=8", ranks=ranks)
        after = contents(out)
        assert sorted(after) == FILES
        assert after["result.h5"] != before["result.h5"]
        assert "seed = 8" in after["deck.resolved"].decode()
        assert after["log"].count(b"a small run on") == 1

    def test_another_deck_is_refused(self, program: Program, out: Path, ranks: int) -> None:
        before = contents(out)
        program.fail(2, "run", "deck.toml", "--resume", "--set", "training.max_epochs=31", ranks=ranks,
                     said="directory 'out' holds a finished result of a different deck, line ")
        outcome = program("run", "deck.toml", "--resume", "--set", "training.max_epochs=31")
        assert "it had 'max_epochs = 30', now 'max_epochs = 31'" in outcome.err
        number = int(outcome.err.partition("line ")[2].partition(":")[0])
        assert before["deck.resolved"].decode().splitlines()[number - 1] == "max_epochs = 30"
        assert contents(out) == before

    def test_it_may_be_moved(self, program: Program, out: Path) -> None:
        out.rename(out.with_name("elsewhere"))
        said = program.succeed("run", "deck.toml", "--resume", "--output", "elsewhere").out
        assert said.startswith("nothing to do")

    def test_a_lost_result_is_made_again(self, program: Program, out: Path) -> None:
        before = results.read(out / "result.h5")
        (out / "result.h5").unlink()
        program.fail(2, "run", "deck.toml", said="directory 'out' holds an unfinished run")
        program.succeed("run", "deck.toml", "--resume")
        after = results.read(out / "result.h5")
        for key, value in results.model(before).items():
            assert (after[key] == value).all()

    def test_a_result_without_a_status_is_not_overwritten(self, program: Program, out: Path) -> None:
        (out / "status").unlink()
        program.fail(2, "run", "deck.toml", said="directory 'out' holds a finished result")

    def test_its_own_result_may_be_the_weights_of_the_next(self, program: Program, out: Path) -> None:
        before = results.read(out / "result.h5")
        program.succeed("run", "deck.toml", "--force", "--set", "network.weights=out/result.h5")
        after = results.read(out / "result.h5")
        assert after["training/loss"][0] == before["loss@train_loss"]

    def test_bad_data_do_not_cost_it(self, program: Program, out: Path, ranks: int) -> None:
        before = contents(out)
        program.fail(3, "run", "deck.toml", "--force", "--set", "data.path=none.h5", ranks=ranks, said="none.h5")
        program.fail(2, "run", "deck.toml", "--force", "--set", "spectrum.count=99", ranks=ranks, said="99")
        assert contents(out) == before


def test_resume_starts_what_is_not_there(program: Program, ranks: int) -> None:
    write_deck(program.folder / "deck.toml")
    program.succeed("run", "deck.toml", "--resume", ranks=ranks)
    assert (program.folder / "out/status").read_text() == "done\n"


def test_other_files_of_the_folder_are_kept(program: Program) -> None:
    write_deck(program.folder / "deck.toml")
    (program.folder / "out").mkdir()
    (program.folder / "out/notes").write_text("mine")
    program.succeed("run", "deck.toml")
    program.succeed("run", "deck.toml", "--force")
    assert (program.folder / "out/notes").read_text() == "mine"


def test_a_second_run_is_kept_out_while_the_first_is_at_work(program: Program, ranks: int) -> None:
    # Without an end, but for the signal.
    write_deck(program.folder / "deck.toml", training={"max_epochs": 10**7, "stop_loss": 0.0})
    first = program.start("run", "deck.toml", ranks=ranks)
    first.wait_until((program.folder / "out/status").exists, "it had a status")
    program.fail(2, "run", "deck.toml", ranks=ranks, said="holds an unfinished run")
    for option in ("--resume", "--force"):
        program.fail(2, "run", "deck.toml", option, ranks=ranks,
                     said="directory 'out' is in use: another run is at work in it")
    first.send(signal.SIGTERM)
    check_failure(first.finish(), 5, "continue with --resume")
    assert (program.folder / "out/training.h5").exists()


class TestUnwritable:
    @pytest.mark.parametrize(("output", "said"), [
        ("deck.toml", "cannot write 'deck.toml': Not a directory"),
        ("deck.toml/below", "cannot write 'deck.toml/below': Not a directory"),
        ("/proc/none", "cannot write '/proc/none': "),
    ])
    def test_a_place_that_cannot_be_is_told(self, program: Program, ranks: int, output: str, said: str) -> None:
        write_deck(program.folder / "deck.toml")
        program.fail(4, "run", "deck.toml", "--output", output, ranks=ranks, said=said)

    @pytest.mark.parametrize("name", ["deck.original", "deck.resolved", "status", "training.h5", "spectrum.h5",
                                      "result.h5"])
    def test_each_file_that_cannot_be_written_is_told(self, program: Program, ranks: int, name: str) -> None:
        write_deck(program.folder / "deck.toml")
        obstacle = program.folder / "out" / f"{name}.part"
        obstacle.mkdir(parents=True)
        program.fail(4, "run", "deck.toml", ranks=ranks, said=f"cannot write 'out/{name}': Is a directory")
        assert not (program.folder / "out" / name).exists()
        assert not (program.folder / "out/result.h5").exists()
        obstacle.rmdir()
        program.succeed("run", "deck.toml", "--resume", ranks=ranks)
        assert sorted(contents(program.folder / "out")) == FILES

    def test_a_log_that_cannot_be_written_is_told(self, program: Program, ranks: int) -> None:
        write_deck(program.folder / "deck.toml")
        (program.folder / "out/log").mkdir(parents=True)
        program.fail(4, "run", "deck.toml", ranks=ranks, said="cannot write the log 'out/log'")
        assert not (program.folder / "out/status").exists()


class TestFullDisk:
    """A limit on the size of files stands for a disk without space: both fail a write half-way."""

    #: Where it happens: limit in bytes, training samples, changes of the deck, what is there afterwards.
    PLACES: dict[str, tuple[int, int, dict[str, Any], list[str]]] = {
        "deck.original": (256, 240, {}, []),
        "training.h5": (1 << 16, 240, {}, ["deck.original", "deck.resolved", "log", "status"]),
        # 855 eigenvectors are 6 MB, the weights 7 KB.
        "spectrum.h5": (3 << 20, 240, {"network": {"layers": [{"units": 30}, {"units": 15}, {"units": 3}]},
                                       "spectrum": {"block": "all", "which": "all"}},
                        ["deck.original", "deck.resolved", "log", "status", "training.h5"]),
        # Positions of the samples stand in the result alone.
        "result.h5": ((1 << 20) + (1 << 18), 60000, {"training": {"max_epochs": 0}, "spectrum": None,
                                                     "duality": None},
                      ["deck.original", "deck.resolved", "log", "status", "training.h5"]),
    }

    @pytest.mark.parametrize("name", PLACES)
    def test_ends_the_run_in_order(self, program: Program, ranks: int, name: str) -> None:
        limit, train, changes, left = self.PLACES[name]
        gate = Gate(program.folder, train)
        write_deck(program.folder / "deck.toml", data=gate.data, **changes)
        running = program.start("run", "deck.toml", ranks=ranks)
        gate.wait(running)
        for pid in running.rank_ids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))
        gate.open()
        check_failure(running.finish(), 4, f"cannot write 'out/{name}': File too large")
        out = program.folder / "out"
        assert sorted(contents(out)) == left
        if left:
            assert (out / "status").read_text() == f"failed: cannot write 'out/{name}': File too large\n"
        resumed = program.succeed("run", "deck.toml", "--resume", ranks=ranks)
        assert ("training: resumed" in resumed.out) == ("training.h5" in left)
        assert sorted(contents(out)) == FILES


def test_the_folder_of_a_run_can_be_copied(program: Program, out: Path) -> None:
    shutil.copytree(out, program.folder / "copy")
    assert "matched pairs" in program.succeed("info", "copy/result.h5").out


def test_parts_of_a_study_may_start_at_the_same_moment(program: Program, pool: Executor) -> None:
    write_deck(program.folder / "deck.toml", training={"max_epochs": 1}, spectrum=None, duality=None,
               study={"repeats": 3, "axes": []})
    for attempt in range(5):
        parts = [pool.submit(program, "study", "deck.toml", "--output", f"out{attempt}", "--part", f"{part}/3")
                 for part in (1, 2, 3)]
        for part in parts:
            check_success(part.result())
        assert len(list((program.folder / f"out{attempt}/runs").glob("*/result.h5"))) == 3
