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
    name
        Name of its file, without the ending: `contributions-dense2` for instance.
    caption
        What it shows, in one or two sentences.
    draw
        Draws it.
    data
        Gives what is drawn, as a table.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]
    data: Callable[[], Table]

    @property
    def kind(self) -> str:
        """The part of its name that tells what is drawn."""
        return self.name.split("-")[0]
