"""Where the package is, and the files the tests read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import synthetic  # noqa: E402
from dualscape import Result  # noqa: E402


@pytest.fixture
def contents() -> synthetic.Contents:
    """A whole result: all directions of a 6 x 5 layer."""
    return synthetic.result()


@pytest.fixture
def path(contents: synthetic.Contents, tmp_path: Path) -> Path:
    """The whole result as a file."""
    return contents.write(tmp_path / "result.h5")


@pytest.fixture
def result(path: Path) -> Iterator[Result]:
    """The whole result, open."""
    with Result(path) as opened:
        yield opened
