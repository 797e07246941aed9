"""One self-contained HTML page on a result or a study, readable without a server."""

from __future__ import annotations

import os
from pathlib import Path

from ..reader import Result
from ..study import Study
from .of_result import result_page
from .of_study import study_page

__all__ = ["result_page", "study_page", "write_report"]


def write_report(file: Result | Study, path: Path) -> Path:
    """Write the page on a file; it appears whole or not at all.

    Parameters
    ----------
    file
        The open result or study.
    path
        The page's file; its folder is made when it is not there.

    Returns
    -------
    Path
        The page's file.
    """
    page = study_page(file) if isinstance(file, Study) else result_page(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
