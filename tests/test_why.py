"""why answers for each thing that may have become of an occurrence, in a sentence that is true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from jobrunner.clock import HOUR, MINUTE, SECOND, Instant, from_iso, to_iso
from jobrunner.facts import NodeFacts
from jobrunner.model import Due, Job, Outcome, Problem, Reason, Retries, Run
from jobrunner.schedule import parse
from jobrunner.settings import load
from jobrunner.store import open_store
from jobrunner.store.base import Claim, Store
from jobrunner.why import Answer, Facts, gather, why
from jobrunner.why.outcomes import STATES
from jobrunner.why.skips import REASONS

ZONE = "Europe/Berlin"


def at(text: str, day: int = 20) -> Instant:
    """Return a time of a day in November 2026, in Berlin."""
    return from_iso(f"2026-11-{day:02}T{text}+01:00")


BORN = at("00:00", 19)


class Tale:
    """A job, a store in which things have happened to it, and the question."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(f"sqlite://{folder}/state.db", create=True)
        self.settings = load({"project": str(folder), "timezone": ZONE, "machine": "m"}, {})
        self.node = NodeFacts(
            owner="a", node="here", machine="m", boot_id="b", pid=7, version="1", slots=2, exclusive=False,
            started_at=BORN, seen_at=BORN,
        )  # fmt: skip
        self.job = self.make()
        self.dead: frozenset[str] = frozenset()
        self.problem: Problem | None = None
        self.store.join(self.node)

    def make(self, schedule: str | None = "0 * * * *", **facts: Any) -> Job:
        when = parse(schedule, ZONE) if schedule is not None else None
        defaults: dict[str, Any] = {"timezone": ZONE, "hash": f"{schedule}{sorted(facts.items())}"}
        return Job(
            name="report", schedule=when, file="jobs/report.py", path="/p/jobs/report.py", folder="/p/jobs",
            line=1, content_hash="c", config={"name": "report"}, **{**defaults, **facts},
        )  # fmt: skip

    def register(self, schedule: str | None = "0 * * * *", *, now: Instant = BORN, **facts: Any) -> None:
        self.job = self.make(schedule, **facts)
        self.store.register("a", [self.job], "m", now)

    def consume(self, *due: Due, now: Instant | None = None) -> None:
        (standing,) = self.store.standings("a", "m")
        until = max(each.last_for or each.scheduled_for for each in due)
        done = self.store.consume(
            standing, until, due, job=self.job, supersede=None, node=self.node, now=now or until
        )
        assert done

    def skip(self, when: str, reason: Reason, *, now: Instant | None = None, **facts: Any) -> None:
        moment = at(when)
        self.consume(Due(scheduled_for=moment, effective_at=moment, skip=reason, **facts), now=now)

    def start(self, when: str, *, late: int = 0) -> Claim:
        moment = at(when)
        self.consume(Due(scheduled_for=moment, effective_at=moment))
        (claim,) = self.store.claim(self.node, [9], moment + late)
        return claim

    def end(self, claim: Claim, after: int, **outcome: Any) -> Run:
        how = Outcome(**{"state": "succeeded", **outcome})
        now = (claim.run.started_at or 0) + after
        assert self.store.finish(claim.run, how, 0, now)
        self.store.conclude(claim.run, how, now)
        found = self.store.run(claim.run.id)
        assert found is not None
        return found

    def ask(self, when: str | None = None, *, now: str = "10:30", **facts: Any) -> Answer:
        moment = None if when is None else at(when)
        seen = gather(self.store, "report", moment or at(now))
        nodes = [node._replace(seen_at=at(now)) for node in seen.pop("nodes")]
        known: dict[str, Any] = {
            "job": self.job, "problem": self.problem, "settings": self.settings, "now": at(now),
            "nodes": nodes, "dead": self.dead, **seen, **facts,
        }  # fmt: skip
        return why(Facts(name="report", **known), moment)


@pytest.fixture
def tale(tmp_path: Path) -> Iterator[Tale]:
    tale = Tale(tmp_path)
    yield tale
    tale.store.close()


# -- what ran ------------------------------------------------------------------------------------------------


def test_a_success_is_told_with_its_time_and_when_the_next_comes(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("10:00"), 12 * SECOND)
    found = tale.ask()
    assert found.sentence == "report ran at 10:00 and succeeded after 12 s; next 11:00"
    assert (found.code, found.evidence["tookSeconds"], found.evidence["node"]) == ("succeeded", 12, "here")
    assert found.run is not None
    assert found.run.id == found.evidence["run"]


UNDO = {"target": ":take_back", "args": [[], {}], "given": True}


def test_of_a_chain_that_was_taken_back_the_body_is_told_and_that_its_steps_were(tale: Tale) -> None:
    tale.register()
    error = {"type": "ValueError", "message": "no stock", "traceback": "t", "phase": "body"}
    first = tale.start("10:00")
    assert tale.store.begin_step(first.run, "charge", UNDO, at("10:00:01"))
    failed = tale.end(first, 12 * SECOND, state="failed", error=error)
    undo = tale.store.again(failed, at("10:00:12"), at("10:00:12"), undo=1)
    assert undo is not None
    head = "report ran at 10:00 and failed after 12 s: ValueError: no stock; its steps "
    going = tale.ask()
    assert going.sentence == f"{head}are being taken back, as run 2; next 11:00"
    (claim,) = tale.store.claim(tale.node, [9], at("10:00:13"))
    tale.end(claim, SECOND, state="failed", reason="compensated", error=error)
    found = tale.ask()
    assert found.sentence == f"{head}were taken back; next 11:00"
    assert (found.code, found.run and found.run.id, found.evidence["attempts"]) == ("failed", 1, 1)
    assert found.evidence["compensation"] == {"run": 2, "state": "failed", "reason": "compensated"}


def test_of_a_chain_that_could_not_be_taken_back_it_is_said_why(tale: Tale) -> None:
    tale.register()
    first = tale.start("10:00")
    assert tale.store.begin_step(first.run, "charge", UNDO, at("10:00:01"))
    failed = tale.end(first, SECOND, state="timed_out")
    assert tale.store.again(failed, at("10:00:02"), at("10:00:02"), undo=1) is not None
    (claim,) = tale.store.claim(tale.node, [9], at("10:00:03"))
    gone = {"type": "OSError", "message": "bank is shut", "traceback": "t", "phase": "undo"}
    tale.end(claim, SECOND, state="failed", error=gone)
    said = "report ran at 10:00 and was ended after 1 s: it took too long; "
    assert tale.ask().sentence.startswith(
        said + "its steps could not all be taken back: OSError: bank is shut"
    )


def test_a_late_start_says_how_late(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("10:00", late=2 * MINUTE), SECOND)
    found = tale.ask("10:00")
    assert found.sentence == "report ran at 10:02, 2 min late, and succeeded after 1 s"
    assert found.evidence["lateSeconds"] == 120


def test_a_failure_says_its_error_in_short_and_that_no_retry_is_left(tale: Tale) -> None:
    tale.register(retries=Retries(max=1))
    first = tale.start("10:00")
    error = {"type": "ValueError", "message": "no rows\nsecond line", "traceback": "t", "phase": "body"}
    run = tale.end(first, SECOND, state="failed", error=error)
    tale.store.again(run, at("10:01"), at("10:00:01"))
    waiting = tale.ask("10:00", now="10:00:30")
    assert "it is tried again at 10:01, attempt 2" in waiting.sentence
    assert (waiting.code, waiting.evidence["waitsFor"]) == ("pending", "time")
    (second,) = tale.store.claim(tale.node, [9], at("10:01"))
    tale.end(second, SECOND, state="failed", error=error)
    found = tale.ask("10:00")
    assert found.sentence == (
        "report ran at 10:01 and failed after 1 s at attempt 2 of 2: ValueError: no rows;"
        " its one retry was used"
    )
    assert (found.code, found.evidence["attempts"]) == ("failed", 2)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ({"state": "timed_out"}, "was ended after 1 s: it took too long"),
        ({"state": "canceled", "reason": "shutdown"}, "canceled: node here was shut down"),
        ({"state": "canceled", "reason": "replaced"}, "canceled: a newer occurrence took its place"),
        (
            {"state": "skipped", "reason": "body", "result": "no news"},
            "skipped: its body chose not to run: no news",
        ),
    ],
)
def test_other_ends_say_what_ended_them(tale: Tale, outcome: dict[str, Any], words: str) -> None:
    tale.register()
    tale.end(tale.start("10:00"), SECOND, **outcome)
    assert words in tale.ask("10:00").sentence


def test_a_cancel_names_who_asked_for_it(tale: Tale) -> None:
    tale.register()
    claim = tale.start("10:00")
    tale.store.note("ana@host", "canceled", "report", f"run {claim.run.id}", at("10:00:01"))
    tale.store.note("bob@host", "canceled", "report", "run 999", at("10:00:02"))
    tale.end(claim, 5 * SECOND, state="canceled", reason="canceled")
    found = tale.ask("10:00")
    assert found.sentence.endswith("and was canceled by ana@host at 10:00:01")
    assert found.evidence["canceled"]["by"] == "ana@host"


def test_of_a_run_that_was_asked_and_of_one_that_never_ran_the_last_who_asked_is_named(tale: Tale) -> None:
    tale.register()
    claim = tale.start("10:00")
    tale.store.note("ana@host", "cancel-asked", "report", f"run {claim.run.id}", at("10:00:01"))
    tale.end(claim, 5 * SECOND, state="canceled")
    assert tale.ask("10:00").sentence.endswith("and was canceled by ana@host at 10:00:01")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("canceled", "report was due at 10:00 and was canceled"),
        ("lost", "report ran at 10:10 and was lost: node here died meanwhile; there is no sign"),
        ("skipped", "report ran at 10:10 and was skipped: its body chose not to run"),
    ],
)
def test_what_became_of_a_later_attempt_does_not_hide_that_the_first_one_failed(
    tale: Tale, how: str, words: str
) -> None:
    tale.register(retries=Retries(max=1))
    error = {"type": "RuntimeError", "message": "x", "traceback": "t", "phase": "body"}
    first = tale.end(tale.start("10:00"), 2 * SECOND, state="failed", error=error)
    second = tale.store.again(first, at("10:10"), at("10:00:02"))
    assert second is not None
    if how == "canceled":
        assert tale.store.cancel(second, at("10:05")) == "canceled"
    else:
        (claim,) = tale.store.claim(tale.node, [9], at("10:10"))
        if how == "lost":
            tale.store.recover("a", at("10:11"))
        else:
            tale.end(claim, SECOND, state="skipped", reason="body")
    found = tale.ask("10:00")
    assert found.sentence.startswith(words)
    assert found.sentence.endswith("; attempt 1 failed at 10:00:02: RuntimeError: x")
    assert (found.evidence["before"]["run"], found.evidence["before"]["state"]) == (first.id, "failed")


def test_one_scheduled_run_and_one_slot_are_told_in_the_singular(tale: Tale) -> None:
    tale.register(number_of_executions=1)
    tale.skip("10:00", "limit")
    assert tale.ask("10:00").sentence.endswith("it had had its one scheduled run")
    tale.register(concurrency="allow")
    tale.start("11:00")
    tale.consume(Due(scheduled_for=at("12:00"), effective_at=at("12:00")))
    found = tale.ask("12:00", now="12:30", nodes=[tale.node._replace(slots=1)])
    assert found.sentence.endswith("the one slot is taken")


def test_a_loss_names_the_node_and_whether_the_body_began(tale: Tale) -> None:
    tale.register()
    claim = tale.start("10:00")
    tale.store.recover("a", at("10:05"))
    found = tale.ask("10:00")
    assert "was lost: node here died meanwhile; there is no sign that its body began" in found.sentence
    assert (found.code, found.evidence["bodyBegan"]) == ("lost", None)
    assert claim.run.id == found.evidence["run"]


def test_a_run_that_goes_on_says_since_when_and_where(tale: Tale) -> None:
    tale.register()
    tale.start("10:00")
    assert tale.ask("10:00").sentence == "report is running since 10:00 on node here, as run 1"


# -- what was skipped ----------------------------------------------------------------------------------------


def test_every_reason_and_every_state_has_words() -> None:
    assert REASONS.keys() == set(get_args(Reason))
    from jobrunner.model import State

    assert STATES.keys() == set(get_args(State))


@pytest.mark.parametrize("reason", get_args(Reason))
def test_each_reason_makes_a_sentence_even_where_nothing_else_is_known(tale: Tale, reason: Reason) -> None:
    tale.register()
    tale.skip("10:00", reason)
    found = tale.ask("10:00")
    assert (found.code, found.evidence["reason"]) == (reason, reason)
    assert found.sentence.startswith("report ")
    assert "skipped" in found.sentence
    assert "None" not in found.sentence


def test_an_overlap_names_the_run_in_the_way(tale: Tale) -> None:
    tale.register()
    claim = tale.start("09:00")
    tale.skip("10:00", "overlap", blocked_by=claim.run.id)
    words = f"report was skipped at 10:00: run {claim.run.id} was still running, since 09:00"
    assert tale.ask("10:00").sentence == words
    tale.end(claim, 75 * MINUTE)
    assert tale.ask("10:00").sentence == words + " (until 10:15)"


def test_what_was_missed_says_when_no_node_was_running(tale: Tale) -> None:
    tale.store.note("here", "node-start", None, "pid 7", at("00:00", 19))
    tale.store.note("here", "node-died", None, f"{to_iso(at('02:10'))} pid 7", at("06:03"))
    tale.store.note("here", "node-start", None, "pid 8", at("06:03"))
    tale.node = tale.node._replace(owner="b", started_at=at("06:03"))
    tale.store.leave("a")
    tale.store.join(tale.node)
    tale.job = tale.make()
    tale.store.register("b", [tale.job], "m", BORN)
    (standing,) = tale.store.standings("b", "m")
    due = Due(scheduled_for=at("03:00"), effective_at=at("03:00"), skip="missed")
    assert tale.store.consume(
        standing, at("03:00"), [due], job=tale.job, supersede=None, node=tale.node, now=at("06:03")
    )
    found = tale.ask("03:00")
    assert found.sentence == "report was skipped at 03:00: no node was running from 02:10 to 06:03"
    assert found.evidence["noNode"] == {"from": to_iso(at("02:10")), "until": to_iso(at("06:03"))}


def test_a_node_that_was_there_but_late_is_named(tale: Tale) -> None:
    tale.register()
    tale.skip("10:00", "missed", now=at("10:04"))
    assert tale.ask("10:00").sentence == "report was skipped at 10:00: node here was there, but 4 min late"


def test_sleep_says_from_when_to_when(tale: Tale) -> None:
    tale.register()
    tale.store.note("here", "slept", None, f"{to_iso(at('09:10'))}/{to_iso(at('10:20'))}", at("10:20"))
    tale.skip("10:00", "asleep", now=at("10:20"))
    assert tale.ask("10:00").sentence == "report was skipped at 10:00: the machine slept from 09:10 to 10:20"


def test_a_pause_and_a_disabling_name_who_and_why_as_it_was_then(tale: Tale) -> None:
    tale.register()
    tale.store.note("ana@host", "paused", None, "migration", at("08:00"))
    tale.store.note("bob@host", "disabled", "report", "too slow", at("08:30"))
    tale.skip("09:00", "paused")
    tale.skip("10:00", "disabled")
    tale.store.note("ana@host", "resumed", None, "", at("10:05"))
    tale.store.note("eve@host", "disabled", "report", "later", at("10:06"))
    assert tale.ask("09:00").sentence.endswith("all was paused by ana@host at 08:00: migration")
    assert tale.ask("10:00").sentence.endswith("it was disabled by bob@host at 08:30: too slow")


def test_a_broken_file_names_file_and_problem(tale: Tale) -> None:
    tale.register()
    tale.store.note("here", "file-broken", "report", "line 3: invalid syntax", at("09:59"))
    tale.skip("10:00", "broken-file")
    assert tale.ask("10:00").sentence.endswith("its file jobs/report.py was broken: line 3: invalid syntax")


def test_one_of_many_says_of_how_many(tale: Tale) -> None:
    tale.register("* * * * *")
    first, last = at("08:00"), at("09:59")
    tale.consume(Due(scheduled_for=first, effective_at=first, skip="limit", count=120, last_for=last))
    found = tale.ask("09:00")
    assert "one of 120 skipped between 08:00 and 09:59 for the same reason" in found.sentence
    assert "at 09:00" in found.sentence
    assert found.evidence["count"] == 120


# -- what waits ----------------------------------------------------------------------------------------------


def test_a_pending_run_says_what_it_waits_for(tale: Tale) -> None:
    tale.register(concurrency="queue")
    tale.consume(Due(scheduled_for=at("09:00"), effective_at=at("09:00")))
    assert "a node takes it within a second" in tale.ask("09:00").sentence
    (claim,) = tale.store.claim(tale.node, [9], at("09:00"))
    tale.consume(Due(scheduled_for=at("10:00"), effective_at=at("10:00")))
    found = tale.ask("10:00")
    assert found.sentence.endswith("it is behind run 1, which is running since 09:00")
    assert found.evidence["behind"] == claim.run.id


def test_a_pending_run_without_a_node_or_a_slot_says_so(tale: Tale) -> None:
    tale.register()
    tale.consume(Due(scheduled_for=at("10:00"), effective_at=at("10:00")))
    found = tale.ask("10:00", nodes=[tale.node._replace(slots=0)])
    assert (found.evidence["waitsFor"], found.code) == ("slots", "pending")
    tale.dead = frozenset({"a"})
    assert "no node is running" in tale.ask("10:00").sentence


def test_a_pending_run_under_a_pause_says_so(tale: Tale) -> None:
    tale.register()
    tale.consume(Due(scheduled_for=at("10:00"), effective_at=at("10:00")))
    tale.store.pause("ana@host", "migration", at("10:01"))
    assert tale.ask("10:00").sentence.endswith("all is paused by ana@host at 10:01: migration")


def test_a_full_group_says_who_fills_it(tale: Tale) -> None:
    tale.register("0 * * * *", group="db", group_limit=1, concurrency="allow")
    tale.start("09:00")
    tale.consume(Due(scheduled_for=at("10:00"), effective_at=at("10:00")))
    assert "its group db is full: 1 of 1 run (run 1)" in tale.ask("10:00").sentence


@pytest.mark.parametrize("limit", [1, 2])
def test_a_run_that_came_late_names_what_filled_its_group_if_it_was_full(tale: Tale, limit: int) -> None:
    tale.register(group="db", group_limit=limit, concurrency="allow")
    first = tale.start("09:00")
    tale.consume(Due(scheduled_for=at("10:00"), effective_at=at("10:00")))
    tale.end(first, 65 * MINUTE)
    (late,) = tale.store.claim(tale.node, [9], at("10:05"))
    cause = " since its group db was full (run 1)" if limit == 1 else ""
    since = f"report is running since 10:05, 5 min late{cause} on node here"
    assert tale.ask("10:00").sentence.startswith(since)
    tale.end(late, SECOND)
    found = tale.ask("10:00")
    assert found.sentence == f"report ran at 10:05, 5 min late{cause}, and succeeded after 1 s"
    assert found.evidence.get("behind") == ([1] if limit == 1 else None)


# -- what has no row -----------------------------------------------------------------------------------------


def test_between_two_occurrences_the_one_before_is_told_and_the_one_after_named(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("09:00"), SECOND)
    tale.end(tale.start("10:00"), SECOND)
    found = tale.ask("09:30", now="10:30")
    assert found.sentence == (
        "nothing was due at 09:30; before it, due at 09:00,"
        " report ran at 09:00 and succeeded after 1 s; the next was 10:00"
    )
    assert (found.evidence["before"], found.evidence["after"]) == (to_iso(at("09:00")), to_iso(at("10:00")))


def test_a_moment_just_before_an_occurrence_means_that_one(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("09:00"), SECOND)
    tale.end(tale.start("10:00"), 5 * SECOND)
    assert tale.ask("09:59:30").evidence["due"] == to_iso(at("10:00"))
    assert tale.ask("09:58:30").evidence["due"] == to_iso(at("09:00"))


def test_a_moment_means_the_nearer_of_two_occurrences_that_lie_within_a_minute(tale: Tale) -> None:
    tale.register("* * * * *")
    for minute in ("09:00", "09:01"):
        tale.skip(minute, "overlap")
    asked = ("09:00", "09:00:10", "09:00:50", "09:01")
    found = [tale.ask(moment).evidence["due"] for moment in asked]
    assert found == [to_iso(at(minute)) for minute in ("09:00", "09:00", "09:01", "09:01")]


def test_a_run_by_hand_is_told_when_it_is_the_last_and_when_it_was_under_way(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("08:00"), SECOND)
    job_id = tale.store.enroll(tale.job, at("08:20"))
    by_hand = tale.store.run_here(
        job_id, tale.job, tale.node, 9, {}, identity="ana", force=False, now=at("08:20")
    )
    tale.end(by_hand, 3 * MINUTE)
    assert tale.ask(now="08:30").sentence.startswith("report ran by hand at 08:20 and succeeded after 3 min")
    assert "by hand" in tale.ask("08:22", now="08:30").sentence
    assert "by hand" not in tale.ask("08:10", now="08:30").sentence
    assert "by hand" not in tale.ask("08:27", now="08:30").sentence


def test_what_is_not_due_yet_says_when_and_by_which_schedule(tale: Tale) -> None:
    tale.register("0 8 * * *", now=at("09:00"))
    found = tale.ask()
    assert found.sentence == "report is not due before tomorrow 08:00, by its schedule: every day at 08:00"
    assert found.code == "not-due-yet"
    assert tale.ask("09:00").code == "nothing-due"


def test_a_job_that_no_node_has_seen_says_so(tale: Tale) -> None:
    found = tale.ask()
    assert found.code == "never-seen"
    assert "never seen by a node" in found.sentence


def test_what_is_due_and_not_planned_says_that_no_node_is_there_or_that_it_is_busy(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("09:00"), SECOND)
    busy = tale.ask()
    assert (busy.code, busy.evidence["due"]) == ("not-planned", to_iso(at("10:00")))
    assert "node here (pid 7) is busy or stopped" in busy.sentence
    tale.store.note("here", "node-start", None, "pid 7", BORN)
    tale.store.note("here", "node-stop", None, "pid 7", at("09:20"))
    tale.store.leave("a")
    gone = tale.ask()
    assert gone.sentence == (
        "report is due since 10:00 and has not been planned yet: no node is running since 09:20"
    )
    assert gone.code == "no-node"


def test_a_finished_job_says_when_it_had_its_last_run(tale: Tale) -> None:
    tale.register(number_of_executions=1)
    tale.end(tale.start("09:00"), SECOND)
    found = tale.ask()
    assert found.sentence == (
        "report ran at 09:00 and succeeded after 1 s; no next one: it has had its one scheduled run at 09:00"
    )


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"schedule": None}, "on-demand"),
        ({"enabled": False}, "disabled"),
        ({"environments": ("prod",)}, "environment"),
    ],
)
def test_what_never_will_be_due_says_why(tale: Tale, facts: dict[str, Any], code: str) -> None:
    tale.register(**{"schedule": "0 8 * * *", **facts}, now=at("09:00"))
    assert tale.ask().code == code


def test_a_file_that_is_broken_now_and_an_orphan_are_told(tale: Tale) -> None:
    tale.register("0 8 * * *", now=at("09:00"))
    broken = Problem("jobs/report.py", 3, "invalid syntax")
    found = tale.ask(job=None, problem=broken)
    assert (found.code, "jobs/report.py:3: invalid syntax" in found.sentence) == ("broken-file", True)
    assert tale.ask(job=None).code == "orphan"


def test_a_cursor_in_the_future_says_that_a_clock_was_wrong(tale: Tale) -> None:
    tale.register(now=at("15:00"))
    found = tale.ask()
    assert found.code == "clock"
    assert "4 h 30 min ahead: a clock was wrong" in found.sentence


def test_what_was_pruned_is_said_to_be_kept_no_more(tale: Tale) -> None:
    tale.register()
    tale.end(tale.start("09:00"), SECOND)
    from jobrunner.store.base import RunFilter

    assert tale.store.delete_runs(RunFilter()) == 1
    assert tale.ask("09:00").code == "pruned"


def test_the_change_of_the_clocks_is_told_in_the_jobs_zone(tale: Tale) -> None:
    march = from_iso("2026-03-28T12:00:00Z")
    tale.register("30 2 * * *", now=march)
    gap = from_iso("2026-03-29T01:00:00Z")
    tale.consume(Due(scheduled_for=gap, effective_at=gap, skip="dst"))
    seen = gather(tale.store, "report", gap)
    found = why(
        Facts(name="report", job=tale.job, problem=None, settings=tale.settings, now=gap + HOUR, **seen), gap
    )
    assert found.sentence.startswith(
        "report was skipped at 03:00: that local time did not exist on that night"
    )


def test_asking_changes_nothing(tale: Tale) -> None:
    tale.register()
    tale.start("10:00")

    before = tale.store.standings("a", "m"), tale.store.open_runs(), tale.store.notes()
    other = open_store(tale.store.url)
    tale.ask()
    tale.ask("09:30")
    assert not other.changed()
    other.close()
    assert (tale.store.standings("a", "m"), tale.store.open_runs(), tale.store.notes()) == before
