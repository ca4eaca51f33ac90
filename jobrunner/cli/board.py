"""All jobs side by side, for `ls` and `show`: thousands of rows, so each is looked at once and cheaply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jobrunner.cli import report
from jobrunner.cli.jsonout import Object, iso, problem_object
from jobrunner.clock import MINUTE, Instant
from jobrunner.discovery.summary import Summary
from jobrunner.registry import Registry
from jobrunner.settings import Settings

if TYPE_CHECKING:
    from jobrunner.model import JobFacts, Problem

MANY = 200  # jobs
AHEAD = MINUTE  # a schedule consumed this far into the future tells of a clock that was wrong


class Line(NamedTuple):
    """A job, or a file that is none: what its file says, what the state knows, what is wrong with it."""

    summary: Summary | None
    fact: JobFacts | None
    problems: Sequence[Problem]
    state: str
    note: str | None
    next_at: Instant | None

    @property
    def name(self) -> str | None:
        """The job's name, where there is one."""
        if self.summary is not None:
            return self.summary.name
        return self.problems[0].name if self.problems else self.fact.name if self.fact else None

    @property
    def file(self) -> str:
        """Its file, as shown to people."""
        if self.summary is not None:
            return self.summary.file
        return self.problems[0].file if self.problems else self.fact.file if self.fact else ""

    @property
    def last(self) -> tuple[str, Instant | None]:
        """Return the state of the newest run, and since when it is in it."""
        if self.fact is None:
            return "", None
        if self.fact.running:
            return "running", self.fact.running_since or self.fact.last_started_at
        return self.fact.last_state or "", self.fact.last_finished_at


class Board:
    """Every job of a project, and of its state, at one moment. `facts` go by name, case folded."""

    def __init__(
        self, registry: Registry, facts: Mapping[str, JobFacts], settings: Settings, now: Instant
    ) -> None:
        self._registry = registry
        self._facts = facts
        self._settings = settings
        self._now = now
        self._upcoming = registry.upcoming()
        self._few_are_new = len(registry.summaries) - len(facts) < MANY
        self._restricted = bool(settings.only or settings.exclude or settings.tag)

    def lines(self, *, own: bool = False) -> list[Line]:
        """Return all of them: jobs by name, with `own` ours, then orphans, then what cannot be used."""
        lines = [self._job(summary) for summary in self._registry.summaries]
        lines += [
            self._job(self._registry.summary(name)) for name in (self._registry.built_in if own else ())
        ]
        self._upcoming.save()
        orphans = report.orphans(self._facts, self._registry) if self._facts else []
        lines += [Line(None, fact, (), "orphan", "no file defines it", None) for fact in orphans]
        return lines + list(self._broken())

    def _broken(self) -> Iterator[Line]:
        """Yield a line for each job, else file, that has problems."""
        groups: dict[str, list[Problem]] = {}
        for problem in self._registry.problems:
            groups.setdefault(problem.name or problem.file, []).append(problem)
        for found in groups.values():
            fact = self._facts.get((found[0].name or "").casefold())
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield Line(None, fact, found, "error", _where(found[0]) + found[0].message + more, None)

    def _job(self, summary: Summary) -> Line:
        fact = self._facts.get(summary.name.casefold()) if self._facts else None
        state, note = self._state(summary, fact)
        return Line(summary, fact, (), state, note, self._coming(summary, fact, state))

    def _coming(self, summary: Summary, fact: JobFacts | None, state: str) -> Instant | None:
        if state in ("active", "on-demand") and report.is_new(fact) and self._starts_at_once(summary):
            return self._now
        return self._next(summary, fact) if state == "active" else None

    def _starts_at_once(self, summary: Summary) -> bool:
        """Say whether a job that no node has seen starts as soon as one sees it.

        Columns do not tell; building thousands of jobs for it, in a project that never ran, is too dear.
        """
        return self._few_are_new and self._registry.find(summary.name).run_on_start

    def _state(self, summary: Summary, fact: JobFacts | None) -> tuple[str, str | None]:
        """Return the first state that holds, and its reason."""
        if not summary.enabled or fact is not None or self._settings.disabled:
            enabled, reason = report.enablement(summary, fact, self._settings)
            if not enabled:
                return "disabled", reason
        if self._restricted or summary.environments is not None:
            by = report.excluded(summary, self._settings)
            if by is not None:
                return "excluded", report.exclusion(by, self._settings)
        if self._settings.paused:
            return "paused", None
        limit = summary.number_of_executions
        if limit is not None and fact is not None and fact.executions >= limit:
            return "finished", None
        if summary.end_at is not None and self._next(summary, fact) is None:
            return "finished", "its endAt has passed"
        return ("active" if summary.schedule else "on-demand"), None

    def _next(self, summary: Summary, fact: JobFacts | None) -> Instant | None:
        """Return the next occurrence after now and after what is consumed already."""
        after, anchor = self._now, self._now
        if fact is not None and fact.consumed is not None and fact.schedule_key == summary.schedule_key:
            after, anchor = max(after, fact.consumed), fact.anchor or anchor
            if summary.after_end and fact.last_finished_at is not None:
                anchor = max(anchor, fact.last_finished_at)
        if summary.start_at is not None:
            after = max(after, summary.start_at - 1)
        found = self._upcoming.next_after(summary, after, anchor)
        beyond = found is not None and summary.end_at is not None and found > summary.end_at
        return None if beyond else found

    def ahead(self) -> list[JobFacts]:
        """Return the jobs that are planned into the future, by a clock that was wrong."""
        limit = self._now + AHEAD
        return [fact for fact in self._facts.values() if fact.consumed is not None and fact.consumed > limit]


def _where(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}: " if problem.line else f"{problem.file}: "


def job_object(line: Line, settings: Settings) -> Object:
    """Return a job as JSON has it; `id` is null for a file without a readable name."""
    return {
        "id": line.name,
        **_described(line),
        **_enabled(line, settings),
        "state": line.state,
        "stateReason": line.note,
        "nextExecutionAt": iso(line.next_at),
        **_happened(line.fact),
        "numberOfExecutions": line.summary.number_of_executions if line.summary is not None else None,
        "problems": [problem_object(one) for one in line.problems],
    }


def _described(line: Line) -> Object:
    """Return what the file says; what nobody could read is null."""
    summary = line.summary
    if summary is None:
        unread = dict.fromkeys(("schedule", "scheduleDescription", "timezone"))
        return {"description": None, "file": line.file, **unread, "tags": [], "hidden": False}
    return {
        "description": summary.description,
        "file": summary.file,
        "schedule": summary.schedule or None,
        "scheduleDescription": summary.words,
        "timezone": summary.timezone,
        "tags": list(summary.tags),
        "hidden": summary.hidden,
    }


def _enabled(line: Line, settings: Settings) -> Object:
    fact = line.fact
    if line.summary is not None:
        enabled, reason = report.enablement(line.summary, fact, settings)
    else:
        enabled = fact is None or fact.enabled_override is not False
        reason = fact.enabled_reason if fact is not None else None
    return {"enabled": enabled, "enabledReason": reason}


def _happened(fact: JobFacts | None) -> Object:
    return {
        "isRunning": fact is not None and fact.running > 0,
        "executions": fact.executions if fact else 0,
        "consecutiveFailures": fact.consecutive_failures if fact else 0,
        "lastExecutedAt": iso(fact.last_started_at) if fact else None,
        "lastFinishedAt": iso(fact.last_finished_at) if fact else None,
        "lastSuccessAt": iso(fact.last_success_at) if fact else None,
        "lastFailureAt": iso(fact.last_failure_at) if fact else None,
        "lastStatus": fact.last_state if fact else None,
        "lastResult": fact.last_result if fact else None,
        "lastError": fact.last_error if fact else None,
    }
