"""cancel: what has not started never does, what runs is asked to end, and what has ended stays as it is."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from typing import Any

import pytest

from jobrunner.clock import MINUTE, SECOND, Instant, SystemClock
from jobrunner.model import Due, Outcome, Run
from jobrunner.presence import boot_id
from jobrunner.registry import Registry
from jobrunner.settings import load
from jobrunner.store.base import RunFilter
from tests.cli.house import Done, House, a_node, command

pytestmark = pytest.mark.usefixtures("store_kind")


def pending(house: House, name: str = "a", *, ago: int = 0) -> Run:
    """Let one occurrence of a job that is in no state yet be pending, due some microseconds ago."""
    store, now = house.store(), SystemClock().now()
    node = a_node(started_at=now - ago - MINUTE)
    job = Registry.load(load({"project": str(house.root)}, os.environ)).find(name)
    with store.transaction():
        store.join(node)
        store.register(node.owner, [job], node.machine, node.started_at)
        standing = store.standings(node.owner, node.machine)[0]
        due = Due(scheduled_for=now - ago, effective_at=now - ago)
        assert store.consume(standing, now - ago, [due], job=job, supersede=None, node=node, now=now)
        store.leave(node.owner)
    run = store.runs(RunFilter(job=name, limit=1))[0]
    store.close()
    assert run.state == "pending"
    return run


def run_of(house: House, run: Run) -> Run:
    store = house.store()
    found = store.run(run.id)
    store.close()
    assert found is not None
    return found


def end(house: House, run: Run, state: Any = "canceled") -> None:
    store = house.store()
    assert store.finish(run, Outcome(state=state), 0, SystemClock().now())
    store.close()


def test_a_pending_run_never_starts(house: House) -> None:
    house.job("a", schedule="* * * * *")
    run = pending(house)
    done = house.call("cancel", str(run.id))
    assert (done.code, done.out) == (0, f"run {run.id} of a: canceled before it started\n")
    assert run_of(house, run).state == "canceled"


def test_a_running_run_is_asked_and_goes_on_until_its_node_ends_it(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    done = house.call("cancel", str(run.id))
    assert (done.code, done.out) == (0, f"run {run.id} of a: asked; its node ends it within its grace\n")
    found = run_of(house, run)
    assert (found.state, found.asked) == ("running", "canceled")


def test_of_a_run_that_has_ended_it_is_said_and_nothing_is_done(house: House) -> None:
    house.job("a")
    run = house.ran("a")
    done = house.call("cancel", str(run.id))
    assert (done.code, done.out) == (
        0,
        f"run {run.id} of a: nothing to do, it has ended already: succeeded\n",
    )
    assert house.call("audit", "--json").json == []


def test_a_run_that_never_was_is_code_3_and_no_other_is_touched(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    assert house.call("cancel", str(run.id), "4711").code == 3
    assert run_of(house, run).asked is None


@pytest.mark.stateless
def test_without_a_state_there_is_nothing_to_cancel_and_none_is_made(house: House) -> None:
    house.job("a")
    assert house.call("cancel", "1").code == 3
    assert house.call("cancel", "--all").code == 0
    assert house.call("cancel", "--job", "a").code == 0
    assert house.call("cancel", "--job", "b").code == 3
    assert house.stateless


@pytest.mark.parametrize(
    "args", [[], ["a"], ["1", "--all"], ["1", "--job", "a"], ["--state", "running"], ["1", "--before", "1h"]],
    ids=" ".join,
)  # fmt: skip
def test_what_cannot_be_meant_is_usage(house: House, args: list[str]) -> None:
    house.job("a")
    assert house.call("cancel", *args).code == 2


def test_all_runs_of_a_job_are_canceled_and_no_others(house: House) -> None:
    house.job("a")
    house.job("b")
    ours, theirs = [house.ran("a", "running") for _ in range(3)], house.ran("b", "running")
    found = house.call("cancel", "--job", "A", "--json").json
    assert found == [
        {"id": run.id, "job": "a", "was": "running", "is": "running", "calls": []} for run in ours
    ]
    assert run_of(house, theirs).asked is None


def test_jobs_whose_file_is_gone_can_be_canceled(house: House) -> None:
    path = house.job("a")
    run = house.ran("a", "running")
    path.unlink()
    assert house.call("cancel", "--job", "a").code == 0
    assert run_of(house, run).asked == "canceled"


def test_states_and_moments_choose_among_all(house: House) -> None:
    house.job("a", schedule="* * * * *")
    house.job("b")
    old, new = pending(house, ago=10 * MINUTE), house.ran("b", "running")
    assert house.call("cancel", "--all", "--before", "5m", "--yes", "--json").json[0]["id"] == old.id
    assert run_of(house, new).asked is None
    assert house.call("cancel", "--all", "--state", "pending", "--yes").out == "no run is open that fits\n"
    assert house.call("cancel", "--all", "--state", "running", "--yes", "--json").json[0]["id"] == new.id


def test_many_are_canceled_in_batches_and_each_leaves_a_line_in_the_trail(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobrunner.client.orders.BATCH", 2)
    house.job("a")
    runs = [house.ran("a", "running") for _ in range(5)]
    assert len(house.call("cancel", "--all", "--as", "ana", "--json").json) == 5
    assert all(run_of(house, run).asked for run in runs)
    found = house.call("audit", "a", "--json").json
    assert [(each["actor"], each["action"], each["detail"]) for each in found[::-1]] == [
        ("ana", "cancel-asked", f"run {run.id}") for run in runs
    ]


def test_the_trail_tells_what_was_canceled_from_what_was_asked_and_a_repeat_leaves_none(house: House) -> None:
    house.job("a", schedule="* * * * *")
    waits, runs = pending(house), house.ran("a", "running")
    for _ in range(2):
        assert house.call("cancel", str(waits.id), str(runs.id)).code == 0
    found = house.call("audit", "--json").json[::-1]
    assert [(each["action"], each["detail"]) for each in found] == [
        ("canceled", f"run {waits.id}"),
        ("cancel-asked", f"run {runs.id}"),
    ]


def test_that_somebody_asked_is_still_told_when_the_run_has_ended(house: House) -> None:
    house.job("a")
    asked, other = house.ran("a", "running"), house.ran("a", "running")
    assert house.call("cancel", str(asked.id)).code == 0
    end(house, asked, "succeeded")
    end(house, other, "succeeded")
    found = {run["id"]: run["cancelAsked"] for run in house.call("history", "--json").json}
    assert found == {asked.id: True, other.id: False}


def test_at_a_terminal_all_is_asked_for_and_no_means_no(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    assert answered(house, b"n\n").code == 0
    assert run_of(house, run).asked is None
    assert answered(house, b"y\n").code == 0
    assert run_of(house, run).asked == "canceled"


def answered(house: House, answer: bytes) -> Done:
    """Run `cancel --all` with somebody at the keyboard."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        command(["cancel", "--all"]), cwd=house.root, stdin=slave, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(slave)
    os.write(master, answer)
    try:
        said, talk = child.communicate(timeout=60)
    finally:
        os.close(master)
    assert "Cancel 1 run?" in talk
    return Done(child.returncode, said, talk)


# -- cancellable: false --------------------------------------------------------------------------------


def test_a_job_that_says_so_is_canceled_by_force_only(house: House) -> None:
    house.job("a", cancellable=False)
    house.register()
    run = house.ran("a", "running")
    for args in ([str(run.id)], ["--job", "a"], ["--all"]):
        done = house.call("cancel", *args)
        assert (done.code, "cancellable: false" in done.err, "--force" in done.err) == (4, True, True)
    assert run_of(house, run).asked is None
    assert house.call("cancel", str(run.id), "--force").code == 0
    assert run_of(house, run).asked == "canceled"


def test_a_job_that_no_node_has_seen_is_asked_for_its_file(house: House) -> None:
    house.job("a", cancellable=False)
    run = house.ran("a", "running")
    assert house.call("cancel", str(run.id)).code == 4


def test_of_many_those_that_may_not_be_canceled_are_left_and_named(house: House) -> None:
    house.job("a", cancellable=False)
    house.job("b")
    kept, ended = house.ran("a", "running"), house.ran("b", "running")
    done = house.call("cancel", "--all", "--json")
    assert (done.code, [each["id"] for each in done.json]) == (4, [ended.id])
    assert done.error["code"] == "refused"
    assert done.error["message"] == f"1 run is left as it is: a says cancellable: false (run {kept.id})"
    assert run_of(house, kept).asked is None


def test_a_run_that_has_ended_needs_no_force(house: House) -> None:
    house.job("a", cancellable=False)
    run = house.ran("a")
    assert house.call("cancel", str(run.id)).code == 0


# -- wait ----------------------------------------------------------------------------------------------


def test_wait_lasts_until_the_run_has_ended_and_tells_how(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    node = threading.Thread(target=end_when_asked, args=(house, run))
    node.start()
    done = house.call("cancel", str(run.id), "--wait")
    node.join()
    assert (done.code, done.out) == (0, f"run {run.id} of a: ended: canceled\n")


def test_a_run_by_hand_that_lives_is_waited_for_where_no_start_does(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    store = house.store()
    store._db.rows("UPDATE nodes SET role = 'run'")  # type: ignore[attr-defined]
    store.close()
    node = threading.Thread(target=end_when_asked, args=(house, run))
    node.start()
    done = house.call("cancel", str(run.id), "--wait")
    node.join()
    assert (done.code, done.out) == (0, f"run {run.id} of a: ended: canceled\n")


def end_when_asked(house: House, run: Run, limit: Instant = 60 * SECOND) -> None:
    """Do what a node does: look until the run is asked to end, then end it."""
    until = SystemClock().now() + limit
    while run_of(house, run).asked is None and SystemClock().now() < until:
        pass
    end(house, run)


DEAD = "its node here is dead; the next start records it as lost"


def test_of_a_run_whose_node_is_dead_it_is_said_and_wait_is_refused(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running", dead=True)
    done = house.call("cancel", str(run.id))
    assert (done.code, done.out) == (0, f"run {run.id} of a: {DEAD}\n")
    done = house.process("cancel", str(run.id), "--wait")
    assert (done.code, done.out) == (4, f"run {run.id} of a: {DEAD}\n")
    assert f"error: run {run.id} cannot be waited for: {DEAD}" in done.err
    done = house.process("cancel", str(run.id), "--wait", "--json")
    assert (done.code, done.error["code"]) == (4, "refused")
    assert done.json == [{"id": run.id, "job": "a", "was": "running", "is": "running", "calls": []}]


def test_a_run_that_no_known_node_owns_is_not_waited_for(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running")
    store = house.store()
    store.leave(run.owner or "")
    store.close()
    assert house.process("cancel", str(run.id), "--wait").code == 4


def test_where_another_node_will_find_a_dead_ones_run_that_is_waited_for(house: House) -> None:
    house.job("a")
    run = house.ran("a", "running", dead=True)
    house.register(pid=os.getpid(), boot_id=boot_id(), stays=True)
    node = threading.Thread(target=recover_when_asked, args=(house, run))
    node.start()
    done = house.call("cancel", str(run.id), "--wait")
    node.join()
    assert (done.code, done.out) == (0, f"run {run.id} of a: ended: lost\n")


def recover_when_asked(house: House, run: Run, limit: Instant = 60 * SECOND) -> None:
    until = SystemClock().now() + limit
    while run_of(house, run).asked is None and SystemClock().now() < until:
        pass
    store = house.store()
    store.recover(run.owner or "", SystemClock().now())
    store.close()
