from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.project import Project
from tests.lifecycle.shared import Shared


@pytest.fixture
def project(tmp_path: Path, store_kind: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    """Yield a project, once with its state in a file, once in a database."""
    made = Project(tmp_path / "project") if store_kind == "sqlite" else _shared(tmp_path, request)
    yield made
    made.end()


def _shared(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    server, schema = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_schema")
    return Shared(tmp_path / "project", server, schema, grace="30s")
