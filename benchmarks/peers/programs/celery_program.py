"""Celery on Redis; results are not kept, one connection serves all."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from celery import Celery, group

from benchmarks.peers.programs import asking
from benchmarks.peers.programs.body import note

app = Celery("bench", broker=os.environ["BENCH_URL"])
app.conf.update(
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    enable_utc=True,
    worker_prefetch_multiplier=64,  # what its page on optimizing says for many short tasks
)


@app.task(name="noop")
def noop(asked: float = 0.0) -> None:
    note(asked)


class Queue(asking.Queue):
    def send(self, asked: float) -> None:
        noop.delay(asked)

    def send_many(self, count: int) -> None:
        group(noop.s(0.0) for _ in range(count)).apply_async()

    def send_at(self, count: int, when: float) -> None:
        due = datetime.fromtimestamp(when, UTC)
        for _ in range(count):
            noop.apply_async((0.0,), eta=due)


if __name__ == "__main__":
    asking.main(Queue())
