"""Several processes and one state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from jobrunner.store import open_store
from jobrunner.store.base import RunFilter
from jobrunner.store.contract.things import at, make_job, make_node, run_at
from tests.place import Place

CHILDREN = Path(__file__).with_name("children.py")


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, str(CHILDREN), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        with process:
            yield process
    finally:
        process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_process_killed_in_a_transaction_leaves_nothing_of_it_behind(place: Place) -> None:
    with closing(place.open()) as store:
        store.join(make_node("a"))
        with child("hold", place.url) as process:
            assert said(process) == "held"
            process.kill()
            process.wait()
        assert [node.owner for node in store.nodes()] == ["a"]
        assert (store.jobs(), store.open_runs()) == ([], [])
        store.seen("a", at(9))
        assert store.healthy() == "ok"


def test_two_processes_that_race_claim_each_run_once_and_count_exactly(place: Place) -> None:
    names = [f"j{number}" for number in range(5)]
    jobs = {name: make_job(name, concurrency="allow", number_of_executions=90) for name in names}
    with closing(place.open()) as store:
        for owner in ("a", "b"):
            store.join(make_node(owner))
            store.register(owner, list(jobs.values()), "", at(0))
        due = [run_at(second) for second in range(1, 101)]
        for standing in store.standings("a", ""):
            store.consume(
                standing,
                at(100),
                due,
                job=jobs[standing.job],
                supersede=None,
                node=make_node("a"),
                now=at(100),
            )
        claimed = [set(ids) for ids in race(place.url, place.folder / "go", "a", "b")]
        assert claimed[0] & claimed[1] == set()
        assert len(claimed[0] | claimed[1]) == 450
        states = Counter((run.state, run.reason) for run in store.runs(RunFilter(limit=1000)))
        assert states == {("running", None): 450, ("skipped", "limit"): 50}
        assert {standing.executions for standing in store.standings("a", "")} == {90}
        fences = [run.fence for run in store.open_runs()]
        assert len(set(fences)) == 450


def race(url: str, gate: Path, *owners: str) -> list[list[int]]:
    with child("race", url, owners[0], str(gate)) as one, child("race", url, owners[1], str(gate)) as two:
        assert (said(one), said(two)) == ("ready", "ready")
        gate.touch()
        return [json.loads(said(one)), json.loads(said(two))]


def test_processes_that_make_the_store_in_the_same_moment_get_the_same_one(unmade: Place) -> None:
    url, gate = unmade.url, unmade.folder / "go"
    with child("create", url, str(gate)) as one, child("create", url, str(gate)) as two:
        assert (said(one), said(two)) == ("ready", "ready")
        gate.touch()
        assert said(one) == said(two) != ""
    with closing(open_store(url)) as store:
        assert len(store.nodes()) == 2
    if url.startswith("sqlite:"):
        assert sorted(path.name for path in (unmade.folder / "s").iterdir()) == [".gitignore", "state.db"]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.sqlite
@pytest.mark.parametrize("mode", [0o444, 0o644])
def test_a_file_that_may_not_be_written_says_so(public_folder: Path, mode: int) -> None:
    path = public_folder / "state.db"
    with closing(open_store(f"sqlite://{path}", create=True)) as store:
        store.join(make_node("a"))
    path.chmod(mode)
    public_folder.chmod(0o755 if mode == 0o644 else 0o555)
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    if mode == 0o644 and os.geteuid():
        pytest.skip("needs another user")
    with child("write", f"sqlite://{path}", str(user)) as process:
        answer = said(process)
    public_folder.chmod(0o755)
    assert answer.startswith("read-only")
    assert str(path) in answer
