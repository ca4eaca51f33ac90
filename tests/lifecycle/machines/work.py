"""Nodes at work on their machines, while a plan of faults is carried out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lifecycle.machines import kinds
from tests.lifecycle.machines.faults import Fault, plan
from tests.lifecycle.machines.ground import Ground
from tests.lifecycle.machines.kinds import LIMIT, SECOND
from tests.lifecycle.machines.reckoning import Reckoning
from tests.lifecycle.machines.sink import read
from tests.lifecycle.machines.verdict import Verdict
from tests.lifecycle.project import Project, tagged, wait_until
from tests.postgres.server import ADMIN, Server

SCHEMA = "storm"
CALM = 180.0  # seconds until everything is to be in order again
UNREACHED = 7  # the exit code of who cannot reach its state


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a storm is. `jobs` 1.0: 300 occurrences are due each second; `lease` in seconds."""

    seconds: float
    jobs: float = 1.0
    nodes: int = 8
    slots: int = 4
    lease: float = 5.0
    every: float = 2.0  # seconds between two faults

    def faults(self, seed: int, machines: int) -> list[Fault]:
        """Return what is to go wrong."""
        return plan(
            seed, self.seconds, nodes=self.nodes, machines=machines, lease=self.lease, every=self.every
        )


class Storm:
    """Call `rage`, then `calm`, then `reckon`; `close` in any case."""

    def __init__(self, root: Path, server: Server, ground: Ground, size: Size) -> None:
        self.project = Project(root)
        self._server = server
        self._ground = ground
        self._size = size
        self._tag = f"storm-{os.getpid()}-{root.name}"
        self._kinds = kinds.jobs(size.jobs)
        self._living: dict[int, subprocess.Popen[bytes]] = {}
        self._killed: set[int] = set()  # pids of those that we have killed
        self._begun = 0.0
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        kinds.write(self.project, self._kinds)

    # -- nodes ---------------------------------------------------------------------------------------

    def _start(self, number: int) -> None:
        machine = number % self._ground.machines
        self._living[number] = self.project.start(
            "--slots", str(self._size.slots), "--grace", "5s", "--machine", f"machine-{machine}",
            within=self._ground.within(machine), TEST_TAG=self._tag, JOBRUNNER_NODE=f"node-{number}",
            JOBRUNNER_LEASE=f"{self._size.lease}s", JOBRUNNER_STATE=self._ground.url(machine, SCHEMA),
        )  # fmt: skip

    def rage(self, faults: Sequence[Fault]) -> None:
        """Let nodes work, and carry the plan out."""
        self._begun = time.time()
        for number in range(self._size.nodes):
            self._start(number)
        wait_until(lambda: len(self.project.notes()) > self._size.nodes, "the first bodies")
        begin = time.monotonic()
        for at, act in sorted(self._acts(faults), key=lambda each: each[0]):
            self._sleep_until(begin + at)
            act()
        self._sleep_until(begin + self._size.seconds)

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self._see_who_lives()

    def _see_who_lives(self) -> None:
        """A node that was not killed is there, whatever else has gone wrong; one that found no database when
        it was started is started again."""
        for number, node in self._living.items():
            if node.poll() is not None and node.pid not in self._killed:
                self._killed.add(node.pid)
                words = self.project.words(self.project.nodes.index(node))
                if node.returncode == UNREACHED and not re.search(r"^\d\d:\d\d:\d\dZ ", words, re.M):
                    self.done["start in vain"] += 1
                else:
                    self.wrong.append(
                        f"node {number} ended by itself, with {node.returncode}: {words[-600:]}"
                    )
                self._start(number)

    # -- faults --------------------------------------------------------------------------------------

    def _acts(self, faults: Sequence[Fault]) -> list[tuple[float, Callable[[], None]]]:
        found: list[tuple[float, Callable[[], None]]] = []
        for fault in faults:
            found.append((fault.at, lambda fault=fault: self._begin(fault)))  # type: ignore[misc]
            found.append((fault.at + fault.lasts, lambda fault=fault: self._end(fault)))  # type: ignore[misc]
        return found

    def _begin(self, fault: Fault) -> None:
        self.done[fault.kind] += 1
        match fault.kind:
            case "kill":
                self._killed.add(self._living[fault.target].pid)
                self._living[fault.target].kill()
                self._living[fault.target].wait()
            case "stop":
                self._living[fault.target].send_signal(signal.SIGSTOP)
            case "cut":
                self._ground.cut(fault.target)
            case "freeze":
                self._server.freeze()
            case "fast" | "immediate":
                self._server.stop(fault.kind)

    def _end(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                self._start(fault.target)
            case "stop":
                self._living[fault.target].send_signal(signal.SIGCONT)
            case "cut":
                self._ground.heal(fault.target)
            case "freeze":
                self._server.thaw()
            case "fast" | "immediate":
                self._server.start()

    # -- afterwards ----------------------------------------------------------------------------------

    def calm(self) -> None:
        """Wait until all that was due is recorded and limits are reached; let the nodes go, one and all."""
        until = round(time.time() * SECOND)
        try:
            wait_until(lambda: self._in_order(until), "all that was due to be recorded", CALM)
        except AssertionError:
            self.wrong.append(f"not recorded in time: {self._behind(until)}")
        self._see_who_lives()
        for node in self._living.values():
            node.send_signal(signal.SIGTERM)
        for number, node in self._living.items():
            self._let_go(number, node)
        try:
            wait_until(lambda: not tagged(self._tag), "all processes to be gone", 10)
        except AssertionError:
            self.wrong.append(f"processes were left behind: {[_told(pid) for pid in tagged(self._tag)]}")

    def _let_go(self, number: int, node: subprocess.Popen[bytes]) -> None:
        try:
            code: object = node.wait(60)
        except subprocess.TimeoutExpired:
            code = "nothing, for a minute"
        if code != 0:
            words = self.project.words(self.project.nodes.index(node))[-600:]
            self.wrong.append(f"node {number} was asked to end, and said {code}: {words}")

    def _in_order(self, until: int) -> bool:
        self._see_who_lives()
        time.sleep(0.2)
        return self._all_joined() and not self._behind(until)

    def _all_joined(self) -> bool:
        """Say whether each node that lives has joined, and each that died is recorded."""
        joined = {pid for (pid,) in self._server.execute("SELECT pid FROM storm.nodes")}
        return joined == {node.pid for node in self._living.values()}

    def _behind(self, until: int) -> list[str]:
        """Return the jobs of which not all is recorded until then, or whose limit is not reached."""
        found = self._server.execute(
            "SELECT name, consumed, executions FROM storm.cursors JOIN storm.jobs ON id = job_id"
        )
        limits = {name: LIMIT for name, kind in self._kinds.items() if "numberOfExecutions" in kind.config}
        return [
            name for name, consumed, executions in found
            if name in self._kinds
            and (executions < limits[name] if name in limits else consumed < until - SECOND)
        ]  # fmt: skip

    def reckon(self, seed: int) -> Verdict:
        """Compare what was due, what is recorded and what was done."""
        verdict = Verdict(seed, faults=self.done, seconds=time.time() - self._begun, wrong=self.wrong)
        lines = read(self.project.notes())
        reckoning = Reckoning(self._kinds, self._ground.machines, lines, verdict)
        reckoning.read(self._server.dsn(ADMIN), SCHEMA)
        reckoning.compare()
        return verdict

    def close(self) -> None:
        """Kill what is left."""
        self.project.end()


def _told(pid: int) -> str:
    try:
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()[:200]}"
    except OSError:
        return str(pid)


def storm(root: Path, server: Server, ground: Ground, size: Size, seed: int) -> Verdict:
    """Let a storm rage and calm down, and compare."""
    weather = Storm(root, server, ground, size)
    try:
        weather.rage(size.faults(seed, ground.machines))
        weather.calm()
    finally:
        weather.close()
    return weather.reckon(seed)
