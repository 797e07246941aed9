"""What a catalogue of figures is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ..table import Table


@dataclass(frozen=True)
class Plot:
    """A figure that a file has what it needs for; nothing is read before it is drawn.

    Attributes
    ----------
    kind
        What is drawn, `contributions` for instance.
    of
        Of which layer or block; empty for the whole file.
    caption
        What it shows, in one or two sentences.
    draw
        Draws it.
    data
        Gives what is drawn, as a table.
    """

    kind: str
    of: str
    caption: str
    draw: Callable[[], Figure]
    data: Callable[[], Table]

    @property
    def name(self) -> str:
        """Name of its file, without the ending."""
        return f"{self.kind}-{self.of}" if self.of else self.kind
