"""The connection of a bridge to its Ray cluster, and what Ray's errors mean for a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from jobrunner import __version__
from jobrunner.executor import ray_host

CONNECT_LIMIT = 60.0  # seconds until a cluster has to have answered
KNOCK_LIMIT = 10.0  # seconds until somebody has to be there at all


class Broken(Exception):
    """Why a run could not be, or be seen to its end: a sentence."""


class Cluster:
    """The connection to a cluster, made for the first run."""

    def __init__(self) -> None:
        self._ray: Any = None
        self._connecting: asyncio.Task[None] | None = None
        self.lost = False  # there is none, or none any more

    async def host(self, options: Mapping[str, Any]) -> Any:
        """Return the handle of an actor for a run, which Ray starts where there is room. Raises Broken."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._connect(options.get("address", "auto")))
        await asyncio.shield(self._connecting)
        resources: dict[str, Any] = {
            "num_cpus": options.get("numCpus", 1), "num_gpus": options.get("numGpus"),
            "resources": options.get("resources"), "runtime_env": options.get("runtimeEnv"),
        }  # fmt: skip
        given = {name: each for name, each in resources.items() if each is not None}
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH120
        actor = self._ray.remote(ray_host.Host).options(
            max_concurrency=8, max_restarts=0, max_task_retries=-1, **given
        )
        return actor.remote(package, __version__)

    async def _connect(self, address: str) -> None:
        try:
            await asyncio.wait_for(asyncio.to_thread(self._open, address), CONNECT_LIMIT)
        except TimeoutError:
            self.lost = True
            raise Broken(f"no Ray cluster at {address} has answered within {CONNECT_LIMIT:g} s") from None
        except Exception as error:  # whatever Ray makes of it
            self.lost = True
            raise Broken(f"cannot connect to the Ray cluster at {address}: {_lines(error)[0]}") from None

    def _open(self, address: str) -> None:
        import ray
        from ray import cloudpickle

        _knock(address)
        cloudpickle.register_pickle_by_value(ray_host)
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", namespace="jobrunner")
        self._ray = ray

    def kill(self, host: Any) -> None:
        """End an actor's process, and thereby all that it has."""
        with contextlib.suppress(Exception):
            self._ray.kill(host, no_restart=True)

    def why(self, error: BaseException) -> str:
        """Return what an error of Ray's means for a run."""
        if isinstance(error, Broken):
            return str(error)
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return f"its Ray worker failed: {_lines(error.cause)[0]}"
        if isinstance(error, self._ray.exceptions.RuntimeEnvSetupError):
            return f"its runtimeEnv cannot be had: {_lines(error)[-1]}"
        if isinstance(error, self._ray.exceptions.RayError):
            return f"its Ray worker died, and the run with it: {_lines(error)[-1]}"
        return f"it cannot be handed to the Ray cluster: {_lines(error)[0]}"


def _knock(address: str) -> None:
    """Raise OSError when nobody is at HOST:PORT; Ray would wait for minutes. Other forms are Ray's affair."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in address:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_LIMIT).close()


def _lines(error: BaseException) -> list[str]:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return [line.strip()[:300] for line in text.splitlines() if line.strip()] or [type(error).__name__]
