"""All that take calls, ours and peers, behind the same few words: ask, and have workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import ours
from benchmarks.measure import ROOT, NotMeasured, System
from benchmarks.peers import environment, servers
from benchmarks.processes import lines, wait_for, working

WORKERS = os.cpu_count() or 2
PROGRAMS = "benchmarks.peers.programs"
BATCH = 1000
ASKING = 1800  # seconds for a program that asks

FSYNC = "yes: SQLite, each commit fsynced; no history"
EVERYSEC = "all but the last second: Redis, appendfsync everysec"
PG = "yes: PostgreSQL, fsync and synchronous_commit on"

Serve = Callable[[Path], AbstractContextManager[str]]


@dataclass(frozen=True)
class Queue:
    """One way to run one system.

    `ask` and the `workers` are commands in which {bin} is the folder of its programs, {place} that of a Node
    package, {folder} the measurement's. `serve` yields the address of what it keeps its calls in.
    """

    system: System
    environment: str
    ask: Sequence[str]
    workers: Sequence[Sequence[str]]
    serve: Serve
    prepare: Callable[[Path], None] | None = None
    slow: bool = False  # so slow that it is asked for less
    variables: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Place]:
        """Have its database, and what must be there before anything is asked of it."""
        names = self._names(folder)
        with self.serve(folder) as url:
            variables = {**os.environ, **self.variables, "BENCH_URL": url, "BENCH_OUT": str(folder / "out")}
            variables |= {"PYTHONPATH": str(ROOT), "TZ": "UTC"}
            place = Place(self, folder, names, variables)
            if self.prepare is not None:
                self.prepare(folder)
            place.ask("setup")
            yield place

    def _names(self, folder: Path) -> dict[str, str]:
        if not self.environment:
            return {"bin": str(Path(sys.executable).parent), "folder": str(folder)}
        programs = environment.folder(self.environment)
        if self.environment in environment.NODE_PINS:
            environment.programs(self.environment)
        return {"bin": str(programs), "place": str(programs), "folder": str(folder)}


class Place:
    """A queue, opened in a folder."""

    def __init__(
        self, queue: Queue, folder: Path, names: Mapping[str, str], variables: dict[str, str]
    ) -> None:
        self.queue, self.folder, self._names, self.variables = queue, folder, names, variables
        self.out = folder / "out"

    def ask(self, *arguments: object) -> float:
        """Run the program that asks; returns the seconds that it says that took."""
        return self.asked(*arguments)["seconds"]

    def asked(self, *arguments: object) -> dict[str, float]:
        """Run the program that asks; returns all that it says that took."""
        command = [*self._filled(self.queue.ask), *map(str, arguments)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=ASKING, check=False,
        )  # fmt: skip
        if "NotImplementedError" in done.stderr:
            raise NotMeasured("it has no way to do this")
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    def ask_for(self, count: int) -> None:
        """Ask for so many calls, in whatever way is quick: how long that takes does not matter."""
        rest = count % BATCH
        try:
            for number, batch in ((count - rest, BATCH), (rest, rest)):
                if number:
                    self.ask("bulk", number, batch)
        except NotMeasured:
            self.ask("send", count)

    def working(self) -> AbstractContextManager[list[subprocess.Popen[bytes]]]:
        """Have workers for the length of the block."""
        return working(list(map(self._filled, self.queue.workers)), self.folder, self.variables)

    def _filled(self, command: Sequence[str]) -> list[str]:
        return [each.format(**self._names) for each in command]


# -- ours ------------------------------------------------------------------------------------------------


def _project(serves: int, imports: str, folder: Path) -> None:
    project = ours.Project(folder)
    project.job("noop", runsPerProcess=serves, imports=imports)
    project.see()


def jobrunner(
    system: System = ours.FRESH, *, serves: int = 1, imports: str = "",
    variables: Mapping[str, str] | None = None,
) -> Queue:  # fmt: skip
    """Return ours; one process serves so many runs."""
    start = ["-m", "jobrunner", "--project", "{folder}", "start", "--slots", str(ours.SLOTS), "--grace", "1s"]
    return Queue(
        system, "", [sys.executable, "-m", "benchmarks.ours_queue"], [[sys.executable, *start]],
        lambda folder: nullcontext(""), partial(_project, serves, imports), variables=variables or {},
    )  # fmt: skip


def warm() -> Queue:
    """Return ours with processes that serve many runs."""
    return jobrunner(ours.WARM, serves=ours.WARM_RUNS)


# -- peers -----------------------------------------------------------------------------------------------


def _program(name: str, *arguments: str) -> list[str]:
    return ["{bin}/python", "-m", f"{PROGRAMS}.{name}", *arguments]


def _file(folder: Path) -> AbstractContextManager[str]:
    return nullcontext(str(folder / "huey.db"))


def _postgres(folder: Path) -> AbstractContextManager[str]:
    return servers.postgres()


def huey(kind: str, workers: int = WORKERS) -> Queue:
    """Return Huey with workers as threads ("thread") or processes ("process")."""
    plural = {"thread": "threads of one process", "process": f"{workers} processes that serve many calls"}[
        kind
    ]
    return Queue(
        System(f"Huey, {kind} ×{workers}", "peer", FSYNC, plural), "huey", _program("huey_program"),
        [["{bin}/python", "-m", "huey.bin.huey_consumer", f"{PROGRAMS}.huey_program.huey",
          "-k", kind, "-w", str(workers), "-q"]], _file,
    )  # fmt: skip


def rq(*, fork: bool) -> Queue:
    """Return RQ: a fork a job, or all in the worker."""
    worker = ["{bin}/python", "-m", "rq.cli", "worker", "-q", "--disable-job-desc-logging",
              "--with-scheduler",
              "--url", "{url}", *([] if fork else ["-w", "rq.worker.SimpleWorker"])]  # fmt: skip
    name, isolation = (
        ("fork", "a fork of the worker a job") if fork else ("in the worker", "none: the worker")
    )
    return Queue(
        System(f"RQ, {name} ×{WORKERS}", "peer", EVERYSEC, isolation), "rq", _program("rq_program"),
        [_shell(worker)] * WORKERS, servers.redis, slow=fork,
    )  # fmt: skip


def celery(*, fresh: bool) -> Queue:
    """Return Celery, prefork; `fresh`: a process a call."""
    how = ["--max-tasks-per-child", "1"] if fresh else []
    name, isolation = ("max-tasks-per-child=1", "a fresh process a call") if fresh else (
        f"prefork ×{WORKERS}", "processes that serve many calls")  # fmt: skip
    return Queue(
        System(f"Celery, {name}", "peer", EVERYSEC, isolation), "celery", _program("celery_program"),
        [["{bin}/python", "-m", "celery", "-A", f"{PROGRAMS}.celery_program", "worker", "-P", "prefork",
          "-c", str(WORKERS), "-l", "ERROR", "--without-gossip", "--without-mingle", *how]],
        servers.redis, slow=fresh,
    )  # fmt: skip


def procrastinate() -> Queue:
    """Return Procrastinate: coroutines, history kept."""
    return Queue(
        System("Procrastinate", "peer", f"{PG}; history kept", "none: one event loop"), "procrastinate",
        _program("procrastinate_program"), [_program("procrastinate_program", "work")], _postgres, slow=True,
    )  # fmt: skip


def dbos() -> Queue:
    """Return DBOS: threads, history kept."""
    return Queue(
        System("DBOS", "peer", f"{PG}; history kept", "threads of one process"), "dbos",
        _program("dbos_program"), [_program("dbos_program", "work")], _postgres, slow=True,
    )  # fmt: skip


def graphile(*, tuned: bool) -> Queue:
    """Return graphile-worker, tuned for throughput or as it comes."""
    how = "work-tuned" if tuned else "work"
    node = ["node", "{place}/graphile.mjs"]
    return Queue(
        System("graphile-worker" + ", tuned" * tuned, "peer", f"{PG}; no history", "none: one event loop"),
        "graphile", node, [[*node, how]], _postgres,
    )  # fmt: skip


def _shell(command: Sequence[str]) -> list[str]:
    """Return a command that takes its address from the environment."""
    return ["/bin/sh", "-c", "exec " + " ".join(command).replace("{url}", '"$BENCH_URL"')]


def peers() -> list[Queue]:
    """Return all peers whose processes serve many calls."""
    return [
        huey("process"), huey("thread"), rq(fork=False), celery(fresh=False), procrastinate(), dbos(),
        graphile(tuned=True),
    ]  # fmt: skip


def seconds_a_call(place: Place, count: int, patience: float) -> float:
    """Have calls asked for, then worked off; returns what each took, from the first body to the last.

    Raises NotMeasured where fewer than two began before `patience`, in seconds, was over.
    """
    place.ask_for(count)
    with place.working():
        wait_for(place.out, count, patience)
    began = sorted(line.began for line in lines(place.out))
    if len(began) < 2:
        raise NotMeasured("nothing ran")
    return (began[-1] - began[0]) / (len(began) - 1)
