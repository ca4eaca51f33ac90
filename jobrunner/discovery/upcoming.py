"""The next due moments, remembered: between two of them `ls` need not even import the calendar."""

from __future__ import annotations

from jobrunner.clock import Instant
from jobrunner.discovery.cache import Cache
from jobrunner.discovery.catalog import WORTH
from jobrunner.discovery.summary import Summary

NEXT = "next.json"
NEVER = -1


class Upcoming:
    """Answers when jobs are due next, from what was found before where it still holds.

    Kept by schedule: [from, next] holds for every moment in between. Schedules that count from an
    anchor are computed each time, for that anchor.
    """

    def __init__(self, project: str, code: object) -> None:
        self._cache = Cache(project)
        self._code = code
        found = self._cache.read(NEXT)
        known = found.get("next") if found is not None and found.get("code") == code else None
        self._known: dict[str, list[int]] = known if isinstance(known, dict) else {}
        self._changed = 0

    def next_after(self, summary: Summary, after: Instant, anchor: Instant | None = None) -> Instant | None:
        """Return the first due moment strictly after `after`, or None.

        `anchor` is for jobs whose `anchored` is true; without one, none of their moments is known.
        Neither startAt nor endAt nor a limit is looked at.
        """
        if not summary.schedule or (summary.anchored and anchor is None):
            return None
        if summary.anchored:
            return _computed(summary, after, anchor or 0)
        key = f"{summary.timezone}|{summary.schedule_key}"
        span = self._known.get(key)
        if span is None or not span[0] <= after < (span[1] if span[1] != NEVER else after + 1):
            found = _computed(summary, after, 0)
            span = self._known[key] = [after, NEVER if found is None else found]
            self._changed += 1
        return None if span[1] == NEVER else span[1]

    def save(self) -> None:
        """Keep what was computed, where there is a folder to keep it in."""
        if self._changed:
            self._cache.write(
                NEXT, {"code": self._code, "next": self._known}, worth=len(self._known) >= WORTH
            )


def _computed(summary: Summary, after: Instant, anchor: Instant) -> Instant | None:
    from jobrunner.config import parsed

    gap, fold = (*summary.schedule_key.split("|"), "", "")[2:4]
    schedule = parsed(summary.schedule, summary.timezone, gap or "run-after", fold or "first")
    return schedule.next_after(after, anchor)
