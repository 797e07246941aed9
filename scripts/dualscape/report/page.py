"""The frame of a page: style sheet, heading, contents, and the sections all pages have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..figures import Plot
from ..files import File
from .glossary import glossary
from .markup import Html, anchor, details, element, figure, join, number, section, table

STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5a6068; --back: #ffffff;
  --panel: #f4f5f7; --line: #d5d8dc; --link: #00589c; --warn: #a03c00; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e8; --soft: #a6acb3; --back: #16181b;
  --panel: #22262a; --line: #3d4349; --link: #7cbcf0; --warn: #f0a070; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1rem clamp(0.8rem, 3vw, 2rem) 4rem;
  color: var(--text); background: var(--back);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.6rem 0 0.2rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 0.6rem; padding-bottom: 0.2rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.6rem 0 0.4rem; }
a { color: var(--link); }
p { max-width: 46rem; }
.lead { color: var(--soft); margin: 0.2rem 0; }
.warn { color: var(--warn); font-weight: 600; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; list-style: none; padding: 0; }
.numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
  gap: 0.7rem; margin: 1.2rem 0; }
.numbers div { background: var(--panel); border-radius: 0.5rem; padding: 0.6rem 0.8rem; }
.numbers dt { color: var(--soft); font-size: 0.85rem; }
.numbers dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.figures { display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 29rem), 1fr)); align-items: start; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; padding: 0.5rem;
  border: 1px solid var(--line); border-radius: 0.5rem; }
figcaption { color: var(--soft); font-size: 0.88rem; margin-top: 0.4rem; }
figcaption b { color: var(--text); }
.scroll { overflow-x: auto; margin: 0.8rem 0 1.4rem; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0;
  border-bottom: 1px solid var(--line); min-width: 3.2rem; overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
td.number, thead th.number { text-align: right; }
td.number { white-space: nowrap; }
pre { background: var(--panel); border-radius: 0.5rem; padding: 0.8rem; font-size: 0.85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: 0.6rem 0; }
dl.glossary dt { font-weight: 600; margin-top: 0.6rem; }
dl.glossary dd { margin: 0 0 0 1.2rem; max-width: 46rem; }
@media (max-width: 56rem) {
  table.cards, table.cards tbody, table.cards caption { display: block; }
  table.cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  table.cards tr { display: block; background: var(--panel); border-radius: 0.5rem;
    margin-bottom: 0.7rem; padding: 0.4rem 0.8rem; }
  table.cards th { display: block; border: 0; padding: 0.2rem 0; }
  table.cards tbody th::before { content: attr(data-label) ": "; color: var(--soft);
    font-weight: 400; }
  table.cards td { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    padding: 0.1rem 0; text-align: right; white-space: normal; }
  table.cards td::before { content: attr(data-label); color: var(--soft); text-align: left;
    flex: none; max-width: 55%; }
}
@media (max-width: 40rem) { th, td { overflow-wrap: anywhere; } }
@media print { body { max-width: none; } figure, tr { break-inside: avoid; }
  nav { display: none; } }
"""


def page(title: str, lead: Sequence[object], sections: Sequence[tuple[str, Html]]) -> str:
    """Make a whole page.

    Parameters
    ----------
    title
        Its heading.
    lead
        Lines below the heading.
    sections
        Titles and contents; empty contents are left out.
    """
    kept = [(name, contents) for name, contents in sections if contents]
    contents = element("nav", element("ul", *(element("li", element("a", name,
                                                                    href=f"#{anchor(name)}"))
                                              for name, _ in kept)), aria_label="Contents")
    head = element("head", element("meta", charset="utf-8"),
                   element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                   element("title", title), element("style", Html(STYLE)))
    body = element("body", element("header", element("h1", title),
                                   *(element("p", line, class_="lead") for line in lead)),
                   contents, element("main", *(section(name, made) for name, made in kept)))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def origin(file: File) -> list[str]:
    """Return the lines below the heading that say where the numbers come from."""
    source = file.provenance
    return [f"{source.date}, dualscape {source.code_version}, {source.host}, "
            f"{source.ranks} rank{'' if source.ranks == 1 else 's'}, seed {source.seed}",
            str(file.path)]


def figures(plots: Iterable[Plot]) -> Html:
    """Make the figures of a section, in a grid where the screen is wide enough."""
    drawn = [figure(plot) for plot in plots]
    return element("div", *drawn, class_="figures") if drawn else Html("")


def closing(file: File) -> list[tuple[str, Html]]:
    """Make the sections all pages end with: deck, provenance and glossary."""
    decks = [details(f"{name} deck", element("pre", file.text(f"deck/{member}")))
             for name, member in (("The original", "original"),
                                  ("The resolved", "resolved")) if f"deck/{member}" in file]
    source = file.provenance
    rows: Mapping[str, str] = {
        "code version": source.code_version, "commit": source.git_commit,
        "sources changed since the commit": number(source.git_dirty),
        "libraries": ", ".join(source.library_versions), "MPI ranks": str(source.ranks),
        "BLAS threads a rank": str(source.threads), "seed": str(source.seed),
        "seconds": number(source.seconds), "date": source.date, "host": source.host,
        "command line": source.command_line, "layout version": ".".join(map(str, file.version))}
    provenance = table("Where the numbers come from", ("what", "value"), rows.items())
    return [("Deck", join(decks)), ("Provenance", provenance), ("Glossary", glossary())]
