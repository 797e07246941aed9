"""A folder with a small data set, and the program in it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
import studies
from decks import write_data
from program import Program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with data.h5."""
    write_data(tmp_path / "data.h5")
    return tmp_path


@pytest.fixture
def program(folder: Path) -> Program:
    """Return the program, run in that folder."""
    return Program(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the small study, undisturbed."""
    return studies.undisturbed(tmp_path_factory.mktemp("small"), studies.SMALL)


@pytest.fixture(scope="module")
def expected_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the long study, undisturbed."""
    return studies.undisturbed(tmp_path_factory.mktemp("long"), studies.LONG)


@pytest.fixture(params=[1, 2], ids=["np1", "np2"])
def ranks(request: pytest.FixtureRequest) -> int:
    """Return a number of ranks; each test that takes it runs at all of them."""
    return int(request.param)


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    """Return what runs several commands at a time: the start of MPI is mostly waiting."""
    with ThreadPoolExecutor(4) as executor:
        yield executor
