"""The times of day of a cron schedule, as seconds since midnight of the wall clock."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property, reduce
from itertools import pairwise
from operator import or_

DAY = 86_400


class Times:
    """All combinations of the given hours, minutes and seconds; each sorted and not empty."""

    def __init__(self, hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> None:
        self.hours, self.minutes, self.seconds = hours, minutes, seconds
        self.per_hour = len(minutes) * len(seconds)
        self.total = len(hours) * self.per_hour
        self.opening = hours[0] * 3600 + minutes[0] * 60 + seconds[0]
        self.closing = hours[-1] * 3600 + minutes[-1] * 60 + seconds[-1]
        self._in_hour = minutes[0] * 60 + seconds[0]
        # The next value from each on, -1 for none: a cascade of look-ups is faster than any search.
        self._hour, self._minute, self._second = _nexts(hours, 24), _nexts(minutes, 60), _nexts(seconds, 60)

    def first(self, time: int) -> int:
        """Return the first time from `time` on, or -1 when the day has none left."""
        hour, rest = divmod(time, 3600)
        if self._hour[hour] == hour:
            found = self._rest_of_hour(rest)
            if found >= 0:
                return hour * 3600 + found
            hour += 1
        hour = self._hour[hour]
        return hour if hour < 0 else hour * 3600 + self._in_hour

    def _rest_of_hour(self, rest: int) -> int:
        minute, second = divmod(rest, 60)
        if self._minute[minute] == minute:
            second = self._second[second]
            if second >= 0:
                return minute * 60 + second
            minute += 1
        minute = self._minute[minute]
        return minute if minute < 0 else minute * 60 + self.seconds[0]

    def last(self, time: int) -> int:
        """Return the last time up to and including `time`, or -1 when the day has none before."""
        number = self.before(time + 1)
        return self.nth(number - 1) if number else -1

    def nth(self, number: int) -> int:
        """Return the time with this number, counted from 0 at midnight."""
        hour, rest = divmod(number, self.per_hour)
        minute, second = divmod(rest, len(self.seconds))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def before(self, time: int) -> int:
        """Return how many times are before `time`, which may be a whole day."""
        hour, rest = divmod(time, 3600)
        count = bisect_left(self.hours, hour) * self.per_hour
        if hour < 24 and self._hour[hour] == hour:
            minute, second = divmod(rest, 60)
            count += bisect_left(self.minutes, minute) * len(self.seconds)
            if self._minute[minute] == minute:
                count += bisect_left(self.seconds, second)
        return count

    def closest(self, days: int) -> int:
        """Return the least number of seconds between two times, where matching days are `days` apart."""
        within_minute = self.seconds[-1] - self.seconds[0]
        within_hour = within_minute + (self.minutes[-1] - self.minutes[0]) * 60
        gaps = [days * DAY - self.closing + self.opening]
        gaps += _gaps(self.seconds, 1, 0) + _gaps(self.minutes, 60, within_minute)
        return min(gaps + _gaps(self.hours, 3600, within_hour))

    @cached_property
    def mask(self) -> int:
        """All times as the bits of one number: the union of several schedules is then `|`."""
        minute = reduce(or_, (1 << second for second in self.seconds))
        hour = reduce(or_, (minute << value * 60 for value in self.minutes))
        return reduce(or_, (hour << value * 3600 for value in self.hours))


def _nexts(values: tuple[int, ...], size: int) -> tuple[int, ...]:
    table, following, wanted = [-1], -1, set(values)
    for value in range(size - 1, -1, -1):
        following = value if value in wanted else following
        table.append(following)
    return tuple(reversed(table))


def _gaps(values: tuple[int, ...], unit: int, used: int) -> list[int]:
    return [(b - a) * unit - used for a, b in pairwise(values)]
