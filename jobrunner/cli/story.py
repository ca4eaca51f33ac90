"""A timeline as text: by day, each entry a line; a long one summed up by job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from jobrunner.cli.render import lasting, local, many
from jobrunner.clock import SECOND, to_datetime
from jobrunner.model import OPEN
from jobrunner.pace import length
from jobrunner.simulation.timeline import ClockChange, Entry, Timeline, grouped
from jobrunner.wording import one_line

EACH = 60  # entries that are shown one by one; beyond that they are summed up by job and day
DAYS = 31  # that are shown one by one; beyond that they are summed up by job
TOLD = frozenset({"succeeded", "skipped"})  # in other words than their own
DATE = "%A, %d %B %Y"

Lines = Iterator[str]


def text(timeline: Timeline) -> str:
    """Return a timeline for people."""
    return "".join(f"{line}\n" for line in _Story(timeline).lines())


class _Story:
    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._zone = timeline.timezone
        self._overlaps = set(map(id, timeline.overlaps))

    def lines(self) -> Lines:
        days, changes = self._timeline.by_day(), _changes(self._timeline)
        if len(days) > DAYS:
            yield from self._jobs(self._timeline.entries)
            yield from (f"{day.strftime(DATE)}: {said}" for day in sorted(changes) for said in changes[day])
        else:
            for day in sorted({*days, *changes}):
                yield "  ".join([day.strftime(DATE), *(f"({said})" for said in changes.get(day, ()))])
                yield from self._day(days.get(day, ()))
        yield self._sum()

    def _day(self, entries: Sequence[Entry]) -> Lines:
        if len(self._timeline) > EACH:
            yield from self._jobs(entries)
            return
        width = max((len(entry.job) for entry in entries), default=0)
        for entry in entries:
            at = local(entry.due, self._zone, "%H:%M:%S")
            yield f"  {at}  {entry.job:<{width}}  {_words(entry, overlaps=id(entry) in self._overlaps)}"

    def _jobs(self, entries: Sequence[Entry]) -> Lines:
        found = grouped((entry.job, entry) for entry in sorted(entries, key=lambda one: one.job))
        width = max(map(len, found), default=0)
        for job, of_job in found.items():
            yield f"  {job:<{width}}  {', '.join(self._parts(of_job))}"

    def _sum(self) -> str:
        entries = self._timeline.entries
        if not entries:
            return "nothing is due"
        return f"{', '.join(self._parts(entries))}; {many(len({entry.job for entry in entries}), 'job')}"

    def _parts(self, entries: Sequence[Entry]) -> Lines:
        """Yield how many there were of what: `24 runs`, `2 failed`, `3 skipped (overlap)`."""
        ran = [entry for entry in entries if entry.ran]
        if ran:
            yield many(len(ran), "run")
        overlaps = sum(id(entry) in self._overlaps for entry in ran)
        if overlaps:
            yield f"{overlaps:,} of them due while the one before was not over"
        planned = sum(entry.is_planned for entry in entries)
        if planned:
            yield f"{planned:,} due"
        states = Counter(entry.state for entry in entries if entry.state not in TOLD and not entry.is_planned)
        yield from (f"{number:,} {state.replace('_', ' ')}" for state, number in sorted(states.items()))
        yield from _skips(entries)


def _skips(entries: Sequence[Entry]) -> Lines:
    skips: Counter[str] = Counter()
    for entry in entries:
        if entry.state == "skipped":
            skips[entry.reason or "?"] += entry.occurrences
    yield from (f"{number:,} skipped ({reason})" for reason, number in sorted(skips.items()))


def _words(entry: Entry, *, overlaps: bool) -> str:
    """Return what became of an occurrence."""
    if entry.state == "skipped" and not entry.ran:
        more = "" if entry.occurrences == 1 else f", {many(entry.occurrences, 'occurrence')}"
        return f"skipped ({entry.reason}){more}"
    if not entry.ran:
        return "due" if entry.is_planned else f"{entry.state} at the end"
    said = [entry.state.replace("_", " ") + (f" ({entry.reason})" if entry.reason else "")]
    said += ["still at the end"] if entry.state in OPEN else []
    said += [f"attempt {entry.attempt}"] if entry.attempt > 1 else []
    said += [f"{lasting(late)} late"] if (late := (entry.began or 0) - entry.due) >= SECOND else []
    said += [f"took {length(entry.took)}"] if entry.took else []
    said += ["while the one before was not over"] if overlaps else []
    said += [one_line(f"{entry.error.get('type')}: {entry.error.get('message')}")] if entry.error else []
    return ", ".join(said)


# --- clock changes ------------------------------------------------------------------------------


def _changes(timeline: Timeline) -> Mapping[date, Sequence[str]]:
    found: dict[date, list[str]] = {}
    for change in timeline.clock_changes():
        day = date.fromisoformat(local(change.at, timeline.timezone, "%Y-%m-%d"))
        found.setdefault(day, []).append(_change(change))
    return found


def _change(change: ClockChange) -> str:
    """Return `clocks go forward 1 h at 02:00, Europe/Berlin`: the time is the one before the change."""
    from zoneinfo import ZoneInfo

    after = to_datetime(change.at).astimezone(ZoneInfo(change.zones[0])).replace(tzinfo=None)
    way = "forward" if change.seconds > 0 else "back"
    at = (after - timedelta(seconds=change.seconds)).strftime("%H:%M")
    return f"clocks go {way} {length(abs(change.seconds) * SECOND)} at {at}, {', '.join(change.zones)}"
