"""What docs/reliability.md calls a test is one, and each of its rows names one or says why not."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.docs.pages import ROOT

PAGE = "docs/reliability.md"
TEST = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+)`")


def rows() -> list[str]:
    """Return the rows of all tables whose last column is `shown by`."""
    found: list[str] = []
    inside = False
    for line in (ROOT / PAGE).read_text("utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.endswith("| shown by |"):
            inside = True
        elif inside and not line.startswith("|---"):
            found.append(line)
    return found


@cache
def known() -> set[str]:
    """Return the names of all tests, those of the contract of stores, too."""
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "jobrunner" / "store" / "contract").rglob("*.py")]
    return {name for path in files for name in TEST.findall(path.read_text("utf-8"))}


def test_each_test_that_the_page_names_is_there() -> None:
    named = set(NAMED.findall((ROOT / PAGE).read_text("utf-8")))
    assert len(named) > 100
    assert sorted(named - known()) == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2:50])
def test_each_row_names_a_test_or_says_why_there_is_none(row: str) -> None:
    last = row.strip("|").split(" | ")[-1].strip()
    assert NAMED.search(last) or (last.startswith("no: ") and len(last) > len("no: because")), last


def test_the_crash_table_has_all_its_rows() -> None:
    numbers = [int(found[1]) for row in rows() if (found := re.match(r"\| (\d+) \|", row))]
    assert numbers == list(range(1, 16))
