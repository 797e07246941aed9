"""What a run shows while it trains: a bar to a person, lines to a file."""

from __future__ import annotations

import os
import pty

import pytest
import stops
from program import MPIEXEC, PROGRAM, Program


def on_a_terminal(folder: str, command: list[str]) -> str:
    """Run a command on a terminal and return what it showed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp(command[0], command)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            piece = b""
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown.decode()


@pytest.mark.parametrize("launcher", [[], [MPIEXEC, "-q", "--oversubscribe", "-np", "2"]], ids=["np1", "np2"])
def test_a_terminal_shows_a_bar(program: Program, launcher: list[str]) -> None:
    stops.prepare(program.folder, "training")
    shown = on_a_terminal(str(program.folder), [*launcher, PROGRAM, "run", "deck.toml"])
    assert "\r\033[K  training [" in shown
    assert " epochs  loss " in shown
    # The bar is gone before the next line.
    assert f"\r\033[Ktraining: {stops.EPOCHS} epochs" in shown
    assert "\033" not in (program.folder / "out/log").read_text()


def test_a_file_gets_lines(program: Program, ranks: int) -> None:
    stops.prepare(program.folder, "training")
    said = program.succeed("run", "deck.toml", ranks=ranks).out
    assert "\033" not in said and "\r" not in said
    assert f"\ntraining: {stops.EPOCHS} epochs" in said
