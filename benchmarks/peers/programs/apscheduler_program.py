"""APScheduler 3.

PROGRAM threads|processes|sqlite each-second|even-seconds|odd-seconds|idle COUNT|burst COUNT WHEN|start COUNT
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from benchmarks.peers.programs.body import note

WORKERS = os.cpu_count() or 2
SECONDS = {"each-second": "*", "even-seconds": "*/2", "odd-seconds": "1-59/2"}


def scheduler(kind: str) -> Any:
    """Return a scheduler that keeps its jobs in memory, or with "sqlite" in a file."""
    options: dict[str, Any] = {}
    if kind != "threads":
        options["executors"] = {"default": ProcessPoolExecutor(WORKERS)}
    if kind == "sqlite":
        options["jobstores"] = {"default": SQLAlchemyJobStore(url="sqlite:///" + os.environ["BENCH_URL"])}
    return BackgroundScheduler(timezone=UTC, **options)


def daily(made: Any, count: int) -> None:
    """Add jobs of which none is due for long."""
    for number in range(count):
        trigger = CronTrigger(hour=(datetime.now(UTC).hour + 12) % 24, minute=number % 60, timezone=UTC)
        made.add_job(note, trigger, id=str(number), replace_existing=True)


def fill(made: Any, command: str, numbers: list[float]) -> None:
    """Add the jobs that are asked for."""
    if command in SECONDS:
        made.add_job(note, CronTrigger(second=SECONDS[command], timezone=UTC), id="tick")
    elif command == "burst":
        due = datetime.fromtimestamp(numbers[1], UTC)
        for number in range(int(numbers[0])):  # without grace it gives up what it cannot start in a second
            made.add_job(note, DateTrigger(due), id=str(number), misfire_grace_time=60)
    else:
        daily(made, int(numbers[0]))
    if command == "start":
        made.add_job(note)


if __name__ == "__main__":
    made = scheduler(sys.argv[1])
    fill(made, sys.argv[2], [float(each) for each in sys.argv[3:]])
    made.start()
    threading.Event().wait()
