"""WHEN: pure arithmetic. No clock, no database: instants in, instants out.

A schedule is an immutable value, parsed once from text or a builder and shared freely.
"""

from __future__ import annotations

from typing import Protocol

from jobrunner.clock import Instant


class Schedule(Protocol):
    """Which moments a job is due. All instants are microseconds UTC.

    `anchor` is the moment a job was first registered: interval schedules count their grid from it,
    all others ignore it. Every method is a pure function of its arguments.
    """

    @property
    def text(self) -> str:
        """The canonical text: equal texts fire at equal moments, and `parse(text)` gives an equal schedule."""
        ...

    @property
    def after_end(self) -> bool:
        """Whether the caller must use the end of the last run as `anchor` (`every(10).minutes.after_end`)."""
        ...

    def next_after(self, after: Instant, anchor: Instant) -> Instant | None:
        """Return the first due instant strictly after `after`; None when there is none within 50 years."""
        ...

    def latest(self, after: Instant, until: Instant, anchor: Instant) -> Instant | None:
        """Return the last due instant in (after, until], or None; cheap however long the span is."""
        ...

    def count(self, after: Instant, until: Instant, anchor: Instant) -> int:
        """Return how many instants are due in (after, until]; cheap however long the span is."""
        ...

    def shortest(self) -> int:
        """Return a lower bound of the microseconds between two neighbouring due instants."""
        ...

    def words(self) -> str:
        """Return the schedule in English, without the zone: `every 5 minutes`, `at 02:30 on weekdays`."""
        ...
