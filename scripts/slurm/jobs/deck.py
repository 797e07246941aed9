"""What a submission needs to know of a deck; the program itself checks the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

from . import toml
from .toml import Problem


class Deck:
    """A deck with the settings of the command line.

    Parameters
    ----------
    path
        The deck file.
    settings
        The words after --set, "section.key=value".
    """

    def __init__(self, path: Path, settings: Sequence[str]) -> None:
        self.path = path
        self.settings = list(settings)
        self.table = toml.read(path)
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals:
                raise Problem(f"--set {setting}: expected section.key=value")
            self._set(key.strip().split("."), toml.value_of(value.strip()))

    def _set(self, keys: list[str], value: Any) -> None:
        table = self.table
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise Problem(f"--set {'.'.join(keys)}: '{key}' is no table in '{self.path}'")
        table[keys[-1]] = value

    def get(self, *keys: str) -> Any:
        """Return a value, or None where the deck leaves it to its default."""
        value: Any = self.table
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @property
    def is_study(self) -> bool:
        """Whether the deck describes many runs."""
        return "study" in self.table

    def folder(self, output: str | None) -> Path:
        """Return the folder of the run or study, from --output or else from the deck."""
        directory = output or self.get("output", "directory")
        if not directory or not isinstance(directory, str):
            raise Problem(f"'{self.path}' has no output.directory; set it, or give --output DIR")
        folder = Path(directory).absolute()
        if "\\" in str(folder):
            raise Problem(f"SLURM writes no log into a path with a backslash: '{folder}'; choose another with --output")
        return folder
