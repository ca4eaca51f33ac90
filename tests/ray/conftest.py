from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobrunner.model import Chosen
from tests.executors.abroad import Abroad
from tests.lifecycle.project import Project
from tests.ray.clusters import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster for all tests that leave it as it is."""
    made = Cluster()
    yield made
    made.end()


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that the test may break."""
    made = Cluster()
    yield made
    made.end()


@pytest.fixture
def house(tmp_path: Path, cluster: Cluster) -> Iterator[Abroad]:
    """Runs on the cluster."""
    yield from opened(tmp_path, cluster)


@pytest.fixture
def own_house(tmp_path: Path, own_cluster: Cluster) -> Iterator[Abroad]:
    """Runs on the cluster that the test may break."""
    yield from opened(tmp_path, own_cluster)


def opened(root: Path, cluster: Cluster) -> Iterator[Abroad]:
    chosen = Chosen("ray", {"address": cluster.address, "numCpus": 1})
    made = Abroad(root, chosen, slots=4, lock_path=str(root / "zygote.lock"))
    made.pool.start()
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path / "project")
    yield made
    made.end()
