"""The bridge to a Ray cluster: one process a node and cluster, which has Ray in it so that the node has not.

    node --exec--> bridge --Ray--> one actor a run (`ray_host`) --exec--> zygote --fork--> the run

The node talks with it in the frames of `helper`; `fork` comes with the options of the run, and an `exit` that
is `leaving` is the last. What comes on a run's wire is passed on to its actor, and what the actor has heard
is asked for again and again: a call that waits until there is something. So nothing is needed between the
machines but what Ray has anyway.

When the node's end closes all actors are killed. When this process dies, Ray does it. A run that cannot be
reached is killed where it is, after the time of its leash, and only later given up here: by then it is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from jobrunner.executor import ray_host
from jobrunner.executor.ray_cluster import Broken, Cluster
from jobrunner.executor.zygote import BOOT, take_lock
from jobrunner.wire import LAPSED, Decoder, Frame, encode

PATIENCE = 5.0  # seconds that a question for news may wait for some
INSIST_AFTER = 2.0  # seconds from a KILL to the end of the worker, if the run has not ended
END_LIMIT = 1.5  # seconds that killing all may take
WATCH_EVERY = 0.5  # seconds at most between two looks at how long runs may live
_AT_ONCE = 65_536
_MOST_FDS = 64


class Crossing:
    """One run: what comes from the node goes to its actor, and the other way round, until it is over."""

    def __init__(self, number: int, options: Mapping[str, Any], fds: list[int], bridge: Bridge) -> None:
        self._number = number
        self._options = options
        self._wire, self._output = socket.socket(fileno=fds[0]), fds[1]
        self._wire.setblocking(False)
        os.set_blocking(self._output, False)
        self._bridge = bridge
        self._host: Any = None
        self._there = False
        self._task = asyncio.ensure_future(self._see_through())
        self.settled = asyncio.ensure_future(self._settle())

    def end(self) -> None:
        """Kill it, whatever it does."""
        self._task.cancel()

    async def _settle(self) -> None:
        told: Frame = {"exit": self._number, "code": None}
        await asyncio.wait([self._task])
        if self._task.cancelled():
            told |= {"code": -signal.SIGKILL, "problem": LAPSED if self._bridge.lapsed else None}
            await self._bury()
        elif (error := self._task.exception()) is not None:
            told["problem"] = self._bridge.cluster.why(error)
        else:
            told |= self._explained(self._task.result())
        if self._host is not None:
            self._bridge.cluster.kill(self._host)
        self._wire.close()
        os.close(self._output)
        self._bridge.over(self._number, told)

    def _explained(self, end: Frame) -> Frame:
        """Return how the child ended; one that was killed far away since nobody reached it is told apart."""
        if end["problem"] == LAPSED and not self._bridge.lapsed:
            end["problem"] = f"it was out of reach for {self._bridge.leash:g} s, and killed there"
        return end

    async def _see_through(self) -> Frame:
        self._host = await self._bridge.cluster.host(self._options)
        pid = await self._host.start.remote(self._bridge.leash)
        self._there = True
        self._bridge.say({"forked": self._number, "pid": pid})
        passing = asyncio.ensure_future(self._pass_on())
        try:
            return await self._listen()
        finally:
            passing.cancel()

    async def _listen(self) -> Frame:
        """Bring what the child says to the node; returns how it ended."""
        number, end = 0, None
        while end is None:
            number += 1
            words, output, end = await self._news(number)
            await self._write(output)
            with contextlib.suppress(OSError):  # the node listens no more
                await asyncio.get_running_loop().sock_sendall(self._wire, words)
        return end

    async def _news(self, number: int) -> ray_host.Taken:
        """Return what the actor has heard. Raises Broken once the child must be dead by its leash."""
        patience = PATIENCE + self._bridge.leash * 4 / 3
        try:
            return await asyncio.wait_for(self._host.take.remote(number, PATIENCE), patience)
        except TimeoutError:
            self._bridge.cluster.lost = True
            raise Broken(f"its Ray worker has not been heard of for {patience:g} s") from None

    async def _write(self, data: bytes) -> None:
        """Write to the node's pipe; while that is full the run waits."""
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except BlockingIOError:
                await _writable(self._output)
            except OSError:  # the node listens no more
                return

    async def _pass_on(self) -> None:
        """Bring what the node says to the child."""
        number, data = 0, b"?"
        with contextlib.suppress(Exception):  # the actor died: who listens to it says so
            while data:
                data = await self._heard()
                number += 1
                await self._host.feed.remote(number, data)

    async def _heard(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._wire, ray_host.SOME)
        except OSError:
            return b""

    def signal(self, what: int) -> None:
        """Have the child signaled; one that is not there will not be."""
        if not self._there:
            self.end()
            return
        self._host.signal.remote(what)
        if what == signal.SIGKILL:
            asyncio.get_running_loop().call_later(INSIST_AFTER, self.end)

    def live_for(self, seconds: float) -> None:
        """Let the child live for so long, unless told again."""
        if self._there:
            self._host.live_for.remote(seconds)

    async def _bury(self) -> None:
        """Kill the actor, and wait a moment until Ray knows it to be dead."""
        if self._host is not None:
            self._bridge.cluster.kill(self._host)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._host.live_for.remote(0), END_LIMIT)


class Bridge:
    """Hears the node, and has a `Crossing` for each run. `control` is the socket to the node."""

    def __init__(self, control: socket.socket) -> None:
        control.setblocking(False)
        self._control = control
        self._decoder = Decoder()
        self._fds: list[int] = []
        self._runs: dict[int, Crossing] = {}
        self._lock = -1
        self._until: float | None = None  # seconds of boot time
        self._watching: asyncio.Future[None] | None = None
        self.leash = 0.0  # seconds
        self.lapsed = False  # the node has not told us in time that runs may live on
        self._node_gone = asyncio.Event()
        self.cluster = Cluster()

    async def serve(self) -> None:
        """Serve the node until it closes its end, or there is no cluster."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.fileno(), self._obey)
        await self._node_gone.wait()
        self._keep_watch(False)
        loop.remove_reader(self._control.fileno())
        for run in self._runs.values():
            run.end()
        if self._runs:
            await asyncio.wait([run.settled for run in self._runs.values()], timeout=END_LIMIT)

    def say(self, frame: Frame) -> None:
        """Tell the node something; what it does not take now is lost, and so is the node."""
        with contextlib.suppress(OSError):
            self._control.sendall(encode(frame))

    def over(self, number: int, told: Frame) -> None:
        """A run is over; without a cluster so are we, and the next run gets another bridge."""
        self._runs.pop(number, None)
        leaving = self.cluster.lost and not self._runs
        self.say({**told, "leaving": leaving})
        if leaving:
            self._node_gone.set()

    def _obey(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, _AT_ONCE, _MOST_FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self._fds += fds
        for frame in self._decoder.feed(data):
            self._do(frame)
        if not data:
            self._node_gone.set()

    def _do(self, frame: Frame) -> None:
        if "fork" in frame:
            self._take_in(frame["fork"], frame["options"])
        elif "kill" in frame and frame["kill"] in self._runs:
            self._runs[frame["kill"]].signal(frame["signal"])
        elif "ping" in frame:
            self.say({"pong": frame["ping"]})
        elif "until" in frame:
            self._hold_until(frame["until"])
        elif "start" in frame:
            self._start(frame["start"])

    def _hold_until(self, moment: float) -> None:
        first, self._until = self._until is None, moment
        if first:  # look more often from now on
            self._keep_watch(True)

    def _keep_watch(self, whether: bool) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.ensure_future(self._watch()) if whether else None

    def _start(self, how: Mapping[str, Any]) -> None:
        self.leash = how["leash"]
        self._keep_watch(True)
        if how["lock"]:
            self._lock = take_lock(how["lock"])
        self.say({"started": os.getpid()})

    def _take_in(self, number: int, options: Mapping[str, Any]) -> None:
        pair, self._fds = self._fds[:2], self._fds[2:]
        if len(pair) == 2:
            self._runs[number] = Crossing(number, options, pair, self)
            return
        for descriptor in pair:
            os.close(descriptor)
        self.say({"exit": number, "code": None, "problem": "no descriptors left"})

    async def _watch(self) -> None:
        """Tell the actors how long their runs may live; kill all when nobody has told us in time."""
        while True:
            left = self.leash
            if self._until is not None:
                left = min(left, self._until - time.clock_gettime(BOOT))
            self.lapsed = left <= 0
            for run in list(self._runs.values()):
                if self.lapsed:
                    run.signal(signal.SIGKILL)
                else:
                    run.live_for(left)
            await asyncio.sleep(
                min(WATCH_EVERY, abs(left) / 6 + 0.01) if self._until is not None else self.leash / 6
            )


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(descriptor, tell)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


def main() -> None:
    """Entry of `python -m jobrunner.executor.ray_bridge FD`. What Ray prints is in its own logs."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)

    async def serve() -> None:
        await Bridge(socket.socket(fileno=int(sys.argv[1]))).serve()

    asyncio.run(serve())
    os._exit(0)


if __name__ == "__main__":
    main()
