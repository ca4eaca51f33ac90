"""Why a run started late, where the ledger can tell: the group that it belongs to was full."""

from __future__ import annotations

from jobrunner.model import Run
from jobrunner.store.base import RunFilter
from jobrunner.why.facts import Facts
from jobrunner.why.hindrances import listed

ROWS = 1_000  # of the ledger that are looked at, back from the start
NONE = "", ()


def held_up(facts: Facts, run: Run) -> tuple[str, tuple[int, ...]]:
    """Return the words for what a run waited for once it was due, and the runs in its way; else ("", ()).

    Its group was full when it was due if as many of it ran then as the limit allows: the limit of today.
    """
    job, began = facts.job, run.started_at
    if facts.store is None or began is None or job is None or job.group is None or not job.group_limit:
        return NONE
    before = facts.store.runs(RunFilter(until=began, limit=ROWS))
    there = [each for each in before if each.group == run.group and _ran(each, run)]
    if run.group != job.group or len(there) < job.group_limit:
        return NONE
    ids = sorted(each.id for each in there)
    return f"its group {run.group} was full ({listed(ids)})", tuple(ids)


def _ran(other: Run, run: Run) -> bool:
    """Say whether another run was running when this one was due."""
    at = run.effective_at
    return (
        other.id != run.id
        and other.started_at is not None
        and other.started_at <= at
        and (other.finished_at is None or other.finished_at > at)
    )
