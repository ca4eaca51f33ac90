"""The database goes, is cut off, says nothing, comes back: nodes live on, and nothing is doubled or lost."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jobrunner.store import open_store
from tests.lifecycle.project import PATIENCE, alive, failing, stop, tagged, thaw, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.cut import Cut
from tests.postgres.server import USER, Server

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


def test_a_node_that_has_lost_its_lease_ends_when_asked_to_though_the_database_is_still_away(
    make: Callable[..., Shared], server: Server
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"), lease="2s")
        held(project)
        project.job("again", "note('again')\nimport time\ntime.sleep(600)", numberOfExecutions=1,
                    delivery="at-least-once")  # fmt: skip
        project.job("tick", TICK)
        node = project.start(TEST_TAG="lapsed")
        wait_until(lambda: {"begin", "again"} <= {line.split()[0] for line in project.notes()}, "both runs")
        cut.cut()
        wait_until(lambda: "the lease could not be renewed" in project.words(), "its runs to be killed")
        assert stop(node) == 0  # nobody has healed anything
        wait_until(lambda: not tagged("lapsed"), "all its processes to be gone")
        cut.heal()
        wait_until(lambda: all(_expired(server)), "its lease to end")
        before = len(ticks(project))
        other = project.join("two")
        wait_until(lambda: project.notes().count("again") == 2, "the second attempt")
        wait_until(lambda: len(ticks(project)) > before, "it to work")
        assert (project.states("held"), project.states("again")) == (["lost"], ["lost", "running"])
        nothing_is_doubled(project)
        assert stop(other) == 0


@pytest.mark.parametrize("anew", [False, True], ids=["dropped", "another in its place"])
def test_a_schema_that_is_taken_away_ends_its_node_and_what_it_runs(
    make: Callable[..., Shared], server: Server, anew: bool
) -> None:
    project = make(server)
    go = held(project)
    project.job("long", "note('long')\nimport time\ntime.sleep(600)", numberOfExecutions=1)
    node = project.start(TEST_TAG="dropped")
    wait_until(lambda: {"begin", "long"} <= {line.split()[0] for line in project.notes()}, "both runs")
    away = 'DROP SCHEMA "jobs" CASCADE'
    if anew:
        open_store(server.url("other"), create=True).close()
        away = f'BEGIN; {away}; ALTER SCHEMA "other" RENAME TO "jobs"; COMMIT'
    server.execute(away)
    go.touch()  # there is something to record, perhaps before the node looks around
    assert node.wait(PATIENCE) == 7
    said = "was replaced by another state while in use" if anew else "is not whole, or was dropped"
    assert said in project.words()
    assert "Traceback" not in project.words()
    wait_until(lambda: not tagged("dropped"), "all its processes to be gone")
    if anew:
        assert [project.ask(f"SELECT * FROM {{schema}}.{table}") for table in ("jobs", "audit")] == [[], []]


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
    node = project.start("--until-done", **failing(f"{point}:dbgone:{when}", mark))
    assert node.wait(60) == 0
    assert mark.read_text() == f"{point} {when}\n"
    assert project.states("tick") == ["succeeded"] * 3
    assert len(ticks(project)) == 3
    nothing_is_doubled(project)


@pytest.mark.parametrize("when", ["at once", "in a commit", "after a restart"])
def test_a_node_that_is_let_in_no_more_says_why_and_works_again_when_it_is_while_a_start_ends_at_once(
    make: Callable[..., Shared], server: Server, when: str
) -> None:
    project = make(server)
    project.job("tick", TICK)
    mark = project.root / "mark"
    node = project.start(**(failing("commit-unsent:freeze:300:9", mark) if when == "in a commit" else {}))
    wait_until(mark.exists if when == "in a commit" else lambda: ticks(project), "it to work")
    if when == "after a restart":
        server.execute(f"ALTER ROLE {USER} NOLOGIN")
        server.stop()
        wait_until(lambda: "cannot be reached" in project.words(), "it to notice")
        server.start()
    else:
        shut_out(server)
    if when == "in a commit":
        thaw(node)
    wait_until(lambda: SHUT in project.words(), "it to say so")
    late = project.start("--node", "two")
    assert late.wait(PATIENCE) == 7
    assert SHUT in project.words()
    server.execute(f"ALTER ROLE {USER} LOGIN")
    wait_until(lambda: "can be written again" in project.words(0), "it to be let in")
    on_it_goes(project)
    nothing_is_doubled(project)
    assert stop(node) == 0
    assert project.words(0).count(f"{SHUT}; trying again") == (0 if when == "in a commit" else 1)


def test_a_start_that_is_let_in_no_more_before_it_has_joined_ends_at_once(
    make: Callable[..., Shared], server: Server
) -> None:
    project = make(server)
    project.job("tick", TICK)
    node = project.start(**failing("commit-unsent:freeze:300", project.root / "mark"))
    wait_until((project.root / "mark").exists, "it to join")
    shut_out(server)
    thaw(node)
    assert node.wait(PATIENCE) == 7
    assert f"error: {project.url} {SHUT}\n" in project.words()
    assert project.living() == {}


def test_a_node_that_was_given_up_and_is_not_let_in_waits_for_that_before_it_works_as_another(
    make: Callable[..., Shared], server: Server
) -> None:
    project = make(server, lease="2s")
    project.job("tick", TICK)
    node = project.start("--node", "one", **failing("rejoining:freeze:300", project.root / "mark"))
    on_it_goes(project)
    other = project.join("two")
    node.send_signal(signal.SIGSTOP)
    wait_until(lambda: "is dead" in project.words(), "the other to give it up")
    assert stop(other) == 0
    node.send_signal(signal.SIGCONT)
    wait_until((project.root / "mark").exists, "it to begin again")
    shut_out(server)
    thaw(node)
    wait_until(lambda: f"{SHUT}; trying again" in project.words(0), "it to say so")
    server.execute(f"ALTER ROLE {USER} LOGIN")
    on_it_goes(project)
    nothing_is_doubled(project)
    assert stop(node) == 0


SHUT = f'refuses the user (role "{USER}" is not permitted to log in)'


def shut_out(server: Server) -> None:
    """Let nobody of ours in any more, and throw out who is."""
    server.execute(f"ALTER ROLE {USER} NOLOGIN")
    server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'")


@pytest.mark.parametrize(("point", "joined"), [("commit-heard", ["one"]), ("commit-unsent", [])])
def test_a_node_of_which_nobody_knew_whether_it_had_joined_is_one_node_when_the_database_is_back(
    make: Callable[..., Shared], server: Server, point: str, joined: list[str]
) -> None:
    with Cut(server) as cut:
        project = make(server, cut.url("jobs"))
        project.job("tick", TICK)
        mark = project.root / "mark"
        faults = failing(f"{point}:freeze:300,{point}:dbgone", mark)
        node = project.start("--node", "one", **faults)
        wait_until(mark.exists, "it to join")
        assert list(project.living()) == joined
        cut.cut()
        thaw(node)
        wait_until(
            lambda: "nobody knows yet whether a commit was heard" in project.words(), "it to be in doubt"
        )
        cut.heal()
        on_it_goes(project)
        assert list(project.living()) == ["one"]
        assert project.ask("SELECT count(*) FROM {schema}.audit WHERE action = 'node-start'") == [(1,)]
        nothing_is_doubled(project)
        assert stop(node) == 0
        assert project.living() == {}


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
