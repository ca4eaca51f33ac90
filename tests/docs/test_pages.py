from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import DATABASE, FENCED, PAGES, ROOT, Workbench, blocks, matches

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_example_of_the_page_is_true(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    needs = DATABASE in page.read_text("utf-8")
    state: str | None = request.getfixturevalue("postgres_url") if needs else None
    try:
        try_page(page, tmp_path / "first", state)
    except AssertionError:  # schedules of seconds: other tests may keep the machine busy for longer than that
        try_page(page, tmp_path / "second", state and f"{state}_again")


def try_page(page: Path, folder: Path, state: str | None) -> None:
    bench = Workbench(folder, state)
    for block in blocks(page):
        bench.do(block)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{_name(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(file), f"{_name(page)} links to {target}, and there is no such heading"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    headings = _HEADING.findall(FENCED.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for target in _LINK.findall(page.read_text("utf-8")):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.exists() and file not in reached:
                waiting.append(file)
    assert {_name(page) for page in PAGES} - {_name(page) for page in reached} == set()


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        ("a  b\n", "a b\n", True),
        ("a … c\n", "a b c\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\n", "a\n", True),
        ("a.c\n", "abc\n", False),
        ("", "told too much\n", False),
    ],
)
def test_placeholders(expected: str, actual: str, same: bool) -> None:
    assert matches(expected, actual) is same
