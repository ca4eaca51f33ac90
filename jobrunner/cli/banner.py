"""What start says before it works: who works on what, when each job is due, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from jobrunner import __version__, durations, labels, status
from jobrunner import events as e
from jobrunner.cli import out, report
from jobrunner.cli.render import many, relative
from jobrunner.clock import SystemClock, to_iso
from jobrunner.facts import JobFacts, Pause
from jobrunner.log import Log, sentence
from jobrunner.masking import without_passwords
from jobrunner.model import Job, Problem
from jobrunner.plugins import PROCESS
from jobrunner.registry import Registry
from jobrunner.settings import Settings
from jobrunner.store.base import Store
from jobrunner.wording import one_line

BANNER = "Banner"  # what lines about no event are called in JSON


class Banner:
    """What `start` says before it works."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._now = SystemClock().now()
        self._pause: Pause | None = None

    def say(self, jobs: Mapping[str, Job], store: Store, known: Registry | None) -> None:
        """Say who works on what, when each job is due, and what is wrong; `known` None: it only controls."""
        settings = self._settings
        state = one_line(without_passwords(settings.state))
        if known is None:
            self._line(f"jobrunner {__version__}: role control, it runs no jobs")
            self._line(f"state {state}")
            return
        has = f", labels {', '.join(settings.labels)}" if settings.labels else ""
        self._line(f"jobrunner {__version__}: {many(len(jobs), 'job')}, {many(settings.slots, 'slot')}{has}")
        self._line(f"state {state}, time zone {settings.timezone}, grace {durations.text(settings.grace)}")
        facts, self._pause = report.by_name(store), store.paused()
        self._jobs(jobs, facts)
        for problem in problems_of(known, jobs):
            self._event(e.FileBroken(problem))
        for fact in report.orphans(facts, known):
            self._event(e.JobOrphaned(fact.name))
        self._warn(jobs, facts)

    def _jobs(self, jobs: Mapping[str, Job], facts: Mapping[str, JobFacts]) -> None:
        rows = [(job.name, self._words(job), self._next(job, facts)) for job in jobs.values()]
        first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
        for name, words, due in rows:
            self._line(f"  {name:<{first}}  {words:<{second}}  {due}".rstrip())

    def _words(self, job: Job) -> str:
        said = job.schedule.words() if job.schedule is not None else "on demand"
        return report.words(said, job.timezone, self._settings)

    def _next(self, job: Job, facts: Mapping[str, JobFacts]) -> str:
        fact = _fact(job, facts)
        reason = self._resting(job, fact)
        if reason is not None:
            return reason
        if status.starts_at_once(job, fact):
            return "next now"
        instant = status.next_at(job, fact, self._now)
        if instant is None:
            return "" if job.schedule is None else "no more runs"
        return f"next {relative(instant - self._now)}, {to_iso(instant)}"

    def _resting(self, job: Job, fact: JobFacts | None) -> str | None:
        """Return why a job does not run by its schedule on this node at present, or None."""
        reason = status.resting(job, fact, self._settings, self._pause)
        missing = labels.lacking(job.runs_on, self._settings.labels)
        if reason is None and missing:
            return f"not here, without {labels.said(missing)}"
        return "paused" if reason is None and self._settings.paused else reason

    def _warn(self, jobs: Mapping[str, Job], facts: Mapping[str, JobFacts]) -> None:
        if self._settings.paused:
            self._log.line("warning", "started with --paused: what is due is skipped, and recorded", BANNER)
        if self._pause is not None:
            said = f"{status.paused(self._pause)}: nothing runs by its schedule until `jobrunner resume`"
            self._log.line("warning", one_line(said), BANNER)
        able = (
            job for job in jobs.values()
            if self._resting(job, _fact(job, facts)) is None and self._comes(job, _fact(job, facts))
        )  # fmt: skip
        if next(able, None) is None:
            self._log.line("warning", "nothing can run: no job is enabled and has a moment to come", BANNER)

    def _comes(self, job: Job, fact: JobFacts | None) -> bool:
        return status.starts_at_once(job, fact) or status.next_at(job, fact, self._now) is not None

    def _line(self, text: str) -> None:
        if self._settings.log_format == "json":
            self._log.line("info", text.strip(), BANNER)
        else:
            out.talk(text)

    def _event(self, event: e.Event) -> None:
        said = sentence(event)
        if said is None or self._settings.log_format == "json":
            self._log(event)
        else:
            out.talk(f"{said[0]}: {said[1]}")


def _fact(job: Job, facts: Mapping[str, JobFacts]) -> JobFacts | None:
    return status.fact_of(facts, job.name, job.former_names)


def problems_of(known: Registry, jobs: Mapping[str, Job]) -> list[Problem]:
    """Return what is wrong with the files, and which interpreters are not there that jobs want."""
    elsewhere = [job for job in jobs.values() if job.executor.name != PROCESS]
    if not elsewhere:
        return known.problems
    from jobrunner.cli.checking import interpreters

    return [*known.problems, *interpreters(elsewhere, known.settings)]
