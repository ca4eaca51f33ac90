"""Which cells of the crash table a run of the tests has: over a database each costs a third of a second."""

from __future__ import annotations

import pytest

LEFT_TO_THE_SYSTEM_TESTS = ("freeze", "raise", "dbgone")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-cell", action="store_true", help="of the crash table, over a database too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--every-cell", default=False):
        return
    config.hook.pytest_deselected(items=[item for item in items if _is_left(item)])
    items[:] = [item for item in items if not _is_left(item)]


def _is_left(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return params.get("store_kind") == "postgres" and params.get("action") in LEFT_TO_THE_SYSTEM_TESTS
