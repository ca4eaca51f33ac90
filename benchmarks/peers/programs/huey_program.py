"""Huey: a queue in an SQLite file, fsynced; it keeps no history."""

from __future__ import annotations

import os
from datetime import datetime
from importlib import import_module

from huey import SqliteHuey, crontab

from benchmarks.peers.programs import asking
from benchmarks.peers.programs.body import note

huey = SqliteHuey(filename=os.environ["BENCH_URL"], fsync=True, results=False, utc=False)


@huey.task()
def noop(asked: float = 0.0) -> None:
    note(asked)


for number in range(int(os.environ.get("BENCH_JOBS", "0"))):  # the schedules of a project that has so many
    huey.periodic_task(crontab(minute=str(number % 60), hour="3"), name=f"job_{number}")(lambda: None)


class Queue(asking.Queue):
    def send(self, asked: float) -> None:
        noop(asked)

    def send_at(self, count: int, when: float) -> None:
        for _ in range(count):
            noop.schedule(eta=datetime.fromtimestamp(when))


if __name__ == "__main__":
    # a call is named after the module of its task: the consumer's name for it, not "__main__"
    asking.main(import_module("benchmarks.peers.programs.huey_program").Queue())
