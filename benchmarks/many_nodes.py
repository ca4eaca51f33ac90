"""How quickly 1, 2, 4 and 8 nodes drain due calls, on one PostgreSQL and on one SQLite file, in the same run.

    python -m benchmarks.many_nodes [--calls 600] [--nodes 1 2 4 8] [--json FILE]

- runs/s: no-op calls that are due before the first starts, from that start to the last end; `warm`:
  one process serves many runs, `fresh`: each run has its own
- CPU: seconds of the nodes' own processes, and of the server with all its connections, for 1,000 runs
- transaction: a turn's, median and 99th percentile, in milliseconds, the wait for the lock included
- waiting: the share of the nodes' wall time that they waited for the one writer's lock
- round trips, statements: for each run; the latter as pg_stat_statements counts them

Both commit durably: PostgreSQL with fsync and synchronous_commit on, READ COMMITTED and one writer at a time;
SQLite with synchronous=FULL, BEGIN IMMEDIATE.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import tree_cpu
from tests.lifecycle.project import wait_until
from tests.postgres.server import Server

SLOTS = 4
SCHEMA = "bench"
JOB = """
config = {{"name": "noop", "schedule": None, "concurrency": "allow", "runsPerProcess": {serves}}}


def default():
    pass
"""
DUE = """
    INSERT INTO {schema}runs (job_id, trigger, effective_at, state, exclusive, created_at)
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    SELECT (SELECT id FROM {schema}jobs WHERE name = 'noop'), 'call', {now}, 'pending', 0, {now} FROM n"""
RING = "UPDATE {schema}meta SET currents = currents + 1"
ENDED = "SELECT count(*), min(started_at), max(finished_at) FROM {schema}runs WHERE state = 'succeeded'"
JOINED = "SELECT count(*) FROM {schema}nodes"
STATEMENTS = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT ILIKE '%count(*), min(%'"

TOP = """
    SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 70), calls, mean_exec_time,
           total_exec_time / sum(total_exec_time) OVER ()
    FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 12"""

Ask = Callable[[str], list[Any]]


@dataclass
class Figure:
    """What one drain came to; times in seconds."""

    state: str
    kind: str
    nodes: int
    runs: int
    rate: float
    node_cpu: float  # for 1,000 runs, of the nodes alone
    server_cpu: float | None
    median: float
    p99: float
    waiting: float  # share of the nodes' time
    round_trips: float | None  # for each run
    statements: float | None

    def __str__(self) -> str:
        server = "–" if self.server_cpu is None else f"{self.server_cpu:.2f}"
        trips = "–" if self.round_trips is None else f"{self.round_trips:.1f}"
        asked = "–" if self.statements is None else f"{self.statements:.1f}"
        return (
            f"| {self.state} | {self.kind} | {self.nodes} | {self.rate:.0f} | {self.node_cpu:.2f} | {server} "
            f"| {self.median * 1e3:.1f} | {self.p99 * 1e3:.1f} | {self.waiting:.0%} | {trips} | {asked} |"
        )


HEAD = (
    "| state | kind | nodes | runs/s | node CPU s / 1,000 | server CPU s / 1,000 | transaction ms "
    "| p99 ms | waiting | round trips / run | statements / run |\n|" + "---|" * 11
)


class Place:
    """A project with its state; `server` None: a SQLite file."""

    def __init__(self, folder: Path, server: Server | None, serves: int) -> None:
        self.folder, self.server = folder, server
        (folder / "jobs").mkdir()
        (folder / "jobs" / "noop.py").write_text(JOB.format(serves=serves), "utf-8")
        self.file = folder / ".jobrunner" / "state.db"
        self.environment = dict(os.environ)
        if server is not None:
            server.drop(SCHEMA)
            self.environment["JOBRUNNER_STATE"] = server.url(SCHEMA)

    def ask(self, sql: str, **values: object) -> list[Any]:
        """Execute a statement, and return its rows."""
        if self.server is not None:
            return self.server.execute(sql.format(schema=f"{SCHEMA}.", **values))
        if not self.file.exists():
            return [(0,)]
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        try:
            return connection.execute(sql.format(schema="", **values)).fetchall()
        finally:
            connection.close()

    @contextmanager
    def nodes(self, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Have so many nodes at work; their figures are in `node-N.json` afterwards."""
        found = [self._start(number) for number in range(count)]
        try:
            wait_until(lambda: self._joined() == count, "the nodes to join", 120)
            yield found
        finally:
            for node in found:
                node.send_signal(signal.SIGTERM)
            for node in found:
                node.wait(60)

    def _joined(self) -> int:
        try:
            return int(self.ask(JOINED)[0][0])
        except Exception:  # nobody has made it yet
            return 0

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "benchmarks.measured_node", str(self.folder / f"node-{number}.json"),
            "--project", str(self.folder), "start", "--slots", str(SLOTS), "--machine", f"m{number}",
        ]  # fmt: skip
        if self.server is None:
            del command[-2:]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)


def drain(state: str, server: Server | None, kind: str, nodes: int, calls: int) -> Figure:
    """Let nodes drain due calls, and say what that took."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), server, 1 if kind == "fresh" else 1_000_000)
        with place.nodes(nodes) as living:
            if server is not None:
                server.execute("SELECT pg_stat_statements_reset()")
            before = _cpu(living), _cpu_of(server)
            place.ask(DUE, count=calls, now=round(time.time() * 1e6))
            place.ask(RING)
            wait_until(lambda: place.ask(ENDED)[0][0] >= calls, "all calls to have ended", 600)
            after = _cpu(living), _cpu_of(server)
            statements = server.execute(STATEMENTS)[0][0] if server is not None else None
            count, first, last = place.ask(ENDED)[0]
        told = [json.loads((Path(folder) / f"node-{each}.json").read_text()) for each in range(nodes)]
    seconds = (last - first) / 1e6
    return Figure(
        state, kind, nodes, count, count / seconds, (after[0] - before[0]) * 1000 / calls,
        None if server is None else (after[1] - before[1]) * 1000 / calls,
        *_turns(told), _waiting(told, seconds * nodes),
        None if server is None else sum(each["round_trips"] for each in told) / calls,
        None if statements is None else float(statements) / calls,
    )  # fmt: skip


def _cpu(nodes: list[subprocess.Popen[bytes]]) -> float:
    """Return the CPU seconds of the nodes themselves; their children are another matter."""
    ticks = 0
    for node in nodes:
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return float(ticks / os.sysconf("SC_CLK_TCK"))


def _cpu_of(server: Server | None) -> float:
    return 0.0 if server is None else tree_cpu(server.pid)


def _turns(told: list[Any]) -> tuple[float, float]:
    found = sorted(took for each in told for took in each["transactions"])
    return statistics.median(found), found[min(len(found) - 1, int(len(found) * 0.99))]


def _waiting(told: list[Any], seconds: float) -> float:
    """Return the share of the time that nodes waited: what a beginning took beyond the quickest one."""
    quickest = min(min(each["begins"]) for each in told)
    return float(sum(begin - quickest for each in told for begin in each["begins"]) / seconds)


@contextmanager
def database() -> Iterator[Server]:
    """Yield a durable server that counts its statements."""
    settings = {"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "128MB"}
    with Server(fsync=True, settings=settings) as server:
        server.execute("CREATE EXTENSION pg_stat_statements")
        yield server


def main() -> None:
    """Measure, one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--kinds", nargs="+", default=["warm", "fresh"], choices=["warm", "fresh"])
    parser.add_argument("--states", nargs="+", default=["PostgreSQL", "SQLite"])
    parser.add_argument("--top", action="store_true", help="the statements that took the server most time")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = []
    print(HEAD)
    with database() as server:
        for kind in args.kinds:
            for nodes in args.nodes:
                for state in args.states:
                    calls = args.calls if kind == "warm" else args.calls // 3
                    where = server if state == "PostgreSQL" else None
                    found.append(drain(state, where, kind, nodes, calls))
                    print(found[-1], flush=True)
            if args.top and "PostgreSQL" in args.states:
                print(*(f"{share:5.1%} {calls:6} x {mean:.3f} ms  {text}" for text, calls, mean, share in
                        server.execute(TOP)), sep="\n")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps([asdict(each) for each in found], indent=1), "utf-8")


if __name__ == "__main__":
    main()
