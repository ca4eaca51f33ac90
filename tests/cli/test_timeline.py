"""show RUN: how far a workflow has come, and what was taken back."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.clock import SECOND, SystemClock
from jobrunner.model import Outcome, Run
from jobrunner.registry import Registry
from jobrunner.settings import load
from tests.cli.house import House, a_node

ERROR = {"type": "OSError", "message": "no\x1b[31m\nink", "traceback": "", "phase": "body"}
UNDO = {"target": ":refund", "args": None, "given": False}
TIMELINE = {
    "path", "state", "tries", "startedAt", "finishedAt", "took", "deadline", "result", "error", "undo",
}  # fmt: skip


def workflow(house: House, *, fails: bool = True, result: Any = None) -> Run:
    """Record a chain: charge done, ship/label done, ship failed, an event awaited; taken back as it fails."""
    house.job("order")
    store, me, now = house.store(), a_node(), SystemClock().now() - 60 * SECOND
    job = Registry.load(load({"project": str(house.root)}, {})).find("order")
    with store.transaction():
        store.join(me)
        job_id = store.enroll(job, now)
        run = store.run_here(job_id, job, me, 1, {}, identity="system", force=True, now=now).run
        store.begin_step(run, "charge", UNDO, now)
        end = now + 2 * SECOND
        store.end_step(run, "charge", tries=1, result=result, effects=None, error=None, now=end)
        store.begin_step(run, "ship", UNDO, now)
        store.begin_step(run, "ship/label", None, now)
        store.end_step(run, "ship/label", tries=3, result=1, effects=None, error=None, now=end)
        if fails:
            store.end_step(run, "ship", tries=1, result=None, effects=None, error=ERROR, now=end)
            failed = Outcome(state="failed", error=ERROR)
            store.finish(run, failed, 0, now + 3 * SECOND)
            again = store.again(run, now, now, undo=1)
            assert again is not None
            claim = store.start(again, me, 2, now + 4 * SECOND)
            assert claim is not None
            store.undone(claim.run, "charge", None, now + 5 * SECOND)
            store.undone(claim.run, "ship", ERROR, now + 5 * SECOND)
            store.finish(claim.run, failed, 0, now + 6 * SECOND)
            store.conclude(claim.run, failed, now + 6 * SECOND)
        else:
            store.wait_step(run, "approval", now + 3600 * SECOND, now)
            store.suspend(run, 0, now)
        store.leave(me.owner)
    store.close()
    return run


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table that begins so."""
    lines = text.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith(head))
    cells = []
    for line in lines[first + 1 :]:
        if not line:
            break
        cells.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return cells


def test_steps_are_shown_in_order_with_their_state_in_words(house: House) -> None:
    run = workflow(house)
    shown = house.call("show", str(run.id)).out
    charge, ship, label = rows(shown, "STEP")
    assert (charge[:3], charge[4:]) == (["charge", "taken back", "1"], ["2.00s"])
    assert (label[:3], label[4:]) == (["label", "done", "3"], ["2.00s"])
    assert ship[:3] == ["ship", "could not be taken back", "1"]
    assert ship[5] == "OSError: no\\x1b[31m\\nink; OSError: no\\x1b[31m\\nink"
    assert "\n  label" in shown  # below the step around it


def test_the_attempts_of_a_chain_are_shown_with_what_each_did(house: House) -> None:
    run = workflow(house)
    shown = house.call("show", str(run.id + 1)).out
    assert [(row[1], row[2], row[-1]) for row in rows(shown, "RUN")] == [
        ("1", "failed", "the body"),
        ("2", "failed", "took steps back"),
    ]
    assert "attempt 2, which took steps back" in house.call("history").out
    assert "took steps back" not in house.call("show", "order", "--json").out


def test_a_waiting_step_tells_until_when_and_one_around_it_goes_on(house: House) -> None:
    run = workflow(house, fails=False)
    found = house.call("show", str(run.id), "--json").json
    charge, ship, label, approval = rows(house.call("show", str(run.id)).out, "STEP")
    assert approval[:2] == ["approval", f"waits until {found['steps'][3]['deadline']}"]
    assert (charge[1], ship[1], label[1]) == ("done", "running", "done")


def test_a_step_that_its_run_left_behind_did_not_end(house: House) -> None:
    run = workflow(house, fails=False)
    store = house.store()
    store.cancel(run.id, SystemClock().now())
    store.close()
    shown = rows(house.call("show", str(run.id)).out, "STEP")
    assert [row[1] for row in shown if row[0] in ("ship", "approval")] == ["did not end", "did not end"]


def test_json_has_the_steps_with_the_fields_of_the_contract(house: House) -> None:
    run = workflow(house)
    found = house.call("show", str(run.id), "--json").json
    charge, ship, label = found["steps"]
    assert charge.keys() == ship.keys() == label.keys() == TIMELINE
    assert (charge["path"], charge["state"], charge["tries"], charge["took"]) == ("charge", "done", 1, 2.0)
    assert charge["undo"].keys() == {"state", "at", "error"}
    assert (charge["undo"]["state"], ship["undo"]["state"], label["undo"]) == ("done", "failed", None)
    assert ship["error"]["type"] == ship["undo"]["error"]["type"] == "OSError"
    assert [(each["state"], each["compensation"]) for each in found["attempts"]] == [
        ("failed", False),
        ("failed", True),
    ]


def test_a_run_without_steps_shows_none(house: House) -> None:
    house.job("a")
    run = house.ran("a")
    assert "STEP" not in house.call("show", str(run.id)).out
    found = house.call("show", str(run.id), "--json").json
    assert (found["steps"], len(found["attempts"])) == ([], 1)


def test_secrets_in_what_steps_returned_are_hidden(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t-t0ken")
    run = workflow(house, result={"token": "s3cr3t-t0ken"})
    shown = house.call("show", str(run.id), "--json")
    assert shown.json["steps"][0]["result"] == {"token": "***"}
    assert "s3cr3t" not in shown.out
