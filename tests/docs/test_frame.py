"""The shape of the package: sizes, and who may ask for the time. Arrows are in `.importlinter`."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

import jobrunner
from tests.docs.pages import ROOT

PACKAGE = ROOT / "jobrunner"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 350
P90_OF_FUNCTIONS = 12
LONGEST_FUNCTION = 40

CLOCKS = {
    ("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"),
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip
NOT_IN_SCHEDULE = {
    "os",
    "time",
    "threading",
    "random",
    "asyncio",
    "multiprocessing",
    "secrets",
    "sqlite3",
    "apsw",
}
FROM_CLOCK = {"Instant", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "from_datetime", "to_datetime"}


def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


def _functions() -> Iterator[tuple[int, str]]:
    """Yield the length of each function's body in lines, without its docstring, and its place."""
    for module in MODULES:
        for node in ast.walk(_tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                yield length, f"{_name(module)}:{node.lineno} {node.name}"


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_no_module_is_longer_than_350_lines(module: Path) -> None:
    lines = len(module.read_text("utf-8").splitlines())
    assert lines <= MOST_LINES


def test_functions_are_short() -> None:
    lengths = sorted(_functions())
    p90 = statistics.quantiles([length for length, _ in lengths], n=10)[-1]
    assert p90 <= P90_OF_FUNCTIONS, (
        f"nine of ten functions have up to {p90} lines; the longest: {lengths[-20:]}"
    )
    assert [where for length, where in lengths if length > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.name != "clock.py"], ids=_name)
def test_only_the_clock_asks_for_the_time(module: Path) -> None:
    asked = [
        f"{_name(module)}:{node.lineno} {node.value.id}.{node.attr}"
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCKS
    ]
    asked += [
        f"{_name(module)}:{node.lineno} from time import {name.name}"
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for name in node.names
        if ("time", name.name) in CLOCKS
    ]
    assert asked == []


@pytest.mark.parametrize("module", sorted((PACKAGE / "schedule").rglob("*.py")), ids=_name)
def test_schedules_are_arithmetic(module: Path) -> None:
    """No clock, no system, no chance: equal arguments, equal answers. Only the clock's units are taken."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
            assert not names & NOT_IN_SCHEDULE, f"{_name(module)}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.partition(".")[0] not in NOT_IN_SCHEDULE, f"{_name(module)}:{node.lineno}"
            if node.module == "jobrunner.clock":
                assert {alias.name for alias in node.names} <= FROM_CLOCK, f"{_name(module)}:{node.lineno}"


def test_the_map_in_the_package_names_every_module_and_no_other() -> None:
    doc = jobrunner.__doc__ or ""
    mapped = {line.split()[0].rstrip("/") for line in doc.splitlines() if line.startswith("    ")}
    parts = {
        each.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for each in MODULES
        if each.name != "__init__.py" or each.parent != PACKAGE
    }
    assert mapped == parts
