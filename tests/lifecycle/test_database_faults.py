"""The database goes, is cut off, says nothing, comes back: nodes live on, and nothing is doubled or lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lifecycle.project import alive, stop, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.cut import Cut
from tests.postgres.server import Server

TICK = "note(f'tick {ctx.scheduled_for.timestamp():.0f}')"
HELD = """
note(f"begin {os.getpid()}")
import time
while not os.path.exists(GO):
    time.sleep(0.02)
note("end")
"""


@pytest.fixture
def server(postgres_own: Callable[..., Server]) -> Server:
    return postgres_own(fsync=False)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Shared]]:
    with ExitStack() as stack:

        def made(server: Server, url: str | None = None, lease: str = "20s") -> Shared:
            project = Shared(tmp_path / "project", server, "jobs", url)
            project.environment["JOBRUNNER_LEASE"] = lease
            stack.callback(project.end)
            return project

        yield made


def held(project: Shared, **config: object) -> Path:
    """Write a job that runs until a file is there; returns the file's path."""
    go = project.root / "go"
    project.job("held", HELD.replace("GO", repr(str(go))), numberOfExecutions=1, **config)
    return go


def ticks(project: Shared) -> list[str]:
    return [line for line in project.notes() if line.startswith("tick")]


def on_it_goes(project: Shared) -> None:
    """Wait until the ticking job has run some more."""
    before = len(ticks(project))
    wait_until(lambda: len(ticks(project)) > before + 1, "more ticks")


def nothing_is_doubled(project: Shared) -> None:
    assert [line for line, number in Counter(ticks(project)).items() if number > 1] == []


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restart_of_the_database_ends_no_run_and_no_node(
    make: Callable[..., Shared], server: Server, how: str
) -> None:
    project = make(server)
    project.job("tick", TICK)
    go = held(project)
    nodes = [project.join("one"), project.join("two")]
    wait_until(lambda: any(line.startswith("begin") for line in project.notes()), "the run")
    on_it_goes(project)
    server.stop(how)  # type: ignore[arg-type]
    wait_until(lambda: all("trying again" in project.words(each) for each in (0, 1)), "both to notice")
    go.touch()
    wait_until(lambda: "end" in project.notes(), "the run to end while nobody can record it")
    server.start()
    wait_until(lambda: project.states("held") == ["succeeded"], "the end to be recorded")
    on_it_goes(project)
    nothing_is_doubled(project)
    assert [stop(node) for node in nodes] == [0, 0]


def test_a_cut_that_is_shorter_than_the_lease_ends_no_run(
    make: Callable[..., Shared], server: Server
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"))
        project.job("tick", TICK)
        go = held(project)
        node = project.join("one")
        wait_until(lambda: any(line.startswith("begin") for line in project.notes()), "the run")
        cut.cut()
        wait_until(lambda: "trying again" in project.words(), "it to notice")
        go.touch()
        wait_until(lambda: "end" in project.notes(), "the run to end")
        cut.heal()
        wait_until(lambda: project.states("held") == ["succeeded"], "the end to be recorded")
        on_it_goes(project)
        nothing_is_doubled(project)
        assert stop(node) == 0


def test_a_node_that_is_cut_off_for_longer_than_its_lease_kills_its_runs_and_works_again_when_it_is_healed(
    make: Callable[..., Shared], server: Server
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"), lease="2s")
        held(project, delivery="at-least-once")
        project.job("tick", TICK)
        node = project.join("one")
        begun = wait_until(lambda: [x for x in project.notes() if x.startswith("begin")], "the run")
        cut.cut()
        wait_until(lambda: not alive(int(begun[0].split()[1])), "the run to be killed")
        wait_until(lambda: "the lease could not be renewed" in project.words(), "it to say so")
        cut.heal()
        wait_until(lambda: project.states("held") == ["lost", "running"], "another attempt")
        on_it_goes(project)
        nothing_is_doubled(project)
        assert stop(node) == 0


def test_nodes_that_were_cut_off_together_do_not_take_each_other_for_dead(
    make: Callable[..., Shared], server: Server
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"), lease="2s")
        go = held(project)
        project.job("other", HELD.replace("GO", repr(str(go))), numberOfExecutions=1)
        nodes = [project.join("one"), project.join("two")]
        wait_until(lambda: len(project.notes()) == 2, "both runs")
        cut.cut()
        go.touch()
        wait_until(lambda: project.notes().count("end") == 2, "both to end")
        wait_until(lambda: all("could not be renewed" in project.words(n) for n in (0, 1)), "both to stop")
        wait_until(lambda: all(_expired(server)), "both leases to end")
        cut.heal()
        wait_until(lambda: project.states("held") == project.states("other") == ["succeeded"], "both ends")
        assert [stop(node) for node in nodes] == [0, 0]


def _expired(server: Server) -> list[bool]:
    now = "extract(epoch FROM clock_timestamp()) * 1000000"
    return [row[0] for row in server.execute(f'SELECT {now} > seen_at + lease FROM "jobs".nodes')]


def test_time_outs_are_enforced_while_the_database_says_nothing(
    make: Callable[..., Shared], server: Server
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"))
        held(project, timeout="3s")
        node = project.join("one")
        begun = wait_until(lambda: [x for x in project.notes() if x.startswith("begin")], "the run")
        cut.silence()
        wait_until(lambda: not alive(int(begun[0].split()[1])), "the run to be ended")
        cut.heal()
        wait_until(lambda: project.states("held") == ["timed_out"], "its end to be recorded")
        assert stop(node) == 0


@pytest.mark.parametrize("point", ["commit-heard", "commit-unsent"])
@pytest.mark.parametrize("when", [5, 6, 7, 8, 9])
def test_a_connection_lost_around_a_commit_doubles_nothing_and_loses_nothing(
    make: Callable[..., Shared], server: Server, point: str, when: int
) -> None:
    project = make(server)
    project.job("tick", TICK, numberOfExecutions=3, misfire="all")
    mark = project.root / "mark"
    project.environment |= {
        "JOBRUNNER_TESTING": "1", "JOBRUNNER_FAILPOINT": f"{point}:dbgone:{when}",
        "JOBRUNNER_FAILPOINT_MARK": str(mark),
    }  # fmt: skip
    node = project.start("--until-done")
    assert node.wait(60) == 0
    assert mark.read_text() == f"{point} {when}\n"
    assert project.states("tick") == ["succeeded"] * 3
    assert len(ticks(project)) == 3
    nothing_is_doubled(project)


def test_work_goes_on_with_a_standby_that_took_over_and_nothing_is_doubled(
    make: Callable[..., Shared], server: Server
) -> None:
    with server.replica(synchronous=True, fsync=False) as standby:
        both = server.url("jobs").replace(
            f"127.0.0.1:{server.port}", f"127.0.0.1:{server.port},127.0.0.1:{standby.port}"
        )
        project = make(server, both)
        project.job("tick", TICK)
        go = held(project)
        node = project.join("one")
        wait_until(lambda: any(line.startswith("begin") for line in project.notes()), "the run")
        on_it_goes(project)
        server.stop("immediate")
        standby.promote()
        project._server = standby
        go.touch()
        wait_until(lambda: project.states("held") == ["succeeded"], "the end to be recorded")
        on_it_goes(project)
        nothing_is_doubled(project)
        assert stop(node) == 0
