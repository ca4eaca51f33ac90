"""Each promise about hostile files and bodies is held by tests that there are, and each row serves one."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.hostile import files, promises
from tests.hostile.bodies import BODIES

TESTS = Path(__file__).parents[1]
TABLES = {
    "process": (promises.PROCESS, {body.name for body in BODIES}),
    "files": (promises.FILES, set(files.ROWS)),
}
PROMISES = [(table, event) for table, (rows, _) in TABLES.items() for event in rows]


@cache
def names_in(name: str) -> frozenset[str]:
    tree = ast.parse((TESTS / name).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("table", "event"), PROMISES)
def test_a_promise_is_held_by_tests_that_there_are(table: str, event: str) -> None:
    rows, known = TABLES[table]
    assert rows[event]
    for where in rows[event]:
        name, _, test = where.partition("::")
        assert test in names_in(name) if test else name in known, where
