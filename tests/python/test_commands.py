"""The command line: its output, exit codes and messages."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import synthetic_study
from conftest import SCRIPTS
from dualscape.__main__ import main
from test_figures import NAMES


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, and return its exit code and what it wrote."""
    out, error = io.StringIO(), io.StringIO()
    words = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = main(words)
        except SystemExit as leave:
            code = leave.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


def test_is_a_program(path: Path, tmp_path: Path) -> None:
    for arguments, code in ((["summary", path], 0), (["summary", tmp_path / "nothing.h5"], 3)):
        done = subprocess.run([sys.executable, "-m", "dualscape", *map(str, arguments)],
                              env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, text=True,
                              capture_output=True, check=False, timeout=120)
        assert done.returncode == code
        assert "Traceback" not in done.stderr and bool(done.stdout) == (code == 0)


def test_figures_are_saved_and_named(path: Path, tmp_path: Path) -> None:
    done = run("figures", path, "--output", tmp_path / "figures")
    assert (done.returncode, done.stderr) == (0, "")
    saved = sorted((tmp_path / "figures").iterdir())
    assert {file.stem for file in saved} == set(NAMES)
    assert {file.suffix for file in saved} == {".png"}
    assert sorted(done.stdout.split()) == [str(file) for file in saved]


def test_figures_go_beside_the_result_by_default(path: Path) -> None:
    for given in (path, path.parent):
        done = run("figures", given, "--format", "svg", "--only", "training", "--csv")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [str(path.parent / f"training.{suffix}")
                                       for suffix in ("svg", "csv")]
        for name in done.stdout.split():
            assert Path(name).stat().st_size > 0
            Path(name).unlink()


def test_a_figure_that_is_not_there_exits_with_2(path: Path) -> None:
    done = run("figures", path, "--only", "trainings")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dualscape: there is no figure 'trainings' of this file; it has")
    assert done.stderr.count("\n") == 1


def test_a_studys_summary_and_tables(tmp_path: Path) -> None:
    contents = synthetic_study.study(failed=(1, 4), waiting=(11,))
    path = contents.write(tmp_path / "study.h5")
    done = run("summary", path)
    assert (done.returncode, done.stderr) == (0, "")
    for part in ("12 runs: 9 done, 2 failed, 1 waiting", "training.batch_size = 400",
                 f"runs/00004: failed: {synthetic_study.REASON}", "runs/00011: waiting", " 2/3 "):
        assert part in done.stdout
    assert "nan" not in done.stdout
    contents.datasets["runs/status"] = ["failed"] * 2 + ["done"] + ["failed"] * 9
    few = run("summary", contents.write(tmp_path / "few.h5"))
    assert " 1/3 " in few.stdout and "+- -" in few.stdout and "  -  " in few.stdout
    rows = list(csv.DictReader(io.StringIO(run("table", tmp_path).stdout)))
    assert [row["number"] for row in rows] == [str(number) for number in range(12)]
    gap = contents.datasets["scalars/duality/dense2/matched_gap"]
    assert rows[1]["duality/dense2/matched_gap"] == ""
    assert float(rows[2]["duality/dense2/matched_gap"]) == gap[2]
    written = tmp_path / "means.csv"
    assert run("table", path, "--means", "--output", written).stdout == f"{written}\n"
    means = list(csv.DictReader(written.read_text(encoding="utf-8").splitlines()))
    assert [row["done"] for row in means] == ["2", "2", "3", "2"]
    assert float(means[2]["duality/dense2/matched_gap:mean"]) == pytest.approx(gap[6:9].mean())


def test_a_table_needs_a_study(path: Path) -> None:
    done = run("table", path)
    assert done.returncode == 3
    assert done.stderr == f"dualscape: '{path}' holds a single run: 'table' needs a study.h5\n"


def test_a_folder_without_a_result_says_what_it_is(tmp_path: Path) -> None:
    unfinished, study = tmp_path / "run", tmp_path / "study"
    (study / "runs").mkdir(parents=True)
    unfinished.mkdir()
    (unfinished / "status").write_text("interrupted\n")
    for folder, message in ((unfinished, "its run is 'interrupted'"),
                            (study, "'dualscape collect "),
                            (tmp_path, "expected the folder of 'dualscape run'")):
        for command in ("report", "figures", "summary", "table"):
            done = run(command, folder)
            assert (done.returncode, done.stdout) == (3, "")
            assert message in done.stderr and done.stderr.count("\n") == 1




def test_the_summary_has_the_main_numbers_on_one_screen(path: Path) -> None:
    done = run("summary", path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    assert any("a synthetic network" in line for line in lines)


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "COMMAND"), (["plot", "result.h5"], "invalid choice: 'plot'"),
    (["figures"], "PATH"), (["report"], "PATH"),
    (["summary", "result.h5", "--output", "x"], "--output"),
    (["figures", "result.h5", "--format", "gif"], "gif")])
def test_bad_usage_exits_with_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr and "usage:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["figures", "summary", "table", "report"])
def test_an_unusable_file_exits_with_3(command: str, contents: synthetic.Contents,
                                       tmp_path: Path) -> None:
    contents.attributes["/", "filetype"] = "dualscape-checkpoint"
    checkpoint = contents.write(tmp_path / "checkpoint.h5")
    later = synthetic_study.study()
    later.set_attributes("/", version=np.array([2, 0]))
    deck = tmp_path / "deck.toml"
    deck.write_text("seed = 1\n")
    for file, message in ((tmp_path / "nothing.h5", "No such file or directory"),
                          (checkpoint, "has filetype 'dualscape-checkpoint'"),
                          (later.write(tmp_path / "later.h5"), "has layout version 2.0"),
                          (deck, "it is no HDF5 file")):
        done = run(command, file)
        assert done.returncode == 3
        assert done.stdout == ""
        assert done.stderr.startswith("dualscape: ") and done.stderr.count("\n") == 1
        assert message in done.stderr and str(file) in done.stderr


def test_a_file_with_a_part_missing_exits_with_3(contents: synthetic.Contents,
                                                 tmp_path: Path) -> None:
    del contents.datasets["spectrum/dense2/residuals"]
    done = run("summary", contents.write(tmp_path / "partial.h5"))
    assert done.returncode == 3
    assert "has no '/spectrum/dense2/residuals'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_cannot_be_written_exits_with_4(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("figures", path, "--output", tmp_path / "file")
    assert done.returncode == 4
    assert done.stderr.startswith("dualscape: cannot write: ")
    assert str(tmp_path / "file") in done.stderr and "Traceback" not in done.stderr
