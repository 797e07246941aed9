"""The command line: every mistake has its status and one message that says what was expected."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import Executor, Future
from pathlib import Path

import h5py
import pytest
from decks import write_deck
from program import PROGRAM, Outcome, Program, check_failure

REFERENCE_PAGE = Path(__file__).resolve().parents[2] / "inputs" / "REFERENCE.md"


@pytest.fixture
def deck(program: Program) -> Path:
    """Return a deck that runs."""
    return write_deck(program.folder / "deck.toml")


#: Arguments and what the message says.
MISTAKES: list[tuple[list[str], str]] = [
    ([], "no command is given (expected run, study, collect, validate, plan, schema, info)"),
    (["vlaidate", "deck.toml"], "'vlaidate' is no command; did you mean 'validate'? (expected run,"),
    (["--fast"], "'--fast' is no command (expected run, "),
    (["run"], "run: deck is required; see dualscape run --help"),
    (["run", "deck.toml", "--focre"], "run: '--focre' is not expected; did you mean '--force'? (expected "),
    (["run", "deck.toml", "other.toml"], "run: 'other.toml' is not expected (expected --help, deck, --set"),
    (["run", "deck.toml", "--set"], "--set: 1 required section.key=value missing"),
    (["run", "deck.toml", "--resume", "--force"], "--resume excludes --force"),
    (["schema", "--format", "xml"], "--format: xml not in {md,json}"),
    (["info"], "info: file is required"),
    (["run", "none.toml"], "cannot read 'none.toml': No such file or directory"),
    (["validate", "none.toml"], "cannot read 'none.toml': No such file or directory"),
    (["run", "."], "cannot read '.': Is a directory"),
    (["run", "deck.toml", "--set", "seed"], "--set seed: expected section.key=value"),
    (["run", "deck.toml", "--set", "training.max_epoch=1"],
     "--set training.max_epoch=1: key 'training.max_epoch' is not known; did you mean 'max_epochs'?"),
    (["run", "deck.toml", "--set", "seed=1", "--set", "seed=x"],
     "--set seed=x: key 'seed': expected an integer, found the string"),
    (["run", "deck.toml", "--set", "network.layers.7.units=3"], "network.layers.7.units=3: "),
    (["run", "deck.toml", "--set", "output.directory="],
     "there is no folder for the results: set output.directory in the deck, or give --output"),
    (["run", "deck.toml", "--", "eps_ncv", "20"], "'eps_ncv' after -- is no option; expected -name"),
    (["run", "deck.toml", "--", "-eps_ncv", "20", "30"], "'30' after -- is no option"),
    (["validate", "deck.toml", "--", "-eps_ncv", "20"], "options after -- are for dualscape run and dualscape study alone"),
]


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory, pool: Executor) -> tuple[Path, list[Future[Outcome]]]:
    """Return the outcomes of all mistakes and the folder they were made in."""
    folder = tmp_path_factory.mktemp("mistakes")
    write_deck(folder / "deck.toml")
    return folder, [pool.submit(Program(folder), *arguments) for arguments, _ in MISTAKES]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=[" ".join(item[0]) for item in MISTAKES])
def test_a_mistake_is_told_in_one_message(mistakes: tuple[Path, list[Future[Outcome]]],
                                          number: int) -> None:
    folder, outcomes = mistakes
    outcome = check_failure(outcomes[number].result(), 2, MISTAKES[number][1])
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert [entry.name for entry in folder.iterdir()] == ["deck.toml"]


@pytest.mark.parametrize("arguments", [[], ["run", "deck.toml", "--set", "training.max_epoch=1"],
                                       ["info", "none.h5"]])
def test_two_ranks_tell_it_once(program: Program, deck: Path, arguments: list[str]) -> None:
    one, two = (program(*arguments, ranks=ranks) for ranks in (1, 2))
    assert (two.code, two.out, two.err) == (one.code, one.out, one.err)
    check_failure(two, 3 if "info" in arguments else 2, "")


def test_a_document_that_is_no_toml_is_told_with_its_line(program: Program, ranks: int) -> None:
    (program.folder / "broken.toml").write_text('title = "x"\nseed = = 3\n')
    for command in ("run", "validate"):
        program.fail(2, command, "broken.toml", ranks=ranks, said="broken.toml:2: ")
    assert not (program.folder / "out").exists()


def test_validate_lists_every_problem_with_its_line(program: Program) -> None:
    (program.folder / "bad.toml").write_text("""
seed = -1
[network]
activation = "rellu"
layers = [{ unit = 3 }]
[training]
batch_size = "many"
[spectrum]
block = "dense7"
""")
    outcome = program("validate", "bad.toml")
    assert outcome.code == 2
    problems = outcome.err.removeprefix("dualscape: ").splitlines()
    places = [problem.partition(": ")[0] for problem in problems]
    assert sorted(set(places)) == [f"bad.toml:{line}" for line in (2, 4, 5, 7, 9)]
    for said in ("key 'seed' must be >= 0", "must be one of: relu", "did you mean 'units'", "'training.batch_size'",
                 '"dense7"'):
        assert said in outcome.err
    run = program("run", "bad.toml", "--output", "out")
    assert (run.code, run.err) == (2, outcome.err)
    assert not (program.folder / "out").exists()


def test_validate_accepts_a_good_deck(program: Program, deck: Path, ranks: int) -> None:
    outcome = program.succeed("validate", "deck.toml", ranks=ranks)
    assert outcome.out == "deck.toml: no problems found\n"
    program.fail(2, "validate", "deck.toml", "--set", "seed=-1", said="seed=-1: key 'seed' must be >= 0",
                 ranks=ranks)


def test_schema_prints_the_reference_page(program: Program) -> None:
    assert program.succeed("schema").out == REFERENCE_PAGE.read_text(encoding="utf-8")
    assert program.succeed("schema", "--format", "md").out == REFERENCE_PAGE.read_text(encoding="utf-8")
    assert "learning_rate" in json.dumps(json.loads(program.succeed("schema", "--format", "json").out))


def test_output_that_cannot_be_written_is_an_error(program: Program) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "schema"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 4
    assert done.stderr == b"dualscape: cannot write to standard output\n"


def test_version_names_the_libraries(program: Program, ranks: int) -> None:
    lines = program.succeed("--version", ranks=ranks).out.splitlines()
    for line, start in zip(lines, ("dualscape ", "commit ", "", "PETSc ", "SLEPc ", "HDF5 ", "OpenBLAS "),
                           strict=True):
        assert line.startswith(start)
    assert ", kernel " in lines[-1]


def test_help_is_no_error(program: Program) -> None:
    assert "--resume" in program.succeed("run", "--help").out
    assert "validate" in program.succeed("--help").out


class TestInfo:
    def test_shows_what_a_result_holds(self, program: Program, deck: Path) -> None:
        program.succeed("run", "deck.toml")
        out = program.succeed("info", "out/result.h5", ranks=2).out
        for said in ("a small run", "1 rank, seed 6", "dense2 6 x 7", "trained for 30 epochs",
                     "hessian, 8 of 8 eigenpairs (largest)", "90 pairs (nearest-input, anchor test)",
                     "test - training loss", "matched pairs", "100.0 %", "sharpness sigma_g", "size sigma_w",
                     "duality exact to", "worst bound"):
            assert said in out
        assert len(out.splitlines()) <= 24
        with h5py.File(program.folder / "out/result.h5") as file:
            layer = file["duality/dense2"]
            for part in ("sharp", "flat"):
                low, high = layer["intervals"][part]
                line = next(line for line in out.splitlines() if part in line.split(",")[0])
                assert f"{layer.attrs[part + '_contribution']:.6g}" in line
                assert f"[{low:.4g}, {high:.4g}]" in line

    def test_shows_a_result_of_training_alone(self, program: Program) -> None:
        write_deck(program.folder / "deck.toml", spectrum=None, duality=None)
        program.succeed("run", "deck.toml")
        out = program.succeed("info", "out/result.h5").out
        assert "losses" in out and "spectrum" not in out and "duality" not in out

    @pytest.mark.parametrize(("name", "said"), [
        ("none.h5", "cannot open 'none.h5': No such file or directory"),
        ("deck.toml", "'deck.toml' is not an HDF5 file"),
        (".", "'.'"),
        ("data.h5", "'data.h5' has filetype none; expected dualscape-result"),
        ("future.h5", "'future.h5'"),
        ("hollow.h5", "'hollow.h5'"),
    ])
    def test_refuses_what_is_no_result(self, program: Program, deck: Path, ranks: int, name: str,
                                       said: str) -> None:
        for other, version in (("future.h5", [2, 0]), ("hollow.h5", [1, 0])):
            with h5py.File(program.folder / other, "w") as file:
                file.attrs["filetype"] = "dualscape-result"
                file.attrs["version"] = version
        program.fail(3, "info", name, ranks=ranks, said=said)


class TestSolverOptions:
    def test_are_used(self, program: Program, deck: Path, ranks: int) -> None:
        program.succeed("run", "deck.toml", "--", "-eps_ncv", "30", ranks=ranks)
        program.succeed("run", "deck.toml", "--output", "other", ranks=ranks)
        with h5py.File(program.folder / "out/result.h5") as one, \
                h5py.File(program.folder / "other/result.h5") as two:
            products = [file["spectrum/dense2"].attrs["matvecs"] for file in (one, two)]
            assert products[0] != products[1]
            assert "-- -eps_ncv 30" in one.attrs["command_line"]

    def test_that_nothing_used_are_an_error_that_keeps_the_result(self, program: Program, deck: Path,
                                                                  ranks: int) -> None:
        outcome = program.fail(2, "run", "deck.toml", "--", "-eps_nvc", "20", "-eps_ncv", "20", "-foo", ranks=ranks,
                               said="-eps_nvc, -foo after -- were not used by PETSc or SLEPc in this run; "
                                    "its result stands")
        assert "out/result.h5 written" in outcome.out
        assert (program.folder / "out/status").read_text() == "done\n"
        program.succeed("info", "out/result.h5")

    def test_of_a_resumed_run_may_have_no_use(self, program: Program, deck: Path, ranks: int) -> None:
        program.succeed("run", "deck.toml", ranks=ranks)
        outcome = program("run", "deck.toml", "--resume", "--", "-eps_nvc", "20", ranks=ranks)
        assert outcome.code == 0
        assert outcome.err == ("warning: -eps_nvc after -- was not used by PETSc or SLEPc in this run; its "
                               "result stands\n")

    @pytest.mark.parametrize(("options", "code", "said"), [
        (["-eps_ncv", "many"], 2, "an option after '--' is not accepted: "),
        (["-eps_type", "best"], 2, "an option after '--' is not accepted: "),
        (["-eps_ncv", "2"], 4, "EPSSolve failed with PETSc's code 95"),
    ])
    def test_that_cannot_be_are_told(self, program: Program, deck: Path, ranks: int, options: list[str],
                                     code: int, said: str) -> None:
        program.fail(code, "run", "deck.toml", "--", *options, ranks=ranks, said=said)
        assert (program.folder / "out/status").read_text().startswith("failed: ")
        # The training is kept: with good options only the rest is done.
        resumed = program.succeed("run", "deck.toml", "--resume", ranks=ranks)
        assert "training: resumed after epoch 30" in resumed.out
