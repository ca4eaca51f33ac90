"""What runs ask for, what their commit applies, and what becomes of them when it cannot: turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from jobrunner.clock import MINUTE, SECOND
from jobrunner.compensation import MOST_LOST
from jobrunner.errors import StateError
from jobrunner.events import ChainEnded, Compensating, Conflicted, JobFinished, Suspended, WaitedInVain
from jobrunner.executor import Asked, Began, Output
from jobrunner.fingerprint import of_versions
from jobrunner.model import Outcome, Parameter, Retries, Run
from jobrunner.recording import MOST_CONFLICTS
from jobrunner.store.base import Effects, Write
from tests.desk import BAD, CRASH, GOOD, Desk, House
from tests.fakes import a_job
from tests.place import Place

WAITING = Outcome(state="waiting")
GIVEN = {"target": ":take_back", "args": [[1], {}], "given": True}


class Body:
    """A running body, as the node hears of it."""

    def __init__(self, desk: Desk, run_id: int) -> None:
        self.desk = desk
        self.id = run_id
        self._count = 0

    @property
    def answers(self) -> dict[int, dict[str, Any]]:
        """What it was told so far."""
        told = self.desk.executor.heard
        return {number: answer for (run_id, number), answer in told.items() if run_id == self.id}

    def ask(self, verb: str, **payload: Any) -> int:
        """Ask for something."""
        self._count += 1
        self.desk.executor.happen(Asked(self.id, self._count, verb, payload))
        return self._count

    def told(self, verb: str, **payload: Any) -> dict[str, Any]:
        """Ask for something and return the answer."""
        number = self.ask(verb, **payload)
        self.desk.turn()
        return self.answers[number]

    def effects(self, **told: Any) -> None:
        """Tell what the commit is to apply."""
        self.ask("effects", **told)

    def end(self, outcome: Outcome = GOOD) -> None:
        """Reply, and let the node do a turn."""
        self.desk.executor.end(self.id, outcome)
        self.desk.turn()


class Office(House):
    """A house whose desk listens to bodies."""

    desk: Desk

    def work(self, *jobs: Any, **how: Any) -> Desk:
        """Start a node."""
        self.desk = self.open(*jobs, **how)
        return self.desk

    def begin(self) -> Body:
        """Let the next minute come, and return the body that it starts."""
        known = set(self.desk.executor.specs)
        self.desk.turn(MINUTE)
        return self.started(known)

    def started(self, known: set[int]) -> Body:
        """Return the body that was started beside those."""
        (new,) = set(self.desk.executor.specs) - known
        return Body(self.desk, new)


@pytest.fixture
def office(place: Place) -> Iterator[Office]:
    made = Office(place)
    yield made
    made.close()


EXACTLY: dict[str, Any] = {"delivery": "exactly-once", "config": {"name": "job", "schedule": "* * * * *"}}
ON_DEMAND = a_job("other", None)


def _value(desk: Desk, key: str) -> Any:
    found = desk.store.document(key)
    return None if found is None else found.value


def _meet(office: Office, body: Body, value: int) -> None:
    """Write what the body has read, before it ends."""
    office.desk.store.write_documents(_run(office.desk, body), [Write("key", value)], office.clock.now())


def _turn_in_vain(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do a turn whose transaction fails at its end."""

    def refuse(*_: object) -> bool:
        raise StateError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "seen", refuse)
        patch.setattr(desk.store, "knows", refuse)
        with pytest.raises(StateError):
            desk.turn()


def _run(desk: Desk, body: Body) -> Run:
    found = desk.store.run(body.id)
    assert found is not None
    return found


# -- requests ---------------------------------------------------------------------------------------


def test_a_write_is_answered_when_it_is_committed_and_not_before(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    number = body.ask("state.write", writes=[["key", 1, False]])
    desk.dispatcher.notice()
    assert number not in body.answers
    assert desk.dispatcher.must_turn(office.clock.now())
    desk.turn()
    assert body.answers[number] == {"existed": [False]}
    assert _value(desk, "key") == 1


def test_a_read_is_answered_at_once(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    body.told("state.write", writes=[["key", 1, False], ["kex", 2, False]])
    number = body.ask("state.get", key="key")
    desk.dispatcher.notice()
    assert body.answers[number]["value"] == 1
    number = body.ask("state.list", prefix="ke")
    desk.dispatcher.notice()
    assert [each[:2] for each in body.answers[number]["documents"]] == [["kex", 2], ["key", 1]]
    assert body.answers[number]["more"] is False


def test_what_could_not_be_committed_is_asked_for_again_by_the_next_turn(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.work(a_job())
    body = office.begin()
    number = body.ask("state.write", writes=[["key", 1, False]])
    _turn_in_vain(desk, monkeypatch)
    assert number not in body.answers
    assert _value(desk, "key") is None
    desk.turn()
    assert body.answers[number] == {"existed": [False]}
    assert _value(desk, "key") == 1


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("state.write", {}),
        ("state.write", {"writes": [1]}),
        ("state.get", {"key": None, "more": 1} | {"key": {}}),
        ("call", {"job": "other"}),
        ("step.end", {"path": "x"}),
        ("nonsense", {}),
    ],
)
def test_a_request_of_the_wrong_shape_is_answered_with_an_error_and_harms_nobody(
    office: Office, verb: str, payload: Mapping[str, Any]
) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    assert "code" in body.told(verb, **payload).get("error", {}), body.answers
    body.end()
    assert desk.ledger("job") == ["1 succeeded"]


def test_an_unknown_target_is_an_error_that_names_near_ones(office: Office) -> None:
    office.work(a_job(), ON_DEMAND)
    body = office.begin()
    ask = {"delay": 0, "params": {}, "identity": "system", "immediate": False}
    error = body.told("call", job="othr", **ask)["error"]
    assert error["code"] == "unknown-job"
    assert "other" in error["hint"]


def test_a_call_that_lacks_what_no_service_can_bring_is_refused(office: Office) -> None:
    takes = (Parameter("order", "int"), Parameter("mine", "Shop"), Parameter("note", "", required=False))
    office.work(a_job(), a_job("other", None, parameters=takes))
    ask = {"job": "other", "delay": 0, "identity": "system", "immediate": False}
    body = office.begin()
    error = body.told("call", params={}, **ask)["error"]
    assert (error["code"], error["argument"]) == ("usage", "order")
    assert 'other needs the param "order"' in error["message"]
    assert "id" in body.told("call", params={"order": 1}, **ask)
    (office.place.folder / "services.py").write_text("def register(container): pass\n")
    assert "id" in body.told("call", params={}, **ask)


# -- calls ------------------------------------------------------------------------------------------


def _call(body: Body, *, immediate: bool = False, delay: int = 0) -> int:
    ask = {"delay": delay, "params": {}, "identity": "system", "immediate": immediate}
    answer = body.told("call", job="other", **ask)
    if not immediate:
        body.effects(calls=[[answer["id"], "other", answer["at"], {}, "system"]])
    return int(answer["id"])


def test_calls_of_a_run_that_succeeds_are_made_with_its_success_under_their_numbers(office: Office) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    numbers = [_call(body) for _ in range(3)]
    assert desk.runs(job="other") == []
    body.end()
    made = desk.runs(job="other")
    assert [run.id for run in made] == numbers
    assert {run.parent_id for run in made} == {body.id}
    assert {run.trigger for run in made} == {"call"}


@pytest.mark.parametrize("outcome", [BAD, CRASH, Outcome(state="skipped", reason="body")])
def test_calls_of_a_run_that_does_not_succeed_are_not_made_but_for_immediate_ones(
    office: Office, outcome: Outcome
) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    _call(body)
    now = _call(body, immediate=True)
    _call(body)
    body.end(outcome)
    assert [run.id for run in desk.runs(job="other")] == [now]


def test_numbers_that_a_failed_transaction_reserved_are_not_given_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    ask = {"delay": 0, "params": {}, "identity": "system", "immediate": False}
    number = body.ask("call", job="other", **ask)
    _turn_in_vain(desk, monkeypatch)
    desk.turn()
    first = body.answers[number]["id"]
    # whoever makes a run now gets a number beyond those that were reserved
    assert desk.store.reserve(1) >= first + 100


def test_a_call_whose_job_is_no_more_fails_when_it_is_due(office: Office) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    _call(body, immediate=True, delay=10 * MINUTE)
    desk.adopt(a_job())
    held = {"definitions": desk._definitions([a_job()], [])}
    assert desk.joining.fail_calls(held["definitions"], office.clock.now()) == []
    office.clock.advance(10 * MINUTE)
    desk.joining.fail_calls(held["definitions"], office.clock.now())
    (run,) = desk.runs(job="other")
    assert (run.state, run.reason) == ("failed", "orphan")
    assert desk.facts("other").last_state == "failed"


# -- exactly once -----------------------------------------------------------------------------------


def test_what_a_run_has_read_and_another_has_changed_makes_it_run_again_as_the_same_run(
    office: Office,
) -> None:
    desk = office.work(a_job(**EXACTLY, number_of_executions=5))
    body = office.begin()
    before = _run(desk, body)
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["key", 99, False]])
    body.end()
    assert desk.said(Conflicted)
    again = _run(desk, body)
    assert (again.state, again.conflicts, again.attempt) == ("running", 1, 1)
    assert again.fence > before.fence
    assert _value(desk, "key") == 1
    version = desk.store.document("key")
    assert version is not None
    desk.turn(SECOND)
    assert desk.executor.specs[body.id]["fence"] == again.fence
    body.effects(reads={"key": version.version}, writes=[["key", 100, False]])
    body.end()
    assert _value(desk, "key") == 100
    assert desk.ledger() == ["1 succeeded"]
    assert desk.facts().executions == 1


def test_a_run_that_only_reads_never_conflicts(office: Office) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, prefixes={"k": "nothing like it"})
    body.end()
    assert desk.ledger() == ["1 succeeded"]


def test_what_a_run_has_read_is_looked_at_once_when_it_commits(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    looked, stale = [], desk.store.stale

    def look(effects: Effects) -> bool:
        looked.extend([*effects.reads, *effects.prefixes])
        return stale(effects)

    monkeypatch.setattr(desk.store, "stale", look)
    body.effects(reads={"key": 0}, prefixes={"k": of_versions([])}, writes=[["key", 99, False]])
    body.end()
    assert (desk.ledger(), _value(desk, "key")) == (["1 succeeded"], 99)
    assert looked == ["key", "k"]


def test_twenty_conflicts_in_a_row_are_a_failure_and_nothing_is_applied(office: Office) -> None:
    desk = office.work(a_job(**EXACTLY, retries=Retries(max=3)))
    body = office.begin()
    for number in range(MOST_CONFLICTS):
        _meet(office, body, number)
        body.effects(reads={"key": 0}, writes=[["own", 1, False]])
        body.end()
        desk.turn(SECOND)
    ended = _run(desk, body)
    assert (ended.state, ended.reason) == ("failed", "conflict")
    assert _value(desk, "own") is None


def test_a_run_that_failed_on_what_is_no_longer_so_runs_again_and_one_that_did_not_fails(
    office: Office,
) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    _meet(office, body, 1)
    body.effects(reads={"key": 0})
    body.end(BAD)
    assert _run(desk, body).state == "running"
    desk.turn(SECOND)
    body.effects(reads={"own": 0})
    body.end(BAD)
    assert _run(desk, body).state == "failed"


def test_a_last_conflict_whose_transaction_fails_is_recorded_by_the_next(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    for number in range(MOST_CONFLICTS):
        _meet(office, body, number)
        body.effects(reads={"key": 0}, writes=[["own", 1, False]])
        if number == MOST_CONFLICTS - 1:
            desk.executor.end(body.id, GOOD)
            _turn_in_vain(desk, monkeypatch)
            desk.turn()
        else:
            body.end()
        desk.turn(SECOND)
    assert (_run(desk, body).state, _run(desk, body).reason) == ("failed", "conflict")


def test_a_run_that_runs_again_is_known_by_its_new_process(office: Office) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    desk.executor.happen(Began(body.id, 111))
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["own", 1, False]])
    body.end()
    desk.turn(SECOND)
    desk.executor.happen(Began(body.id, 222))
    body.told("state.write", writes=[["x", 1, False]])
    assert _run(desk, body).pid == 222


def test_calls_that_a_run_makes_after_it_was_asked_to_end_are_canceled_with_it(office: Office) -> None:
    desk = office.work(a_job(), ON_DEMAND, slots=1)
    body = office.begin()
    desk.store.cancel(body.id, office.clock.now())
    desk.dispatcher.heed()
    made = _call(body, immediate=True)
    body.end(Outcome(state="canceled"))
    (run,) = desk.runs(job="other")
    assert (run.id, run.state) == (made, "canceled")


def test_a_run_that_is_asked_to_end_while_it_goes_to_wait_is_told_of_as_canceled(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    body.told("step.wait", path="approval", timeout=None)
    desk.store.cancel(body.id, office.clock.now())
    body.end(WAITING)
    assert desk.ledger() == ["1 canceled"]
    assert not desk.said(Suspended)
    assert len(desk.said(ChainEnded)) == 1


def test_a_run_that_goes_on_after_a_wait_starts_no_hook_and_is_the_last_of_its_job_once(
    office: Office,
) -> None:
    desk = office.work(a_job(number_of_executions=1))
    body = office.begin()
    desk.executor.happen(Began(body.id, 7))
    body.told("step.wait", path="approval", timeout=None)
    body.end(WAITING)
    desk.store.complete(body.id, "approval", result=1, error=None, now=office.clock.now())
    desk.look()
    desk.turn()
    assert body.id in desk.executor.specs
    assert len(desk.said(JobFinished)) == 1


def test_an_attempt_at_taking_back_that_kills_its_node_each_time_comes_to_an_end(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    body.end(BAD)
    for _ in range(MOST_LOST):
        dead = office.kill(desk)
        desk = office.work(a_job(), dead=[dead])
        desk.turn(dead=(dead,))
    assert desk.executor.specs == {}
    assert desk.ledger()[-1].startswith("1 lost") or "lost" in desk.runs()[-1].state


def test_a_run_that_waits_to_run_again_can_be_canceled(office: Office) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["own", 1, False]])
    desk.executor.slots = 0  # no child in hand
    body.end()
    desk.store.cancel(body.id, office.clock.now())
    desk.dispatcher.heed()
    desk.turn()
    assert desk.ledger() == ["1 canceled"]


def test_a_run_that_runs_again_takes_no_child_from_one_that_was_claimed_for_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobrunner.underway.back_off", lambda _: 0.0)
    desk = office.work(a_job(**EXACTLY), a_job("other", "* * * * *", offset=30 * SECOND), slots=2)
    body = office.begin()
    given: list[int] = []
    spares = [7]
    monkeypatch.setattr(
        type(desk.executor), "ready", property(lambda _: [n for n in spares if n not in given])
    )
    hand_over = desk.executor.run

    def run(spec: Any, pid: int, timeout: Any, serves: int, executor: Any) -> int:
        assert pid in spares and pid not in given, f"no child in hand for {spec['job']}"
        given.append(pid)
        return hand_over(spec, pid, timeout, serves, executor)

    monkeypatch.setattr(desk.executor, "run", run)
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["own", 1, False]])
    desk.executor.end(body.id, GOOD)
    desk.turn(30 * SECOND)  # the conflict is recorded, and the only child goes to the other job
    assert [spec["job"] for spec in desk.executor.specs.values()] == ["other"]
    spares.append(8)
    assert desk.dispatcher.must_turn(office.clock.now())
    desk.turn()
    assert body.id in desk.executor.specs


def test_what_a_body_has_asked_for_is_a_sign_that_it_began(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    desk.executor.happen(Began(body.id, 7))
    body.told("step.begin", path="one", undo=None)
    dead = office.kill(desk)
    desk = office.work(a_job(), dead=[dead])
    desk.turn(dead=(dead,))
    assert str((_run(desk, body).error or {})["message"]).startswith("began")


def test_the_log_of_a_run_that_goes_on_comes_behind_what_it_wrote_before_it_waited(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    desk.executor.happen(Output(body.id, b"before\n"))
    body.told("step.wait", path="approval", timeout=None)
    body.end(WAITING)
    desk.store.complete(body.id, "approval", result=1, error=None, now=office.clock.now())
    desk.look()
    desk.turn()
    desk.executor.happen(Output(body.id, b"after\n"))
    body.end()
    assert b"".join(chunk.data for chunk in desk.store.read_log(body.id)) == b"before\nafter\n"
    assert _run(desk, body).log_bytes == len(b"before\nafter\n")


def test_a_step_that_rests_on_what_is_no_longer_so_is_done_again(office: Office) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    for path, told in (("stale", {"reads": {"key": 0}}), ("fresh", {"reads": {"other": 0}})):
        body.told("step.begin", path=path, undo=None)
        body.told("step.end", path=path, tries=1, result=1, effects=told, error=None)
    _meet(office, body, 1)
    body.effects(reads={"key": 0, "other": 0}, writes=[["own", 1, False]])
    body.end()
    desk.turn(SECOND)
    handed = {step["path"]: step["state"] for step in desk.executor.specs[body.id]["steps"]}
    assert handed == {"stale": "outdated", "fresh": "done"}


def test_a_step_that_is_outdated_is_taken_back_when_its_run_fails_without_doing_it_again(
    office: Office,
) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    body.told("step.begin", path="charge", undo={"target": ":refund", "args": None, "given": False})
    body.told("step.end", path="charge", tries=1, result=7, effects={"reads": {"key": 0}}, error=None)
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["own", 1, False]])
    body.end()
    desk.turn(SECOND)
    body.end(BAD)
    (spec,) = desk.executor.specs.values()
    assert spec["undo"] == 1
    assert [(step["state"], step["result"]) for step in spec["steps"]] == [("outdated", 7)]


def test_a_run_that_was_asked_to_end_and_met_a_conflict_is_canceled_and_not_a_success_of_nothing(
    office: Office,
) -> None:
    desk = office.work(a_job(**EXACTLY))
    body = office.begin()
    _meet(office, body, 1)
    body.effects(reads={"key": 0}, writes=[["own", 1, False]])
    desk.store.cancel(body.id, office.clock.now())
    desk.dispatcher.heed()
    body.end()
    assert desk.ledger() == ["1 canceled"]
    assert _value(desk, "own") is None


FAR = 10**18


@pytest.mark.parametrize(
    "told",
    [
        {"writes": [[["a"], 1, False]]},
        {"writes": [["a", 1]]},
        {"cancels": [10**30]},
        {"cancels": ["x"]},
        {"calls": [[1, "other", None, {}, "system"]]},
        {"calls": [[0, "other", 1, {}, "system"]]},
        {"calls": [[10**30, "other", 1, {}, "system"]]},
        {"calls": [[5000, "other", 1, {}, ["x"]]]},
        {"calls": [[5000, "nobody", 1, {}, "x"]]},
        {"calls": [[1, "other", 1, {}, "system"]]},  # the number of a run that there is
        {"reads": {"k": "x"}, "writes": [["a", 1, False]]},
        {"nonsense": 1},
    ],
)
def test_effects_that_cannot_be_applied_fail_their_run_and_harm_nobody(
    office: Office, told: dict[str, Any]
) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    body.effects(**told)
    desk.executor.end(body.id, GOOD)
    for _ in range(3):
        with suppress(StateError):
            desk.turn()
    assert desk.ledger("job") == ["1 failed"]
    assert desk.runs(job="other") == []
    desk.turn(MINUTE)
    assert len(desk.executor.specs) == 1


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("state.write", {"writes": [[["a"], 1, False]]}),
        ("once.set", {"key": ["a"], "result": 1}),
        ("step.begin", {"path": ["a"], "undo": None}),
        ("step.wait", {"path": "a", "timeout": 10**40}),
        ("step.end", {"path": "a", "tries": [1], "result": 1, "effects": None, "error": None}),
        ("step.undone", {"path": [1], "error": None}),
        ("call.cancel", {"id": [1]}),
        ("call.cancel", {"id": 10**30}),
        ("call", {"job": "other", "delay": 0, "params": {}, "identity": ["x"], "immediate": True}),
        ("call", {"job": "other", "at": FAR * SECOND, "params": {}, "identity": "x", "immediate": True}),
    ],
)
def test_a_malformed_request_is_refused_and_no_transaction_fails_of_it(
    office: Office, verb: str, payload: Mapping[str, Any]
) -> None:
    desk = office.work(a_job(), ON_DEMAND)
    body = office.begin()
    assert "error" in body.told(verb, **payload)
    body.end()
    assert desk.ledger("job") == ["1 succeeded"]


def test_a_request_that_breaks_a_transaction_all_the_same_is_refused_by_the_next(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.work(a_job())
    body = office.begin()

    def break_it(*_: object) -> None:
        desk.store._db.rows("SELECT nonsense")  # type: ignore[attr-defined]

    number = body.ask("state.write", writes=[["key", 1, False]])
    monkeypatch.setattr(desk.store, "write_documents", break_it)
    monkeypatch.setattr("jobrunner.requests.POISON", frozenset({"corrupt", "error", "state", "aborted"}))
    with pytest.raises(StateError):
        desk.turn()
    desk.turn()
    assert "error" in body.answers[number]


def test_a_body_that_goes_to_wait_for_nothing_has_failed(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    body.end(WAITING)
    assert desk.ledger() == ["1 failed"]
    assert "nothing to wait for" in str((_run(desk, body).error or {})["message"])


# -- steps ------------------------------------------------------------------------------------------


def _step(body: Body, path: str, undo: Mapping[str, Any] | None = GIVEN) -> None:
    body.told("step.begin", path=path, undo=undo)
    body.told("step.end", path=path, tries=1, result=path, effects=None, error=None)


def test_a_later_attempt_is_handed_what_the_chain_has_done(office: Office) -> None:
    desk = office.work(a_job(retries=Retries(max=1, delay=0)))
    body = office.begin()
    _step(body, "one")
    body.end(BAD)
    (spec,) = desk.executor.specs.values()
    assert [(step["path"], step["state"], step["result"]) for step in spec["steps"]] == [
        ("one", "done", "one")
    ]
    assert spec["undo"] == 0


def test_a_chain_that_fails_is_taken_back_after_its_last_attempt_and_only_then_over(office: Office) -> None:
    desk = office.work(a_job(retries=Retries(max=1, delay=0), stop_on_error=1))
    first = office.begin()
    _step(first, "one")
    first.end(BAD)
    second = office.started(set())
    assert desk.executor.specs[second.id]["undo"] == 0
    second.end(BAD)
    third = office.started(set())
    assert desk.executor.specs[third.id]["undo"] == 1
    assert not desk.said(ChainEnded)
    assert desk.facts().consecutive_failures == 0
    third.told("step.undone", path="one", error=None)
    third.end(GOOD)
    assert desk.ledger() == ["1 failed", "1 failed #2", "1 failed/compensated #3"]
    last = desk.runs()[-1]
    assert last.error == BAD.error
    assert len(desk.said(ChainEnded)) == 1
    assert desk.facts().consecutive_failures == 1
    assert desk.facts().enabled_override is False


def test_a_chain_without_anything_to_take_back_is_over_at_once(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one", undo=None)
    body.end(BAD)
    assert desk.ledger() == ["1 failed"]
    assert desk.said(ChainEnded)


@pytest.mark.parametrize("outcome", [GOOD, Outcome(state="skipped", reason="body")])
def test_what_ended_well_is_not_taken_back(office: Office, outcome: Outcome) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    body.end(outcome)
    assert not desk.said(Compensating)


def test_a_canceled_run_is_taken_back(office: Office) -> None:
    desk = office.work(a_job(retries=Retries(max=3)))
    body = office.begin()
    _step(body, "one")
    desk.store.cancel(body.id, office.clock.now())
    desk.dispatcher.heed()
    body.end(Outcome(state="canceled"))
    undoing = office.started(set())
    undoing.end()
    assert desk.ledger() == ["1 canceled", "1 canceled/compensated #2"]


def test_taking_back_is_tried_three_times_and_then_the_chain_has_failed_with_that_error(
    office: Office,
) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    body.end(BAD)
    error = {"type": "OSError", "message": "down", "traceback": "", "phase": "undo"}
    for number in (1, 2, 3):
        (run_id,) = desk.executor.specs
        assert desk.executor.specs[run_id]["undo"] == number
        desk.executor.end(run_id, Outcome(state="failed", error=error))
        desk.turn()
        desk.turn(MINUTE // 2)
    assert desk.executor.specs == {}
    assert "1 failed #4" in desk.ledger()
    assert desk.runs("failed")[-1].error == error
    assert desk.facts().last_error == error


def test_a_lost_at_most_once_run_is_taken_back_by_the_next_node(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    dead = office.kill(desk)
    desk = office.work(a_job(), dead=[dead])
    desk.turn(dead=(dead,))
    (spec,) = desk.executor.specs.values()
    assert (spec["undo"], [step["path"] for step in spec["steps"]]) == (1, ["one"])
    desk.executor.end_all()
    desk.turn()
    assert desk.ledger()[:2] == ["1 lost", "1 lost/compensated #2"]


def test_a_lost_attempt_at_taking_back_is_repeated_and_counts_as_no_try(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    body.end(BAD)
    for _ in range(5):
        dead = office.kill(desk)
        desk = office.work(a_job(), dead=[dead])
        desk.turn(dead=(dead,))
        (spec,) = desk.executor.specs.values()
        assert spec["undo"] == 1


# -- waiting ----------------------------------------------------------------------------------------


def test_a_run_that_waits_holds_no_slot_occupies_its_job_and_goes_on_when_it_is_completed(
    office: Office,
) -> None:
    desk = office.work(a_job(number_of_executions=9), a_job("late", "* * * * *"), slots=1)
    desk.turn(MINUTE)
    body = office.started(set())
    while _run(desk, body).job != "job":
        body.end()
        body = office.started(set())
    before = _run(desk, body)
    answer = body.told("step.wait", path="approval", timeout=None)
    assert answer["state"] == "waiting"
    body.end(WAITING)
    assert desk.said(Suspended)
    assert (_run(desk, body).state, _run(desk, body).owner) == ("waiting", None)
    desk.executor.end_all()
    desk.turn(MINUTE)
    assert "2 skipped/overlap" in desk.ledger("job")
    assert body.id not in desk.executor.specs
    desk.store.complete(body.id, "approval", result="yes", error=None, now=office.clock.now())
    desk.executor.end_all()
    desk.look()
    desk.turn()
    spec = desk.executor.specs[body.id]
    assert [(step["state"], step["result"]) for step in spec["steps"]] == [("done", "yes")]
    again = _run(desk, body)
    assert (again.attempt, again.started_at) == (1, before.started_at)
    body.end()
    assert "1 succeeded" in desk.ledger("job")
    assert desk.facts("job").executions == 1


def test_a_step_that_nobody_completes_in_time_lets_its_run_go_on_with_an_error(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    body.told("step.wait", path="approval", timeout=10 * SECOND)
    body.end(WAITING)
    wake = desk.dispatcher.next_wake()
    assert wake is not None
    assert wake <= office.clock.now() + 10 * SECOND
    desk.tick()
    assert _run(desk, body).state == "waiting"
    office.clock.advance(10 * SECOND)
    desk.tick()
    desk.tick()
    assert desk.said(WaitedInVain)
    (step,) = desk.executor.specs[body.id]["steps"]
    assert (step["state"], (step["error"] or {}).get("type")) == ("failed", "TimeoutError")


def test_what_is_completed_before_the_run_has_gone_is_not_missed(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    body.told("step.wait", path="approval", timeout=None)
    desk.store.complete(body.id, "approval", result=1, error=None, now=office.clock.now())
    body.end(WAITING)
    desk.turn()
    assert body.id in desk.executor.specs


def test_a_waiting_run_that_is_canceled_is_taken_back(office: Office) -> None:
    desk = office.work(a_job())
    body = office.begin()
    _step(body, "one")
    body.told("step.wait", path="approval", timeout=None)
    body.end(WAITING)
    desk.store.cancel(body.id, office.clock.now())
    desk.look()
    desk.turn()
    (spec,) = desk.executor.specs.values()
    assert spec["undo"] == 1
