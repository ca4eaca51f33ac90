"""All that have schedules, ours and peers: a long-running process, told in the same words what to do.

each-second                 one job, due each second; or in even-seconds, or odd-seconds
idle COUNT                  so many, none of which is due soon
burst COUNT WHEN            so many, all due at one moment
start COUNT                 so many, and a call that waits to be made
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import ours, queues
from benchmarks.measure import ROOT, NotMeasured, System
from benchmarks.peers import environment, servers
from benchmarks.processes import working

Tasks = tuple[str, ...]
EVEN, ODD = "even-seconds", "odd-seconds"  # for two that are measured in turns
PLAIN = ("each-second", "idle", "burst", "start")
ALL = (*PLAIN, EVEN, ODD)
SECONDS = {"each-second": "* * * * * *", EVEN: "*/2 * * * * *", ODD: "1-59/2 * * * * *"}
PROGRAMS = "benchmarks.peers.programs"
MEMORY = "nothing: all is in memory"


@dataclass(frozen=True)
class Scheduler:
    """One way to run one system. {bin}, {place}, {folder} as in `queues`.

    `prepare` makes what a first start would have made, and returns the command's last arguments.
    """

    system: System
    environment: str
    command: Sequence[str]
    can: Tasks
    serve: queues.Serve = lambda folder: nullcontext(str(folder / "file.db"))
    prepare: Callable[[Prepared, str, Sequence[str]], list[str]] | None = None
    beside: Path | None = None  # a folder of packages that its jobs import

    @contextmanager
    def opened(self, folder: Path, task: str, *numbers: object) -> Iterator[Prepared]:
        """Have its database, and all that is there before its start. Raises NotMeasured."""
        if task not in self.can:
            raise NotMeasured("it has no way to do this")
        names = self._names(folder)
        with self.serve(folder) as url:
            variables = {
                **os.environ, "BENCH_URL": url, "BENCH_OUT": str(folder / "out"), "TZ": "UTC",
                "PYTHONPATH": os.pathsep.join(str(each) for each in (self.beside, ROOT) if each),
                "BENCH_JOBS": str(numbers[0] if numbers else 0),
            }  # fmt: skip
            made = Prepared(folder, [each.format(**names) for each in self.command], variables)
            words = list(map(str, numbers))
            made.command += self.prepare(made, task, words) if self.prepare else [task, *words]
            yield made

    def _names(self, folder: Path) -> dict[str, str]:
        if not self.environment:
            return {"bin": str(Path(sys.executable).parent), "folder": str(folder)}
        place = environment.folder(self.environment)
        if self.environment in environment.NODE_PINS:
            environment.programs(self.environment)
        return {"bin": str(place), "place": str(place), "folder": str(folder)}


class Prepared:
    """A scheduler that is ready to be started."""

    def __init__(self, folder: Path, command: list[str], variables: dict[str, str]) -> None:
        self.folder, self.command, self.variables = folder, command, variables
        self.out = folder / "out"

    def run(self, *command: str) -> None:
        """Run another program of it to its end."""
        subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def working(self) -> AbstractContextManager[list[subprocess.Popen[bytes]]]:
        """Have it for the length of the block."""
        return working([self.command], self.folder, self.variables)


# -- ours ------------------------------------------------------------------------------------------------


def _ours(serves: int, imports: str, made: Prepared, task: str, words: Sequence[str]) -> list[str]:
    project = ours.Project(made.folder)
    config = {"runsPerProcess": serves, "timezone": "UTC", "misfireGrace": "60s"}
    if task in SECONDS:
        project.job("tick", imports=imports, due=True, **{**config, "schedule": SECONDS[task]})
    else:
        schedule = _moment(float(words[1])) if task == "burst" else _far()
        project.jobs(int(words[0]), imports=imports, **{**config, "schedule": schedule})
    project.see()
    if task == "start":
        project.run("in", "0s", "job-0")
    return []


def _moment(when: float) -> str:
    """Return a schedule that is due then, and again in a year."""
    due = time.gmtime(when)
    return f"{due.tm_sec} {due.tm_min} {due.tm_hour} {due.tm_mday} {due.tm_mon} *"


def _far() -> str:
    """Return a schedule that is due in twelve hours."""
    return f"0 0 {(time.gmtime().tm_hour + 12) % 24} * * *"


def jobrunner(
    system: System = ours.FRESH, *, serves: int = 1, imports: str = "", beside: Path | None = None
) -> Scheduler:
    """Return ours."""
    start = ["--project", "{folder}", "start", "--slots", str(ours.SLOTS), "--grace", "1s"]
    return Scheduler(
        system, "", [sys.executable, "-m", "jobrunner", *start], ALL, lambda folder: nullcontext(""),
        partial(_ours, serves, imports), beside,
    )  # fmt: skip


def warm() -> Scheduler:
    """Return ours with processes that serve many runs."""
    return jobrunner(ours.WARM, serves=ours.WARM_RUNS)


# -- peers -----------------------------------------------------------------------------------------------


def apscheduler(kind: str) -> Scheduler:
    """Return APScheduler 3: "threads", "processes", or "sqlite" (processes, and a job store)."""
    names = {"threads": "threads", "processes": "processes", "sqlite": "processes, SQLite"}
    keeps = "its schedules: SQLite; no history" if kind == "sqlite" else MEMORY
    isolation = "threads of one process" if kind == "threads" else "processes that serve many runs"
    return Scheduler(
        System(f"APScheduler 3, {names[kind]}", "peer", keeps, isolation), "apscheduler",
        ["{bin}/python", "-m", f"{PROGRAMS}.apscheduler_program", kind], ALL,
    )  # fmt: skip


def schedule() -> Scheduler:
    """Return schedule."""
    return Scheduler(
        System("schedule", "peer", MEMORY, "none: one thread"), "schedule",
        ["{bin}/python", "-m", f"{PROGRAMS}.schedule_program"], PLAIN,
    )  # fmt: skip


def bree() -> Scheduler:
    """Return Bree."""
    return Scheduler(
        System("Bree", "peer", MEMORY, "a worker thread a run"), "bree", ["node", "{place}/bree.mjs"], PLAIN
    )  # fmt: skip


def _asked(
    program: str, tasks: Collection[str] | None, made: Prepared, task: str, words: Sequence[str]
) -> list[str]:
    """Have a queue's tables, and a call where one shall wait; its worker takes a word, or None.

    It is "work", but for tasks for which it has another way.
    """
    made.run(made.command[0], "-m", f"{PROGRAMS}.{program}", "setup")
    if task == "start":
        made.run(made.command[0], "-m", f"{PROGRAMS}.{program}", "send", "1")
    return [] if tasks is None else [task if task in tasks else "work"]


def huey() -> Scheduler:
    """Return Huey with threads: its schedules are of whole minutes."""
    consumer = ["-m", "huey.bin.huey_consumer", f"{PROGRAMS}.huey_program.huey", "-k", "thread", "-q"]
    return Scheduler(
        queues.huey("thread").system, "huey",
        ["{bin}/python", *consumer, "-w", str(queues.WORKERS)], ("idle", "start"),
        prepare=partial(_asked, "huey_program", None),
    )  # fmt: skip


def procrastinate() -> Scheduler:
    """Return Procrastinate."""
    return Scheduler(
        queues.procrastinate().system, "procrastinate",
        ["{bin}/python", "-m", f"{PROGRAMS}.procrastinate_program"], ("each-second", "idle", "start"),
        lambda folder: servers.postgres(), partial(_asked, "procrastinate_program", ("each-second",)),
    )  # fmt: skip


def dbos() -> Scheduler:
    """Return DBOS."""
    return Scheduler(
        queues.dbos().system, "dbos", ["{bin}/python", "-m", f"{PROGRAMS}.dbos_program"],
        ("each-second", "idle", "start"), lambda folder: servers.postgres(),
        partial(_asked, "dbos_program", ("each-second", "idle")),
    )  # fmt: skip


def peers() -> list[Scheduler]:
    """Return all peers."""
    return [
        apscheduler("threads"), apscheduler("processes"), apscheduler("sqlite"), schedule(), huey(), bree(),
        procrastinate(), dbos(),
    ]  # fmt: skip
