"""How many next occurrences a library computes a second.

PROGRAM croniter|cronsim|apscheduler EXPRESSION SECONDS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

START = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = 20  # occurrences between two looks at the clock, each after the one before
STEP = timedelta(hours=7)  # then anew, a bit later: what was kept of the last time is of little use

Make = Callable[[str, datetime], Iterator[object]]


def of_croniter(expression: str, start: datetime) -> Iterator[object]:
    from croniter import croniter

    found = croniter(expression, start)
    while True:
        yield found.get_next(datetime)


def of_cronsim(expression: str, start: datetime) -> Iterator[object]:
    from cronsim import CronSim

    return iter(CronSim(expression, start))


def of_apscheduler(expression: str, start: datetime) -> Iterator[object]:
    from apscheduler.triggers.cron import CronTrigger

    minute, hour, day, month, weekday = expression.split()[-5:]
    second = expression.split(maxsplit=1)[0] if len(expression.split()) == 6 else "0"
    trigger = CronTrigger(
        second=second, minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, timezone=UTC
    )
    last, now = None, start
    while now is not None:
        now = trigger.get_next_fire_time(last, now)
        yield now
        last = now


MAKERS: dict[str, Make] = {
    "croniter": of_croniter, "cronsim": of_cronsim, "apscheduler": of_apscheduler,
}  # fmt: skip


def rate(make: Make, expression: str, seconds: float) -> float:
    """Return occurrences a second of CPU; expressions are parsed beforehand."""
    count, took, start = 0, 0.0, START
    while took < seconds:
        occurrences, start = make(expression, start), start + STEP
        next(occurrences)
        began = time.process_time()
        count += sum(1 for _ in islice(occurrences, AT_ONCE))
        took += time.process_time() - began
    return count / took


if __name__ == "__main__":
    print(rate(MAKERS[sys.argv[1]], sys.argv[2], float(sys.argv[3])))
