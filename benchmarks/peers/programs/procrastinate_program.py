"""Procrastinate on PostgreSQL: coroutines on one event loop; ended jobs are kept."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

import procrastinate

from benchmarks.peers.programs import asking
from benchmarks.peers.programs.body import note

CONNECTOR = procrastinate.SyncPsycopgConnector(conninfo=os.environ["BENCH_URL"])
app = procrastinate.App(connector=CONNECTOR)


@app.task(name="noop")
async def noop(asked: float = 0.0) -> None:
    note(asked)


@app.task(name="tick")
async def tick(timestamp: int) -> None:
    note(timestamp)


def schedules(count: int) -> None:
    """Register what a project of so many schedules has."""
    for number in range(count):
        task = app.task(name=f"job_{number}")(_idle)
        app.periodic(cron=f"{number % 60} 3 * * *", periodic_id=str(number))(task)


async def _idle(timestamp: int) -> None:
    pass


class Queue(asking.Queue):
    def setup(self) -> None:
        with app.open():
            app.schema_manager.apply_schema()

    def send(self, asked: float) -> None:
        noop.defer(asked=asked)

    def send_many(self, count: int) -> None:
        noop.batch_defer(*({"asked": 0.0} for _ in range(count)))

    def send_at(self, count: int, when: float) -> None:
        due = datetime.fromtimestamp(when, UTC)
        noop.configure(schedule_at=due).batch_defer(*({"asked": 0.0} for _ in range(count)))


async def work() -> None:
    """Work until told to stop."""
    connector = procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_URL"])
    with app.replace_connector(connector) as asynchronous:
        async with asynchronous.open_async():
            await asynchronous.run_worker_async(concurrency=20)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        schedules(int(os.environ.get("BENCH_JOBS", "0")))
        asyncio.run(work())
    elif sys.argv[1] == "each-second":
        app.periodic(cron="* * * * * *")(tick)
        asyncio.run(work())
    else:
        with app.open():
            asking.main(Queue())
