"""The command line: its output, exit codes and messages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from conftest import SCRIPTS


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run python3 -m dualscape."""
    return subprocess.run([sys.executable, "-m", "dualscape", *map(str, arguments)],
                          env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, text=True,
                          capture_output=True, check=False, timeout=120)


def test_figures_are_saved_and_named(path: Path, tmp_path: Path) -> None:
    done = run("figures", path, "--output", tmp_path / "figures")
    assert (done.returncode, done.stderr) == (0, "")
    saved = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in saved] == [
        "contributions-dense2.png", "determinants-dense2.png", "spectrum-dense2.png",
        "training.png"]
    assert sorted(done.stdout.split()) == [str(file) for file in saved]


def test_figures_go_beside_the_result_by_default(path: Path) -> None:
    assert run("figures", path, "--format", "svg").returncode == 0
    assert (path.parent / "training.svg").stat().st_size > 0


def test_the_summary_has_the_main_numbers_on_one_screen(path: Path) -> None:
    done = run("summary", path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    assert any("a synthetic network" in line for line in lines)


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "COMMAND"), (["plot", "result.h5"], "invalid choice: 'plot'"),
    (["figures"], "RESULT.h5"), (["summary", "result.h5", "--output", "x"], "--output"),
    (["figures", "result.h5", "--format", "gif"], "gif")])
def test_bad_usage_exits_with_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr and "usage:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["figures", "summary"])
def test_an_unusable_file_exits_with_3(command: str, contents: synthetic.Contents,
                                       tmp_path: Path) -> None:
    contents.attributes["/", "filetype"] = "dualscape-checkpoint"
    checkpoint = contents.write(tmp_path / "checkpoint.h5")
    for file, message in ((tmp_path / "nothing.h5", "No such file or directory"),
                          (checkpoint, "has filetype 'dualscape-checkpoint'")):
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
