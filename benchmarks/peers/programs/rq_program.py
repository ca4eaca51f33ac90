"""RQ on Redis; results are kept as long as by default."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from redis import Redis
from rq import Queue as RqQueue
from rq.job import Job

from benchmarks.peers.programs import asking
from benchmarks.peers.programs.body import note

COPY = """
    for number = ARGV[1], ARGV[2] - 1 do
        local id = string.format('00000000-0000-0000-0000-%012d', number)
        redis.call('COPY', KEYS[1], 'rq:job:' .. id)
        redis.call('ZADD', KEYS[2], 4000000000 + number, id)
    end"""


class Queue(asking.Queue):
    def __init__(self) -> None:
        self._queue = RqQueue(connection=Redis.from_url(os.environ["BENCH_URL"]))

    def send(self, asked: float) -> None:
        self._queue.enqueue(note, asked)

    def send_many(self, count: int) -> None:
        self._queue.enqueue_many([RqQueue.prepare_data(note, (0.0,)) for _ in range(count)])

    def send_at(self, count: int, when: float) -> None:
        for _ in range(count):
            self._queue.enqueue_at(datetime.fromtimestamp(when, UTC), note, 0.0)

    def fill(self, count: int) -> None:
        """Have copies of one job that say that they have ended."""
        job, connection = self._queue.enqueue(note, 0.0), self._queue.connection
        connection.hset(job.key, "status", "finished")
        copy = connection.register_script(COPY)
        for first in range(0, count, 10_000):
            copy([job.key, self._queue.finished_job_registry.key], [first, min(count, first + 10_000)])
        self._queue.empty()

    def last(self) -> int:
        """Read the jobs that have ended last."""
        found = self._queue.finished_job_registry.get_job_ids(0, asking.LAST - 1, desc=True)
        return len(Job.fetch_many(found, self._queue.connection))


if __name__ == "__main__":
    asking.main(Queue())
