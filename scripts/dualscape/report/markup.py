"""HTML that cannot be broken by the texts put into it: what is not Html is escaped."""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
from collections.abc import Iterable, Sequence

from .. import style
from ..figures import Plot


class Html(str):
    """Text that is markup already."""


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """Make an element.

    Parameters
    ----------
    name
        The tag.
    children
        Its contents; what is not Html is escaped.
    attributes
        Its attributes; `class_` is written class, an underscore within a name a hyphen, and those
        that are None are left out.
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
                      for key, value in attributes.items() if value is not None)
    if name in {"img", "meta"}:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Put contents together; what is not Html is escaped."""
    return Html("".join(child if isinstance(child, Html) else html.escape(str(child))
                        for child in children))


def number(value: object) -> str:
    """Write a value as a table shows it: six digits, a dash for nothing, yes or no for a flag."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−") if math.isfinite(value) else "–"
    return str(value)


def table(caption: str, headings: Sequence[object], rows: Iterable[Sequence[object]],
          cards: bool = False) -> Html:
    """Make a table; the first cell of a row names it.

    Parameters
    ----------
    caption
        What the table holds.
    headings
        The columns' names.
    rows
        The cells; numbers are written to six digits.
    cards
        Whether a narrow screen shows each row as a card, for tables of many columns.
    """
    rows = list(rows)
    numeric = [bool(rows) and all(map(_is_number, column)) for column in zip(*rows)]
    head = element("tr", *(element("th", name, scope="col", role="columnheader",
                                   class_="number" if right else None)
                           for name, right in itertools.zip_longest(headings, numeric)),
                   role="row")
    body = join(_row(headings, row) for row in rows)
    whole = element("table", element("caption", caption), element("thead", head, role="rowgroup"),
                    element("tbody", body, role="rowgroup"), role="table",
                    class_="cards" if cards else None)
    # A table too wide for the screen scrolls by itself, also by keyboard.
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(headings: Sequence[object], cells: Sequence[object]) -> Html:
    first, *others = cells
    made = [element("th", number(first) if not isinstance(first, Html) else first, scope="row",
                    role="rowheader", data_label=_text(headings[0]))]
    for heading, cell in zip(headings[1:], others):
        made.append(element("td", cell if isinstance(cell, Html) else number(cell), role="cell",
                            class_="number" if _is_number(cell) else None,
                            data_label=_text(heading)))
    return element("tr", *made, role="row")


def _is_number(cell: object) -> bool:
    return cell is None or isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _text(heading: object) -> str:
    """Return a heading without its markup, for an attribute."""
    if not isinstance(heading, Html):
        return str(heading)
    plain = heading.replace("<sub>", "_").replace("</sub>", "")
    return html.unescape(plain)


def figure(plot: Plot) -> Html:
    """Make a figure with its picture inside the page."""
    target = io.BytesIO()
    drawn = plot.draw()
    drawn.savefig(target, format="png", dpi=style.DPI)
    width, height = (round(size * style.DPI) for size in drawn.get_size_inches())
    picture = element("img", alt=f"{plot.name}: {plot.caption}", width=width, height=height,
                      src="data:image/png;base64," + base64.b64encode(target.getvalue()).decode())
    return element("figure", picture,
                   element("figcaption", element("b", plot.name), " — ", plot.caption))


def section(title: str, *children: object, level: str = "h2") -> Html:
    """Make a section with a heading that links can lead to."""
    return element("section", element(level, title), *children, id=anchor(title))


def anchor(title: str) -> str:
    """Return the name of a section in links."""
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())


def details(title: str, *children: object) -> Html:
    """Make a part that opens on demand."""
    return element("details", element("summary", title), *children)


def cards(values: Iterable[tuple[object, object]]) -> Html:
    """Make a row of the most important numbers with their names."""
    return element("dl", *(element("div", element("dt", name), element("dd", number(value)))
                           for name, value in values), class_="numbers")
