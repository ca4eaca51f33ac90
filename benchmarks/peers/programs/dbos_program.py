"""DBOS on PostgreSQL: workflows in threads of one process; each is kept."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import datetime

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions

from benchmarks.peers.programs import asking
from benchmarks.peers.programs.body import note

CONFIG: DBOSConfig = {
    "name": "bench", "system_database_url": os.environ["BENCH_URL"], "log_level": "ERROR",
    "application_version": "1", "use_listen_notify": True,
}  # fmt: skip
QUEUE = "bench"
POLLING = 0.1  # seconds between two looks at the queue, in place of one
CALL: EnqueueOptions = {"workflow_name": "noop", "queue_name": QUEUE, "app_version": "1"}
COPIED = {
    "workflow_uuid": "gen_random_uuid()::text", "status": "'SUCCESS'", "completed_at": "created_at",
    "started_at_epoch_ms": "created_at", "created_at": "created_at - n * 1000",
}  # fmt: skip


@DBOS.workflow(name="noop")
def noop(asked: float = 0.0) -> None:
    note(asked)


@DBOS.workflow(name="tick")
def tick(due: datetime, context: object) -> None:
    note(due.timestamp())


class Queue(asking.Queue):
    """A client, as in another process than the workers."""

    def __init__(self) -> None:
        self._client = DBOSClient(system_database_url=os.environ["BENCH_URL"])

    def setup(self) -> None:
        launch()
        schedules(int(os.environ.get("BENCH_JOBS", "0")))
        DBOS.destroy()

    def send(self, asked: float) -> None:
        self._client.enqueue(CALL, asked)

    def send_many(self, count: int) -> None:
        self._together(count, CALL)

    def send_at(self, count: int, when: float) -> None:
        self._together(count, {**CALL, "delay_seconds": max(0.0, when - time.time())})

    def _together(self, count: int, call: EnqueueOptions) -> None:
        """Enqueue in one transaction: it has no call for many."""
        url = sqlalchemy.make_url(os.environ["BENCH_URL"]).set(drivername="postgresql+psycopg")
        with sqlalchemy.create_engine(url).begin() as connection:
            for _ in range(count):
                self._client.enqueue_in_transaction(connection, call, 0.0)

    def fill(self, count: int) -> None:
        """Have copies of one row that say that they have ended."""
        self.send(0.0)
        with psycopg.connect(os.environ["BENCH_URL"]) as connection:
            described = connection.execute("SELECT * FROM dbos.workflow_status LIMIT 0").description or []
            names = [column.name for column in described]
            values = ", ".join(COPIED.get(name, name) for name in names)
            connection.execute(
                f"INSERT INTO dbos.workflow_status ({', '.join(names)}) SELECT {values}"
                f" FROM dbos.workflow_status, generate_series(1, {count}) AS n"
            )
            connection.execute("DELETE FROM dbos.workflow_status WHERE status = 'ENQUEUED'")
        with psycopg.connect(os.environ["BENCH_URL"], autocommit=True) as connection:
            connection.execute("ANALYZE dbos.workflow_status")

    def last(self) -> int:
        """Read the last workflows of the name."""
        return len(self._client.list_workflows(name="noop", limit=asking.LAST, sort_desc=True))


def launch() -> None:
    """Start all that works in the background."""
    DBOS(config=CONFIG)
    DBOS.launch()


def schedules(count: int) -> None:
    """Have schedules that are due once a day."""
    DBOS.apply_schedules([
        {"schedule_name": f"job_{n}", "workflow_fn": tick, "schedule": f"{n % 60} 3 * * *", "context": None}
        for n in range(count)
    ])  # fmt: skip


def work(task: str) -> None:
    """Work until told to stop; who is idle has schedules alone, and no queue to look at."""
    launch()
    if task != "idle":
        DBOS.register_queue(QUEUE, polling_interval_sec=POLLING)
    if task == "each-second":
        DBOS.create_schedule(
            schedule_name="tick", workflow_fn=tick, schedule="* * * * * *", context=None, queue_name=QUEUE
        )
    threading.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] in ("work", "idle", "each-second"):
        work(sys.argv[1])
    else:
        asking.main(Queue())
