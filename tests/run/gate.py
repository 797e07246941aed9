"""Holds a run while it reads its data, so that something can be done to it at a known place."""

from __future__ import annotations

import os
from pathlib import Path

from decks import write_idx
from program import Running


class Gate:
    """IDX files, one of which is a pipe: who reads them waits for the test."""

    def __init__(self, folder: Path, train: int = 240) -> None:
        # A pipe takes 64 KiB at once: so many labels at most.
        assert train < 65000
        write_idx(folder / "idx", train=train)
        self.data = {"source": "idx", "path": "idx"}
        self._path = folder / "idx" / "train-labels-idx1-ubyte"
        self._bytes = self._path.read_bytes()
        self._path.unlink()
        os.mkfifo(self._path)

    def wait(self, running: Running) -> None:
        """Return once the run stands at the gate."""
        self._pipe = -1

        def read_by_the_run() -> bool:
            try:
                self._pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
            return True

        running.wait_until(read_by_the_run, "it read its data")

    def open(self) -> None:
        """Let the run go on, and every later one."""
        os.write(self._pipe, self._bytes)
        self._path.unlink()
        self._path.write_bytes(self._bytes)
        os.close(self._pipe)
