"""What `ls` needs of each job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from jobrunner.clock import Instant
from jobrunner.discovery.columns import Column, unpacked

if TYPE_CHECKING:
    from jobrunner.model import Job


class Summary(NamedTuple):
    """A job without its schedule object; fields as in `Job`, where it has them.

    `schedule` is the schedule's canonical text, "" for a job on demand; `words` the same in English.
    """

    name: str
    schedule: str
    words: str
    timezone: str
    number_of_executions: int | None
    enabled: bool
    environments: Sequence[str] | None
    runs_on: Sequence[str]
    hidden: bool
    tags: Sequence[str]
    file: str
    path: str
    line: int
    description: str
    hash: str
    schedule_key: str
    after_end: bool
    start_at: Instant | None
    end_at: Instant | None
    overridden: Sequence[str]
    offset: int
    run_on_start: bool
    former: Sequence[str]  # names that it had
    target: str  # the function of a job without a file

    @property
    def anchored(self) -> bool:
        """Whether its moments depend on when it was first registered, or last ended."""
        return "every " in self.schedule


TUPLES = ("environments", "runs_on", "tags", "overridden", "former")


def summarize(job: Job) -> Summary:
    """Return a job's summary."""
    when = job.schedule
    return Summary(
        name=job.name,
        schedule=when.text if when else "",
        words=when.words() if when else "on demand",
        timezone=job.timezone,
        number_of_executions=job.number_of_executions,
        enabled=job.enabled,
        environments=job.environments,
        runs_on=job.runs_on,
        hidden=job.hidden,
        tags=job.tags,
        file=job.file,
        path=job.path,
        line=job.line,
        description=job.description,
        hash=job.hash,
        schedule_key=job.schedule_key,
        after_end=bool(when and when.after_end),
        start_at=job.start_at,
        end_at=job.end_at,
        overridden=job.overridden,
        offset=job.offset,
        run_on_start=job.run_on_start,
        former=job.former_names,
        target=job.target,
    )


def summaries(columns: Sequence[Column], count: int) -> list[Summary]:
    """Return the summaries of `count` jobs from columns. Raises as `unpacked` does."""
    if not columns and count == 0:
        return []
    pairs = zip(Summary._fields, columns, strict=True)
    filled = [unpacked(each, count, _as_tuple if name in TUPLES else None) for name, each in pairs]
    return list(map(Summary._make, zip(*filled, strict=True)))


def _as_tuple(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
