"""A hook runs in a child of its own, beside the runs and never in their way."""

from __future__ import annotations

from typing import Any

import pytest

from jobrunner.executor import serving
from jobrunner.executor.happened import HookEnded, HookOutput
from jobrunner.model import Outcome
from tests.executor.household import Household, alive, pid_in

FACTS = {"runId": 9, "state": "failed", "error": {"type": "E", "message": "no"}, "result": None}


def called(house: Household, number: int = 1, target: str = "hooks.py", **facts: Any) -> int:
    """Have a hook called, as soon as there is a spare; returns its number."""
    hook = {"name": facts.pop("name", "on_failure"), "target": target, "run": facts.pop("run", FACTS)}
    spec = house.spec(9, "job", {"hook": hook, **facts})
    house.until(lambda: house.pool.run_hook(spec, number))
    return number


def over(house: Household, number: int) -> Outcome:
    """Return how the hook ended."""

    def found() -> list[Outcome]:
        events = [one for one in house.events if isinstance(one, HookEnded)]
        return [one.outcome for one in events if one.number == number]

    house.until(lambda: bool(found()))
    assert len(found()) == 1
    return found()[0]


def said(house: Household, number: int = 1) -> bytes:
    """Return what the hook printed."""
    events = [one for one in house.events if isinstance(one, HookOutput)]
    return b"".join(one.data for one in events if one.number == number)


def hooks(house: Household, text: str) -> None:
    (house.root / "hooks.py").write_text(text)


def test_a_function_of_hooks_py_is_called_with_what_it_asks_for(house: Household) -> None:
    (house.root / "services.py").write_text(
        "def register(container): container.register('mail', lambda: 'post')"
    )
    hooks(
        house,
        "def on_failure(run, error, result, ctx, mail, params, a):\n"
        "    print(run.state, run['runId'], error['type'], result, ctx.run_id, mail, params, a)\n"
        "    return 'sent'\n",
    )
    outcome = over(house, called(house, params={"a": 1}))
    assert (outcome.state, outcome.result) == ("succeeded", "sent")
    assert said(house) == b"failed 9 E None 9 post {'a': 1} 1\n"


def test_the_facts_win_over_a_param_or_service_of_the_same_name(zygote_house: Household) -> None:
    hooks(zygote_house, "def on_failure(run, params): return [run.state, params]")
    outcome = over(zygote_house, called(zygote_house, params={"run": "param"}))
    assert outcome.result == ["failed", {"run": "param"}]


def test_a_hook_may_be_async(zygote_house: Household) -> None:
    hooks(
        zygote_house,
        "import asyncio\nasync def on_failure(run):\n    await asyncio.sleep(0)\n    return run.state",
    )
    assert over(zygote_house, called(zygote_house)).result == "failed"


def test_a_hook_may_be_a_function_of_a_module_or_of_the_jobs_own_file(zygote_house: Household) -> None:
    house = zygote_house
    (house.root / "alerts").mkdir()
    (house.root / "alerts" / "mail.py").write_text("def send(run): return ['mail', run.runId]")
    house.write("def default(ctx): return 'the body'\ndef _tell(run): return ['own', run.runId]")
    assert over(house, called(house, 1, "alerts.mail:send")).result == ["mail", 9]
    assert over(house, called(house, 2, ":_tell")).result == ["own", 9]
    source = "def default(ctx): ...\ndef _tell(run): return 'old'"
    assert over(house, called(house, 3, ":_tell", source=source)).result == "old"
    assert over(house, called(house, 4, ":send", file="")).state == "failed"


def test_a_hook_of_a_job_without_a_file_is_found_in_its_module(zygote_house: Household) -> None:
    (zygote_house.root / "packaged.py").write_text(
        "def work(ctx): return 'the body'\ndef tell(run): return run.state"
    )
    hook = {"name": "on_failure", "target": ":tell", "run": FACTS}
    spec = zygote_house.spec(9, "job", {"hook": hook, "file": "", "target": "packaged:work"})
    zygote_house.until(lambda: zygote_house.pool.run_hook(spec, 1))
    assert over(zygote_house, 1).result == "failed"


@pytest.mark.parametrize(
    ("text", "target", "phase", "word"),
    [
        ("def on_failure(run): raise ValueError('no post')", "hooks.py", "body", "no post"),
        ("def other(run): ...", "hooks.py", "import", "hooks.py has no function on_failure"),
        ("def on_failure(run: ...", "hooks.py", "import", "never closed"),
        ("", "missing.module:function", "import", "missing"),
        ("def on_failure(run, nonsense): ...", "hooks.py", "resolve", "nonsense"),
    ],
)
def test_a_hook_that_fails_says_why_and_nothing_else_happens(
    zygote_house: Household, text: str, target: str, phase: str, word: str
) -> None:
    hooks(zygote_house, text)
    outcome = over(zygote_house, called(zygote_house, target=target))
    assert outcome.error is not None
    assert (outcome.state, outcome.error["phase"]) == ("failed", phase)
    assert word in outcome.error["message"]
    assert all(isinstance(one, HookEnded | HookOutput) for one in zygote_house.events)


def test_without_a_hooks_py_the_outcome_says_so(zygote_house: Household) -> None:
    error = over(zygote_house, called(zygote_house)).error
    assert error is not None
    assert error["message"] == "there is no hooks.py in the project root"


def test_a_hook_whose_facts_are_no_json_fails_instead_of_the_node(zygote_house: Household) -> None:
    outcome = over(zygote_house, called(zygote_house, run={"result": {1, 2}}))
    assert outcome.error is not None
    assert outcome.error["type"] == "Unstorable"


def test_what_a_hook_asks_for_is_not_told_of_its_run(zygote_house: Household) -> None:
    hooks(zygote_house, "def on_failure(ctx):\n    ctx.progress(1)\n    ctx.heartbeat()")
    assert over(zygote_house, called(zygote_house)).state == "succeeded"
    assert [type(one) for one in zygote_house.events] == [HookEnded]


HANGS = """
import os, time
def on_failure(run):
    open("hook.tmp", "w").write(str(os.getpid())); os.rename("hook.tmp", "hook")
    print("up")
    time.sleep(1000)
"""


def test_hooks_take_no_slot_and_leave_runs_their_spares(house: Household) -> None:
    hooks(house, HANGS)
    for number in (1, 2, 3):
        called(house, number)
    house.until(lambda: len(house.pool.ready) == 2)
    house.write("import time\ndef default(ctx):\n    while not ctx.cancelled: time.sleep(0.01)\n")
    runs = [house.start(), house.start()]
    house.until(lambda: all(map(house.began, runs)))
    assert house.pool.ready == []
    for run_id in runs:
        house.pool.stop(run_id, "canceled", None)
        house.finish(run_id)
    house.until(lambda: len(house.pool.ready) == 2)


def test_a_hook_gets_a_spare_while_every_slot_is_taken(house: Household) -> None:
    hooks(house, "def on_failure(run): return run.state")
    house.write("import time\ndef default(ctx): time.sleep(1000)")
    runs = [house.start(), house.start()]
    house.until(lambda: all(map(house.began, runs)))
    assert over(house, called(house)).result == "failed"
    assert house.pool.ready == []
    assert [house.ended(run_id) for run_id in runs] == [None, None]


def test_without_a_spare_a_hook_has_to_wait(zygote_house: Household) -> None:
    hooks(zygote_house, "def on_failure(run): return 1")
    hook = {"name": "on_failure", "target": "hooks.py", "run": FACTS}
    assert not zygote_house.pool.run_hook(zygote_house.spec(9, "job", {"hook": hook}), 1)


@pytest.mark.parametrize(
    "stubborn", ["", "\n    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"]
)
def test_a_hook_that_takes_too_long_is_ended(
    house: Household, monkeypatch: pytest.MonkeyPatch, stubborn: str
) -> None:
    monkeypatch.setattr(serving, "HOOK_LIMIT", 300_000)
    house.pool._grace = 3_600_000_000
    monkeypatch.setattr(serving, "HOOK_GRACE", 400_000)
    hooks(house, HANGS.replace("(run):", f"(run):{stubborn}"))
    outcome = over(house, called(house))
    assert outcome.error is not None
    assert (outcome.state, outcome.error["message"]) == ("timed_out", "ran longer than its time-out of 0.3 s")
    assert not alive(pid_in(house.root / "hook"))


def test_a_hook_has_half_a_minute() -> None:
    assert (serving.HOOK_LIMIT, serving.HOOK_GRACE) == (30_000_000, 2_000_000)


@pytest.mark.parametrize("kill", [True, False])
def test_a_hook_under_way_does_not_hold_up_the_end_of_the_pool(house: Household, kill: bool) -> None:
    hooks(house, HANGS)
    called(house)
    house.until(lambda: b"up" in said(house))
    house.pool.close(kill=kill)
    house.events += house.pool.happened()
    outcome = over(house, 1)
    assert (outcome.state, outcome.reason) == ("canceled", "shutdown")
    assert not alive(pid_in(house.root / "hook"))


def test_stopping_a_run_does_not_stop_its_hook(zygote_house: Household) -> None:
    hooks(
        zygote_house, "import time\ndef on_failure(run):\n    print('up')\n    time.sleep(0.3)\n    return 1"
    )
    called(zygote_house)
    zygote_house.until(lambda: b"up" in said(zygote_house))
    zygote_house.pool.stop(9, "canceled", None, now=True)
    assert over(zygote_house, 1).result == 1


def test_the_end_of_a_hook_is_not_the_end_of_its_run(zygote_house: Household) -> None:
    house = zygote_house
    hooks(house, "def on_start(run): return run.state")
    house.write("import time\ndef default(ctx):\n    while not ctx.cancelled: time.sleep(0.01)")
    run_id = house.start()
    house.until(lambda: house.began(run_id))
    facts = {"runId": run_id, "state": "running"}
    assert over(house, called(house, name="on_start", run=facts, runId=run_id)).result == "running"
    assert house.ended(run_id) is None
    house.pool.stop(run_id, "canceled", None)
    assert house.finish(run_id).state == "succeeded"
