"""A state in which there is something of everything, made by the verbs that nodes and people use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from jobrunner.clock import DAY, HOUR, MINUTE, SECOND, Instant
from jobrunner.facts import NodeFacts
from jobrunner.model import Claim, Due, Job, Outcome, Run
from jobrunner.store import open_store
from jobrunner.store.base import AddedJob, Call, LogChunk, Store, Write
from jobrunner.store.contract.things import make_job, make_node

NAMES = ("limited", "failing", "each", "flow", "called", "quiet", "queued", "overridden", "unicode")
ODD = "\ud800 and \x00 and \U0001f600"
BIG = "x" * (4 << 20)
ERROR = {"type": "ValueError", "message": "nö \u202e", "traceback": f"line 1\n{ODD}", "phase": "body"}


def some_jobs() -> dict[str, Job]:
    """Return the jobs, as they are without files."""
    jobs = {name: make_job(name, every=60) for name in NAMES}
    jobs["limited"] = make_job("limited", every=60, number_of_executions=3)
    jobs["each"] = make_job("each", every=60, run_per_machine=True)
    return jobs


class Furnished:
    """Fills a state; `now` is the moment up to which all has happened."""

    def __init__(self, url: str, jobs: Mapping[str, Job], now: Instant) -> None:
        self.jobs = jobs
        self.now = now
        self.began = now - 2 * DAY
        self.me = make_node("anna", now=self.began)._replace(node="nöde")
        self.other = make_node("otto", now=self.began)._replace(machine="n")
        with closing(open_store(url, create=True)) as store:
            self.store: Store = store
            self._fill()

    def _fill(self) -> None:
        for node in (self.me, self.other):
            self.store.join(node)
            self.store.register(node.owner, list(self.jobs.values()), node.machine, self.began)
            self.store.note(node.node, "node-start", None, f"pid {node.pid}", self.began)
        self._limits()
        self._failures()
        self._machines()
        self._skips()
        self._flow()
        self._documents()
        self._words()
        for node in (self.me, self.other):
            self.store.leave(node.owner)

    # -- what nodes do -------------------------------------------------------------------------------

    def due(self, name: str, *due: Due, node: NodeFacts | None = None) -> None:
        """Consume up to the last of these."""
        node = node or self.me
        standing = next(
            each for each in self.store.standings(node.owner, node.machine)
            if each.job_id == self.id(name)
        )  # fmt: skip
        until = max(each.last_for or each.scheduled_for for each in due)
        assert self.store.consume(
            standing, until, due, job=self.jobs[name], supersede=None, node=node, now=until
        )

    def id(self, name: str) -> int:
        found = self.store.job(self.jobs[name].name)
        assert found is not None
        return found.id

    def minute(self, number: int) -> Due:
        """Return an occurrence of the day before."""
        at = (self.now - DAY) // HOUR * HOUR + number * MINUTE
        return Due(scheduled_for=at, effective_at=at)

    def claim(self, now: Instant, node: NodeFacts | None = None) -> Sequence[Claim]:
        return self.store.claim(node or self.me, range(10, 20), now)

    def end(self, claim: Claim, state: Any = "succeeded", log: bytes = b"", **outcome: Any) -> Run:
        run, how = claim.run, Outcome(state=state, **outcome)
        at = (run.started_at or self.now) + SECOND
        with self.store.transaction():
            self.store.begun(run.id, run.owner or "", 4711, at)
            self.store.progress(run.id, run.owner or "", run.attempt, {"value": 3, "message": "größer"}, at)
            if log:
                self.store.append_log(run.id, run.owner or "", [LogChunk(0, log)])
            assert self.store.finish(run, how, len(log), at)
        return run

    def run(self, name: str, number: int, node: NodeFacts | None = None, **how: Any) -> Run:
        """Let an occurrence run and be over."""
        self.due(name, self.minute(number), node=node)
        (claim,) = self.claim(self.minute(number).effective_at + 5, node)
        run = self.end(claim, **how)
        outcome = Outcome(state=how.get("state", "succeeded"), result=how.get("result"))
        self.store.conclude(run, outcome, (run.started_at or 0) + SECOND)
        return run

    # -- something of everything ---------------------------------------------------------------------

    def _limits(self) -> None:
        for number in range(3):
            self.run(
                "limited", number, log=b"\xff\x00 line\n" * (number + 1), result={"odd": ODD, "n": number}
            )
        self.run("unicode", 3, result={"unicode": "größe 世界 \u202e", "null": None, "float": 1e300})

    def _failures(self) -> None:
        """A chain of three attempts, the last of which is due in a day."""
        self.due("failing", self.minute(5))
        at = self.minute(5).effective_at
        for number in range(2):
            (claim,) = self.claim(at + number * MINUTE)
            run = self.end(claim, "failed", b"oh no\n", error=ERROR)
            at_ = at + (number + 1) * MINUTE if number == 0 else self.now + DAY
            assert self.store.again(run, at_, at + number * MINUTE + SECOND) is not None

    def _machines(self) -> None:
        for number in range(3):
            self.run("each", 10 + number, node=self.me)
        self.run("each", 20, node=self.other)

    def _skips(self) -> None:
        first, last = self.minute(30), self.minute(30 + 499)
        self.due("quiet", first._replace(skip="missed", count=500, last_for=last.scheduled_for))
        self.due("quiet", self.minute(530)._replace(skip="overlap", blocked_by=1))

    def _flow(self) -> None:
        """A chain that waits, steps and all, and what it has called."""
        at = self.now - 3 * HOUR
        self.store.call(Call(at=at), self.jobs["flow"], at)
        (claim,) = (each for each in self.claim(at) if each.run.job == self.jobs["flow"].name)
        run = claim.run
        self.store.begin_step(run, "reserve", {"target": "a:b", "args": [ODD], "given": True}, at)
        self.store.end_step(
            run, "reserve", tries=2, result={"id": 1, "odd": ODD}, effects={"writes": []}, error=None, now=at
        )
        self.store.begin_step(run, "ship/label", None, at)
        self.store.end_step(run, "ship/label", tries=1, result=None, effects=None, error=ERROR, now=at)
        assert self.store.record(run, "mail/ß", {"sent": ODD}, at) == (True, {"sent": ODD})
        call = Call(at=self.now + 2 * DAY, params={"big": BIG}, identity="zoë", parent_id=run.root_id)
        self.store.call(call, self.jobs["called"], at)
        self.store.wait_step(run, "approve", self.now + 30 * DAY, at)
        assert self.store.suspend(run, 0, at)
        self.store.reserve(500)  # numbers that nobody has used

    def _documents(self) -> None:
        at = self.now - 2 * HOUR
        job_id = self.id("called")
        claim = self.store.run_here(
            job_id, self.jobs["called"], self.me, 7, {"rows": [1, ODD]}, identity="zoë", force=True, now=at
        )
        writes = [Write("a", {"v": ODD}), Write("b/ß", [BIG]), Write("c", 1), Write("c", None, deleted=True)]
        assert self.store.write_documents(claim.run, writes, at) is not None
        self.end(claim, result={"big": BIG}, cursor={"seen": 9}, cursor_set=True)
        self.store.conclude(claim.run, Outcome(state="succeeded", result={"big": BIG}), at + SECOND)

    def _words(self) -> None:
        at = self.now - HOUR
        self.due("queued", self.minute(540))  # and nobody has taken it yet
        self.store.override(self.id("overridden"), {"schedule": "0 3 * * *", "params": {"a": "ü"}}, at)
        self.store.set_enabled(self.id("overridden"), False, "zu groß: \u202e", at)
        self.store.add_job(AddedJob("added", "json:loads", {"schedule": None}), at)
        self.store.note("zoë", "disabled", "overridden", "zu groß", at)
        self.store.note("zoë", "paused", None, "Umzug", at)
        assert self.store.pause("zoë", "Umzug nach 京都", at)
