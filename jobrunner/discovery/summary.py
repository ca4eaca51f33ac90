"""What `ls` needs of each job, as columns: ten thousand rows decode in a few milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from jobrunner.clock import Instant

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


Column = list[Any] | dict[str, Any]
MARKS = "|~^`#"  # what texts are joined with: one that none of them holds, and that JSON need not escape


def packed(rows: Sequence[Sequence[Any]]) -> list[Column]:
    """Return rows as columns.

    One whose values are all the same is {"all": value}; texts become one text, {"by": mark, "text": joined}:
    it is decoded several times faster than a list.
    """
    return [_column(list(column)) for column in zip(*rows, strict=True)]


def _column(values: list[Any]) -> Column:
    if all(each == values[0] and type(each) is type(values[0]) for each in values):
        return {"all": values[0]}
    mark = _mark(values) if all(isinstance(each, str) for each in values) else None
    return values if mark is None else {"by": mark, "text": mark.join(values)}


def _mark(values: list[str]) -> str | None:
    return next((mark for mark in MARKS if not any(mark in each for each in values)), None)


def _values(column: Column, count: int) -> Iterable[Any]:
    if isinstance(column, list):
        return column
    if "all" in column:
        return repeat(column["all"], count)
    found: list[str] = column["text"].split(column["by"])
    return found


def unpacked(columns: Sequence[Column], count: int) -> list[Summary]:
    """Return the summaries of `count` jobs. Raises ValueError or TypeError for what `packed` did not make."""
    if not columns and count == 0:
        return []
    if len(columns) != len(Summary._fields):
        raise ValueError("columns are missing")
    filled = [_values(each, count) for each in columns]
    return list(map(Summary._make, zip(*filled, strict=True)))
