"""Pages stand alone, are what they say in any browser, and no text breaks them."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import synthetic
import synthetic_study
from dualscape import Result, Study
from dualscape.report import write_report
from test_figures import NAMES

NASTY = '<script>alert("1")</script> & \'quotes\' </title> ü'
EMPTY = {"img", "meta"}


class Page(HTMLParser):
    """The parts of a page that the tests look at; refuses tags that do not close in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)
            self.words.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.words[tag][-1] += data

    def attributes(self, name: str) -> list[str]:
        return [values[name] or "" for _, values in self.tags if name in values]


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("study")
    contents = synthetic_study.study(failed=(1, 4), waiting=(11,), title=NASTY)
    with Study(contents.write(folder / "study.h5")) as study:
        return Page(write_report(study, folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("result")
    contents = synthetic.result()
    contents.set_attributes("/", title=NASTY, host=NASTY, command_line=f"run --set 'x={NASTY}'")
    contents.set_attributes("data", source=NASTY)
    contents.datasets["deck/original"] = f"title = '''{NASTY}'''\n# <pre> & </pre>\n"
    with Result(contents.write(folder / "result.h5")) as result:
        return Page(write_report(result, folder / "a" / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(params=["study_page", "result_page"])
def page(request: pytest.FixtureRequest) -> Page:
    return request.getfixturevalue(request.param)


def test_loads_nothing_from_elsewhere(page: Page) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"})
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert page.attributes("href") and set(page.attributes("href")) <= {f"#{name}" for name in ids}
    style, = page.words["style"]
    assert "url(" not in style and "@import" not in style
    for source in page.attributes("src"):
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True).startswith(b"\x89PNG")
    assert not re.search(r"\bon\w+=", page.text.partition("<body>")[0])


def test_can_be_read_by_everyone(page: Page) -> None:
    assert page.tags[0] == ("html", {"lang": "en"})
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        values for tag, values in page.tags if tag == "meta"]
    images = [values for tag, values in page.tags if tag == "img"]
    assert len(images) >= 6 and all(len(image["alt"] or "") > 20 for image in images)
    tables = [tag for tag, _ in page.tags].count("table")
    assert len(page.words["caption"]) == tables >= 3 and all(page.words["caption"])
    assert all(values.get("scope") in {"row", "col"} for tag, values in page.tags if tag == "th")
    assert "prefers-color-scheme: dark" in page.words["style"][0]


def test_texts_are_given_as_they_are(page: Page) -> None:
    assert page.words["title"] == page.words["h1"] == [NASTY]
    for title in ("Deck", "Provenance", "Glossary"):
        assert title in page.words["h2"]
    assert "nan" not in "".join(page.words["td"]).lower()


def test_a_result_has_its_decks_and_numbers(result_page: Page) -> None:
    assert result_page.words["pre"][0] == f"title = '''{NASTY}'''\n# <pre> & </pre>\n"
    assert result_page.words["pre"][1] == 'title = "größer"\nseed = 7\n'
    cells = result_page.words["td"]
    assert NASTY in cells and f"run --set 'x={NASTY}'" in cells
    assert "0123456789abcdef" in cells and "Open MPI 4.1.4, PETSc 3.18.5" in cells
    order = [words.split(" ")[0] for words in result_page.words["figcaption"]]
    assert order[:3] == ["training", "spectrum-dense2", "density-dense2"]
    assert len(order) == len(set(order)) and set(order) == set(NAMES)
    assert "Layer dense2" in result_page.words["h2"]


def test_a_study_has_every_run_with_its_reason(study_page: Page) -> None:
    rows = study_page.words["th"]
    for number in range(12):
        assert f"runs/{number:05d}" in rows
    cells = study_page.words["td"]
    assert cells.count(synthetic_study.REASON) == 2
    assert cells.count("✓ done") == 9 and cells.count("✗ failed") == 2
    assert cells.count("… waiting") == 1
    assert cells.count("2\u00a0of\u00a03") == 6 and cells.count("3\u00a0of\u00a03") == 2
    assert "3 of 12 runs are not done" in "".join(study_page.words["p"])
    assert all(f"training.batch_size = {value}" in cells for value in (25, 100, 400))


def test_a_study_without_a_done_run(tmp_path: Path) -> None:
    contents = synthetic_study.study(failed=tuple(range(12)))
    contents.remove("scalars")
    contents.remove("arrays")
    with Study(contents.write(tmp_path / "study.h5")) as study:
        page = Page(write_report(study, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "12 of 12 runs are not done" in "".join(page.words["p"])
    assert "img" not in {tag for tag, _ in page.tags}


def test_a_study_of_many_figures_names_those_left_out(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualscape.report.of_study.MOST_FIGURES", 1)
    with Study(synthetic_study.study().write(tmp_path / "study.h5")) as study:
        page = Page(write_report(study, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("img") == 1
    assert "5 more figures are made by 'python3 -m dualscape figures': gap-with-means-dense2," in (
        "".join(page.words["p"]))


def test_nothing_is_left_of_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    (tmp_path / "page.html" / "file").touch()
    with (Study(synthetic_study.study({}, 1, ()).write(tmp_path / "study.h5")) as study,
          pytest.raises(OSError)):
        write_report(study, tmp_path / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "study.h5"]
