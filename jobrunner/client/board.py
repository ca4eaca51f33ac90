"""All jobs side by side, for `ls` and `show`: thousands of rows, so each is looked at once and cheaply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from jobrunner import labels, status
from jobrunner.client import finding
from jobrunner.clock import MINUTE, Instant
from jobrunner.discovery.summary import Summary
from jobrunner.pace import Pace, overdue, too_long
from jobrunner.record import Moment, Object, iso, problem_object
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.status import Known

if TYPE_CHECKING:
    from jobrunner.facts import JobFacts
    from jobrunner.labels import Reach
    from jobrunner.model import Problem

AHEAD = MINUTE  # a schedule consumed this far into the future tells of a clock that was wrong


class Line(NamedTuple):
    """A job, or a file that is none: what its file says, what the state knows, what is wrong with it."""

    summary: Summary | None
    fact: Known | None
    problems: Sequence[Problem]
    state: str
    note: str | None
    next_at: Instant | None
    paused: bool = False  # all are
    counts: Mapping[str, int] | None = None  # executions by machine, of a job that runs on each
    waiting_since: Instant | None = None  # where no run of it runs, and one waits for an event

    @property
    def name(self) -> str | None:
        """The job's name, where there is one."""
        if self.summary is not None:
            return self.summary.name
        read = self.problems[0].name if self.problems else None
        return read or (self.fact.name if self.fact is not None else None)

    @property
    def file(self) -> str:
        """Its file, as shown to people."""
        if self.summary is not None:
            return self.summary.file
        return self.problems[0].file if self.problems else self.fact.file if self.fact else ""

    def is_called(self, name: str) -> bool:
        """Say whether a name, in any case, means this line; a file that is broken goes by its path, too."""
        key = name.casefold()
        return key == (self.name or "").casefold() or (bool(self.problems) and key == self.file.casefold())

    @property
    def last(self) -> tuple[str, Instant | None]:
        """Return the state of the newest run, and since when it is in it."""
        if self.fact is None:
            return "", None
        if self.waiting_since is not None:
            return "waiting", self.waiting_since
        if self.fact.running:
            return "running", self.fact.running_since or self.fact.last_started_at
        return self.fact.last_state or "", self.fact.last_finished_at


class Board:
    """Every job of a project, and of its state, at one moment. `facts` go by name, case folded."""

    def __init__(self, registry: Registry, seen: finding.Seen, settings: Settings, now: Instant) -> None:
        self._registry = registry
        self._facts = seen.facts
        self._pause = seen.pause
        self._counts = seen.counts
        self._alone = seen.alone
        self._waiting = seen.waiting
        self._nodes = seen.nodes
        self._settings = settings
        self._now = now
        self._upcoming = registry.upcoming()

    def lines(self, *, own: bool = False) -> list[Line]:
        """Return all of them: jobs by name, with `own` ours, then orphans, then what cannot be used."""
        lines = [self._job(summary) for summary in self._registry.summaries]
        lines += [
            self._job(self._registry.summary(name)) for name in (self._registry.built_in if own else ())
        ]
        self._upcoming.save()
        orphans = finding.orphans(self._facts, self._registry) if self._facts else []
        lines += [
            Line(None, fact, (), "orphan", _NOBODY[fact.file != ""], None, *self._of_all(fact))
            for fact in orphans
        ]
        return lines + list(self._broken())

    def _broken(self) -> Iterator[Line]:
        """Yield a line for each job, else file, that has problems."""
        groups: dict[str, list[Problem]] = {}
        for problem in self._registry.problems:
            groups.setdefault(problem.name or problem.file, []).append(problem)
        for found in groups.values():
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            said = _where(found[0]) + found[0].message + more
            for fact in self._broken_by(found[0]):
                yield Line(None, fact, found, "error", said, None, *self._of_all(fact))

    def _broken_by(self, problem: Problem) -> Sequence[Known | None]:
        """Return what is known of the job of a problem; of a file without a name, of the jobs it defined."""
        if problem.name is not None:
            return [self._facts.get(problem.name.casefold())]
        return self._lost.get(problem.file) or [None]

    @cached_property
    def _lost(self) -> Mapping[str, list[Known]]:
        """What the state knows of jobs that no file defines, by the file that did."""
        found: dict[str, list[Known]] = {}
        for fact in finding.unplaced(self._facts, self._registry) if self._facts else ():
            found.setdefault(fact.file, []).append(fact)
        return found

    @cached_property
    def _reach(self) -> Reach:
        return finding.reach(self._nodes, self._settings)

    def _job(self, summary: Summary) -> Line:
        fact = status.fact_of(self._facts, summary.name, summary.former) if self._facts else None
        state, note = status.state(summary, fact, self._settings, self._pause, self._next)
        if summary.runs_on and state not in ("disabled", "excluded"):
            unreached = labels.unreached(summary.runs_on, self._reach)
            state, note = (state, note) if unreached is None else ("excluded", unreached)
        if fact is not None and (fact.running or self._alone):
            note = "; ".join(filter(None, (note, self._unusual(summary, fact, state)))) or None
        if fact is not None and (fact.overrides or fact.enabled_override):
            note = "; ".join(filter(None, (note, status.overridden(summary, fact)))) or None
        lost = self._registry.lost.get(summary.name)
        if lost is not None:
            note = "; ".join(filter(None, (note, f"its module {lost} cannot be found here")))
        return Line(summary, fact, (), state, note, self._coming(summary, fact, state), *self._of_all(fact))

    def _of_all(self, fact: Known | None) -> tuple[bool, Mapping[str, int] | None, Instant | None]:
        """Return whether all is paused, the executions by machine, and since when it waits for an event."""
        if fact is None:
            return self._pause is not None, None, None
        counts = self._counts.get(fact.id) if self._counts else None
        return self._pause is not None, counts, self._waiting.get(fact.id) if self._waiting else None

    def _coming(self, summary: Summary, fact: Known | None, state: str) -> Instant | None:
        if state in ("active", "on-demand") and status.is_new(fact) and summary.run_on_start:
            return self._now  # it starts as soon as a node sees it
        return self._next(summary, fact) if state == "active" else None

    def _unusual(self, summary: Summary, fact: Known, state: str) -> str | None:
        """Return the words for a run that takes too long, or for what is due and nobody has taken."""
        if fact.running:
            return too_long(Pace(fact.durations), self._now - (fact.running_since or self._now))
        if state != "active" or fact.consumed is None or fact.schedule_key != summary.schedule_key:
            return None
        due = self._next(summary, fact, since=0)
        return overdue(due, self._now) if due is not None else None

    def _next(self, summary: Summary, fact: Known | None, since: Instant | None = None) -> Instant | None:
        """Return the next occurrence after now (or `since`) and after what is consumed already."""
        after, anchor = (self._now if since is None else since) - summary.offset, self._now
        if fact is not None and fact.consumed is not None and fact.schedule_key == summary.schedule_key:
            after, anchor = max(after, fact.consumed), fact.anchor or anchor
            if summary.after_end and fact.last_finished_at is not None:
                anchor = max(anchor, fact.last_finished_at)
        if summary.start_at is not None:
            after = max(after, summary.start_at - 1)
        found = self._upcoming.next_after(summary, after, anchor)
        if found is None or (summary.end_at is not None and found > summary.end_at):
            return None
        return found + summary.offset

    def ahead(self) -> list[Known]:
        """Return the jobs that are planned into the future, by a clock that was wrong."""
        limit = self._now + AHEAD
        return [fact for fact in self._facts.values() if fact.consumed is not None and fact.consumed > limit]


_NOBODY = ("it was removed", "no file defines it")  # of a job that code had added, and of others


def _where(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}: " if problem.line else f"{problem.file}: "


def job_object(line: Line, settings: Settings, moment: Moment = iso) -> Object:
    """Return a job as JSON has it; `id` is null for a file without a readable name.

    What only JobFacts tell is null for a line that was made of less.
    """
    fact = line.fact
    return {
        "id": line.name,
        **_described(line),
        **_enabled(line, settings),
        "state": line.state,
        "stateReason": line.note,
        "paused": line.paused,
        "overrides": dict(fact.overrides) if fact is not None else {},
        "nextExecutionAt": moment(line.next_at),
        **_happened(line, moment),
        "executionsByMachine": line.counts,
        "numberOfExecutions": line.summary.number_of_executions if line.summary is not None else None,
        "problems": [problem_object(one) for one in line.problems],
    }


def _described(line: Line) -> Object:
    """Return what the file says; what nobody could read is null."""
    summary = line.summary
    if summary is None:
        unread = dict.fromkeys(("schedule", "scheduleDescription", "timezone"))
        return {"description": None, "file": line.file, "target": None, **unread, "tags": [], "hidden": False}
    return {
        "description": summary.description,
        "file": summary.file,
        "target": summary.target or None,
        "schedule": summary.schedule or None,
        "scheduleDescription": summary.words,
        "timezone": summary.timezone,
        "tags": list(summary.tags),
        "hidden": summary.hidden,
    }


def _enabled(line: Line, settings: Settings) -> Object:
    fact = line.fact
    if line.summary is not None:
        enabled, reason = status.enablement(line.summary, fact, settings)
    else:
        enabled = fact is None or fact.enabled_override is not False
        reason = fact.enabled_reason if fact is not None else None
    return {"enabled": enabled, "enabledReason": reason}


def _happened(line: Line, moment: Moment) -> Object:
    fact, whole = line.fact, _whole(line.fact)
    return {
        "isRunning": fact is not None and fact.running > 0 and line.waiting_since is None,
        "executions": fact.executions if fact else 0,
        "consecutiveFailures": whole.consecutive_failures if whole else 0,
        "lastExecutedAt": moment(fact.last_started_at) if fact else None,
        "lastFinishedAt": moment(fact.last_finished_at) if fact else None,
        "lastSuccessAt": moment(whole.last_success_at) if whole else None,
        "lastFailureAt": moment(whole.last_failure_at) if whole else None,
        "lastStatus": fact.last_state if fact else None,
        "lastResult": whole.last_result if whole else None,
        "lastError": whole.last_error if whole else None,
    }


def _whole(fact: Known | None) -> JobFacts | None:
    """Return all that the state knows of a job, where that was asked for."""
    if fact is None:
        return None
    from jobrunner.facts import JobFacts

    return fact if isinstance(fact, JobFacts) else None
