"""Plain tables: columns of equal length by name, which CSV files and pandas can take over."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import ArrayLike

from .node import Array

if TYPE_CHECKING:
    import pandas


class Table(Mapping[str, Array]):
    """Columns of equal length: `table["seconds"]` is an array, `dict(table)` holds all of them.

    Parameters
    ----------
    columns
        The columns by name, in order.
    units
        Units of those that have one, by the column's name.
    """

    def __init__(self, columns: Mapping[str, ArrayLike],
                 units: Mapping[str, str] | None = None) -> None:
        self._columns = {name: np.asarray(values) for name, values in columns.items()}
        self.units = {name: unit for name, unit in (units or {}).items() if unit}
        sizes = {values.shape for values in self._columns.values()}
        if any(len(shape) != 1 for shape in sizes) or len(sizes) > 1:
            raise ValueError(f"columns of a table have one length, not the shapes {sorted(sizes)}")

    def __getitem__(self, name: str) -> Array:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self.rows} rows: {', '.join(self)}>"

    @property
    def rows(self) -> int:
        """Number of rows."""
        return next((values.size for values in self._columns.values()), 0)

    def select(self, which: ArrayLike) -> Table:
        """Return the rows of a mask, or of positions, as a table."""
        chosen = np.asarray(which)
        return Table({name: values[chosen] for name, values in self.items()}, self.units)

    def records(self) -> Iterator[tuple[Any, ...]]:
        """Give the rows as tuples of plain values."""
        return zip(*(values.tolist() for values in self._columns.values()))

    def write_csv(self, target: TextIO) -> None:
        """Write the table as CSV: a header `name [unit]`, numbers to the last digit, NaN empty.

        Parameters
        ----------
        target
            An open text file.
        """
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(self._heading(name) for name in self)
        for record in self.records():
            writer.writerow("" if value != value else value for value in record)

    def save_csv(self, path: Path) -> Path:
        """Write the table into a CSV file, and return its path."""
        with path.open("w", encoding="utf-8", newline="") as file:
            self.write_csv(file)
        return path

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame; pandas has to be installed."""
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas() needs pandas, which is not installed; "
                              "dict(table) holds the columns as arrays") from None
        return pandas.DataFrame(dict(self))

    def _heading(self, name: str) -> str:
        return f"{name} [{self.units[name]}]" if name in self.units else name
