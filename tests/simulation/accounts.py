"""What was due, reckoned anew: by the schedules alone, over whatever the cursors have moved.

The journal says how each cursor moved. Where it moved on under one schedule, all that lies between was due,
and must be in the ledger; where a schedule began anew, or a finished job was let go on, nothing was. A cursor
that a wrong clock had led astray is set back, and what nobody has started since then has not been due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobrunner.clock import DAY, Instant, to_iso
from jobrunner.model import Job
from jobrunner.schedule import Schedule
from tests.simulation.journal import Entry

Row = dict[str, Any]
UNTOUCHED = ("pending", "skipped")


@dataclass(slots=True)
class Account:
    """One (job, scope): what was due, and the rows that stand for it, as they are now."""

    due: set[Instant] = field(default_factory=set)
    rows: dict[int, Row] = field(default_factory=dict)


def audit(entries: list[Entry], known: Mapping[str, Job]) -> Iterator[str]:
    """Yield a sentence for whatever is due and absent, there twice, or there and was never due."""
    accounts: dict[tuple[int, str], Account] = {}
    for entry in entries:
        account = accounts.setdefault(entry.place, Account())
        if entry.what == "cursors":
            yield from _moved(account, entry, known)
        elif entry.row["trigger"] == "schedule" and entry.row["attempt"] == 1:
            _written(account, entry)
    for (job_id, scope), account in accounts.items():
        where = f"job {job_id}" + (f" on {scope}" if scope else "")
        yield from (f"{where}: {said}" for said in _compare(account))


def _written(account: Account, entry: Entry) -> None:
    account.rows.pop(entry.row["id"], None)
    if entry.after is not None:
        account.rows[entry.after["id"]] = entry.after


# -- cursors ----------------------------------------------------------------------------------------


def _moved(account: Account, entry: Entry, known: Mapping[str, Job]) -> Iterator[str]:
    before, after = entry.before, entry.after
    if before is None or after is None:
        return
    if before["schedule_key"] != after["schedule_key"]:
        if before["consumed"] - after["consumed"] > DAY:
            _set_back(account, after["consumed"])
        return
    job = known.get(entry.around["hash"])
    if after["consumed"] < before["consumed"]:
        _set_back(account, after["consumed"])
        if before["consumed"] - entry.wall <= DAY:
            yield f"a cursor went back from {to_iso(before['consumed'])} at {to_iso(entry.wall)}"
    elif job is not None and job.schedule is not None and not _is_let_go_on(entry, job):
        account.due |= _between(job, job.schedule, before, after, entry.who)
        if after["consumed"] > max(entry.wall - job.offset, before["consumed"]):
            yield f"what is due at {to_iso(after['consumed'])} was consumed at {to_iso(entry.wall)}"


def _is_let_go_on(entry: Entry, job: Job) -> bool:
    """Say whether a finished job's cursor was moved to now: nothing was due while it was finished."""
    assert entry.before is not None
    limit = job.number_of_executions
    return limit is not None and entry.before["executions"] >= limit


def _between(job: Job, schedule: Schedule, before: Row, after: Row, who: str) -> set[Instant]:
    since, until = before["consumed"], after["consumed"]
    if before["executions"] != after["executions"]:
        return set()
    if since == until:  # only what runs at the first sight of a job is due without a step
        return {until} if job.run_on_start and until == after["anchor"] and who != "people" else set()
    if schedule.after_end:
        return {until}
    return set(instants(schedule, after["anchor"], since, until))


def instants(schedule: Schedule, anchor: Instant, after: Instant, until: Instant) -> list[Instant]:
    """Return all instants of a schedule in (after, until], one after the other."""
    found: list[Instant] = []
    instant = schedule.next_after(after, anchor)
    while instant is not None and instant <= until:
        found.append(instant)
        instant = schedule.next_after(instant, anchor)
    return found


def _set_back(account: Account, to: Instant) -> None:
    """Forget what has not come yet, but for what somebody has started already."""
    touched = [
        row for row in account.rows.values() if row["state"] not in UNTOUCHED or row["started_at"] is not None
    ]
    kept = {row["scheduled_for"] for row in touched}
    account.due = {instant for instant in account.due if instant <= to or instant in kept}


# -- the comparison ---------------------------------------------------------------------------------


def _compare(account: Account) -> Iterator[str]:
    left = set(account.due)
    for row in sorted(account.rows.values(), key=lambda row: (row["scheduled_for"], row["id"])):
        meant = _meant(row, account.due)
        if row["count"] != len(meant):
            yield f"run {row['id']} stands for {row['count']}, and {len(meant)} were due in its span"
        if not meant <= left:
            yield f"run {row['id']} stands for what another row stands for"
        left -= meant
    for instant in sorted(left)[:3]:
        yield f"what was due at {to_iso(instant)} is in no row"


def _meant(row: Row, due: set[Instant]) -> set[Instant]:
    first, last = row["scheduled_for"], row["last_for"]
    if last is None or row["count"] == 1:
        return {first} & due
    return {instant for instant in due if first <= instant <= last}
