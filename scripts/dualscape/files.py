"""Whole files: opened only when their type and version are known, closed at the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import h5py
import numpy as np

from .node import Node, ResultError, from_attributes

MAJOR_VERSION = 1


@dataclass(frozen=True)
class Provenance:
    """Where a file comes from."""

    title: str
    code_version: str
    git_commit: str
    git_dirty: bool
    library_versions: list[str]
    ranks: int
    threads: int
    seed: int
    date: str
    host: str
    command_line: str
    seconds: float | None = None


Opened = TypeVar("Opened", bound="File")


class File(Node):
    """A file of dualscape, open for reading; `with` closes it at the end.

    Nothing but the file's type and version is read on opening; arrays are read when they are first
    asked for, and kept.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ResultError
        If the file is missing, unreadable, of another type or of a version not known here.
    """

    filetype: ClassVar[str]
    expected: ClassVar[str]
    hints: ClassVar[dict[str, str]]

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        super().__init__(_open(self.path, self.expected))
        try:
            self._check()
        except ResultError:
            self.close()
            raise

    def __enter__(self: Opened) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        state = self._describe() if self._group else "closed"
        return f"<{type(self).__name__} '{self.path}': {state}>"

    def close(self) -> None:
        """Close the file; what has been read stays."""
        if self._group:
            self._group.file.close()

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the file's layout."""
        major, minor = self.attribute("version")
        return int(major), int(minor)

    @cached_property
    def provenance(self) -> Provenance:
        """Program, libraries, machine and command of the file."""
        return from_attributes(Provenance, self)

    @cached_property
    def deck_original(self) -> str:
        """The deck as it was given."""
        return self.text("deck/original")

    @cached_property
    def deck_resolved(self) -> str:
        """The deck with every default filled in."""
        return self.text("deck/resolved")

    def _nodes(self, name: str, kind: type[Any]) -> dict[str, Any]:
        """Make nodes of all groups inside one, by name; none when it is not there."""
        if name not in self:
            return {}
        members = self.member(name)
        return {child: kind(members[child]) for child in members}

    def _check(self) -> None:
        """Refuse another type of file and a version with another meaning."""
        attributes = self.attributes
        filetype = attributes.get("filetype", "none")
        if filetype != self.filetype:
            hint = self.hints.get(filetype, f"give {self.expected}")
            raise ResultError(
                f"'{self.path}' has filetype '{filetype}'; expected '{self.filetype}'; {hint}")
        version = np.atleast_1d(attributes.get("version", []))
        if version.size != 2 or version[0] != MAJOR_VERSION:
            found = ".".join(str(number) for number in version) or "none"
            writer = attributes.get("code_version", "unknown")
            raise ResultError(
                f"'{self.path}' has layout version {found}; this package reads {MAJOR_VERSION}.x; "
                f"use the scripts/dualscape of the dualscape that wrote it, version {writer}")


def _open(path: Path, expected: str) -> h5py.Group:
    """Open the file's root group."""
    try:
        with path.open("rb"):
            pass
        if h5py.is_hdf5(path):
            return h5py.File(path, "r")["/"]
        reason = "it is no HDF5 file"
    except IsADirectoryError:
        reason = "it is a folder"
    except OSError as error:
        reason = error.strerror or f"it is damaged ({error})"
    raise ResultError(f"cannot read '{path}': {reason}; expected {expected}")


def filetype_of(path: Path) -> str:
    """Return what a file says it is; empty when it does not, or cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return str(Node(file["/"]).attributes.get("filetype", ""))
    except (OSError, ResultError):
        return ""
