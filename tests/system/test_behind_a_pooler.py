"""The state behind PgBouncer in transaction mode, which lends its two connections for a transaction each."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobrunner import connect
from tests.lifecycle.ledger import TICK, each_second_is_accounted_for_once, on_it_goes
from tests.lifecycle.project import alive, stop, wait_until
from tests.lifecycle.shared import Shared
from tests.postgres.server import Server
from tests.system.pooler import Pooler

HELD = """
note(f"held {ctx.attempt} {ctx.node} {os.getpid()}")
import time
time.sleep(300 if ctx.attempt == 1 else 0)
"""
ORDER = """
from jobrunner.workflow import step

config = {"name": "order", "schedule": None, "delivery": "exactly-once"}


def default(ctx, scheduler, state, book: str):
    charged = ctx.step("charge", str.upper, book)
    ctx.parallel(step("label", str.lower, book), step("van", len, book))
    ctx.wait_for("paid", timeout="60s")
    state.set("sold", [*state.get("sold", []), charged])
    scheduler.run_after("0s", "mail", book=book)
    return charged
"""
MAIL = 'config = {"name": "mail", "schedule": None}\n\n\ndef default(book: str):\n    return book\n'
ENTRY = re.compile(r"^\S+ \S+ \S+ \[\d+\] (\w+):  ", re.MULTILINE)
OF_A_SESSION = (
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "SET",
    "RESET",
    "DECLARE",
)
OF_THE_POOLER = re.compile(r"SET (application_name|client_encoding|DateStyle|TimeZone|standard_\w+)=", re.I)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that writes down every statement."""
    with Server(fsync=False, settings={"log_statement": "all"}) as made:
        yield made


@pytest.fixture(scope="module")
def narrow(server: Server) -> Iterator[Pooler]:
    """A pooler that has two connections for all."""
    with Pooler(server, {"default_pool_size": "2"}) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, server: Server, narrow: Pooler) -> Iterator[Shared]:
    schema = f"s_{secrets.token_hex(6)}"
    made = Shared(tmp_path / "p", server, schema, narrow.url(schema))
    yield made
    made.end()


@pytest.fixture
def since(project: Shared, server: Server) -> int:
    """Where the server's log ends before nodes and commands begin; the state was made past the pooler."""
    return server.log.stat().st_size


def statements(server: Server, since: int) -> list[str]:
    """Return what the server was told to do, in pieces; a prepared one as `EXECUTE name`."""
    text = server.log.read_bytes()[since:].decode()
    found: list[str] = []
    marks = [*ENTRY.finditer(text)]
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        said = text[mark.end() : after.start() if after else len(text)]
        kind, _, statement = said.partition(": ")
        if kind.startswith("execute ") and kind != "execute <unnamed>":
            found.append(f"EXECUTE {kind.removeprefix('execute ')}")
        elif kind in ("statement", "execute <unnamed>"):
            found += [" ".join(piece.split()) for piece in statement.split(";")]
    return found


def of_a_session(told: list[str]) -> list[str]:
    """Return what would outlive its transaction."""
    return [
        each for each in told
        if each.upper().startswith(OF_A_SESSION) and not each.startswith("SET LOCAL ")
        and not OF_THE_POOLER.match(each)
    ]  # fmt: skip


def test_nodes_and_commands_share_fewer_connections_than_they_are_and_leave_nothing_of_a_session_there(
    project: Shared, server: Server, since: int
) -> None:
    project.environment["JOBRUNNER_LEASE"] = "4s"
    project.job("tick", TICK)
    project.job("byhand", "note('by hand')", schedule=None)
    nodes = [project.join("one"), project.join("two")]
    on_it_goes(project)
    commands = [("ls",), ("history",), ("nodes",), ("doctor",), ("run", "byhand")]
    with ThreadPoolExecutor(len(commands)) as pool:
        done = list(pool.map(lambda command: project.run(*command), commands))
    assert [(each.args[5:], each.returncode, each.stderr) for each in done if each.returncode] == []
    assert "by hand" in project.notes()
    on_it_goes(project)
    assert [stop(node) for node in nodes] == [0, 0]
    each_second_is_accounted_for_once(project)
    told = statements(server, since)
    assert any(each.startswith("UPDATE") and each.count("meta SET changes") for each in told)
    assert of_a_session(told) == []


def test_a_run_of_a_killed_node_is_repeated_by_another_after_its_lease(project: Shared) -> None:
    project.job("tick", TICK)
    project.job("held", HELD, numberOfExecutions=1, delivery="at-least-once")
    victim = project.join("one")
    begun = wait_until(lambda: [line for line in project.notes() if line.startswith("held 1 one")], "the run")
    other = project.join("two")
    victim.kill()
    wait_until(lambda: project.states("held") == ["lost", "succeeded"], "the run to be repeated")
    assert not alive(int(begun[0].split()[3]))
    on_it_goes(project, "two")
    assert stop(other) == 0
    each_second_is_accounted_for_once(project)


def test_calls_steps_documents_and_cancels_keep_their_promises_and_leave_nothing_of_a_session(
    project: Shared, server: Server, narrow: Pooler, since: int
) -> None:
    (project.jobs / "order.py").write_text(ORDER)
    (project.jobs / "mail.py").write_text(MAIL)
    node = project.join("one")
    with connect(project.environment["JOBRUNNER_STATE"], project=project.root) as client:
        kept = client.trigger("order", book="Emma")
        dropped = client.run_after("1h", "order", book="Ulysses")
        assert project.run("cancel", str(dropped)).returncode == 0
        wait_until(lambda: client.run(kept).state == "waiting", "the order to wait")
        project.run("complete", str(kept), "paid", check=0)
        assert client.wait(kept, timeout=60).result == "EMMA"
        mails = wait_until(lambda: [each for each in client.runs("mail") if each.finished_at], "the mail")
        assert [(each.state, each.result) for each in mails] == [("succeeded", "Emma")]
        assert client.run(dropped).state == "canceled"
    assert stop(node) == 0
    assert project.ask("SELECT value FROM {schema}.documents WHERE key = 'sold'") == [('["EMMA"]',)]
    assert [row["job"] for row in json.loads(project.run("history", "--json", check=0).stdout)].count(
        "mail"
    ) == 1
    assert of_a_session(statements(server, since)) == []
