"""Opening whatever a path leads to: a file, or the folder of a run or a study."""

from __future__ import annotations

from pathlib import Path

from .files import filetype_of
from .node import ResultError
from .reader import Result
from .study import Study

_FILES = ("study.h5", "result.h5")


def open_any(path: Path) -> Result | Study:
    """Open a result or a study.

    Parameters
    ----------
    path
        The file, or the folder that holds `study.h5` or `result.h5`.

    Raises
    ------
    ResultError
        If there is no such file, or it cannot be used.
    """
    file = _file_of(path)
    return Study(file) if filetype_of(file) == Study.filetype else Result(file)


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    raise ResultError(f"'{path}' has neither study.h5 nor result.h5{_reason(path)}")


def _reason(folder: Path) -> str:
    """Say what is known of a folder without a result."""
    status = folder / "status"
    if status.is_file():
        words = status.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip()
        hint = "" if words.startswith("failed") else "; 'dualscape run DECK --resume' goes on"
        return f": its run is '{words}'{hint}"
    if (folder / "runs").is_dir():
        return f": it looks like a study; 'dualscape collect {folder}' makes its study.h5"
    return "; expected the folder of 'dualscape run' or 'dualscape study'"
