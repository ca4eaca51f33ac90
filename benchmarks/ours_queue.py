"""jobrunner, asked as every queue is: `benchmarks.peers.programs.asking` says what."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from benchmarks.peers.programs import asking
from jobrunner import connect

JOB = "noop"
ENDED = """
    INSERT INTO runs (job_id, trigger, scheduled_for, effective_at, state, exclusive, created_at, started_at,
                      began_at, finished_at, owner, node, machine, pid, fence)
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :count),
         t(at) AS (SELECT :now - (1 + :count - i) * 1000000 FROM n)
    SELECT (SELECT id FROM jobs WHERE name = :job), 'schedule', at, at, 'succeeded', 0, at, at, at, at + 5000,
           'a node that has left', 'node', 'machine', 1, 1
    FROM t"""


class Queue(asking.Queue):
    """A client in the project that is the working folder."""

    def __init__(self) -> None:
        self._client = connect()

    def send(self, asked: float) -> None:
        """Trigger, when somebody waits for it, else call."""
        if asked:
            self._client.trigger(JOB, asked=asked)
        else:
            self._client.run_after(0, JOB)

    def send_many(self, count: int) -> None:
        """Call many in one transaction."""
        self._later(count, time.time())

    def send_at(self, count: int, when: float) -> None:
        self._later(count, when)

    def fill(self, count: int) -> None:
        """Have a history; written as rows, for to run it would take hours."""
        self._client.job(JOB)
        address = self._client.settings.state.removeprefix("sqlite:///")
        with closing(sqlite3.connect(address, timeout=60)) as connection, connection:
            connection.execute(ENDED, {"count": count, "now": round(time.time() * 1e6), "job": JOB})

    def last(self) -> int:
        """Read the last runs of the job."""
        return len(self._client.runs(JOB, limit=asking.LAST))

    def _later(self, count: int, when: float) -> None:
        self._client.run_many(JOB, [{}] * count, delay=max(0.0, when - time.time()))


if __name__ == "__main__":
    asking.main(Queue())
