"""A network of our own: machines (namespaces) on a bridge, to be cut off."""

from __future__ import annotations

import ipaddress
import itertools
import json
import random
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tests.system.leftovers import orphans, ours, run


class Network:
    """A bridge; what listens on `address` on this side is reached by the machines."""

    def __init__(self) -> None:
        sweep()
        self.bridge = ours("b")
        self._subnet = _free_subnet()
        self._hosts = iter(self._subnet.hosts())
        self.address = str(next(self._hosts))
        self._machines: list[Namespace] = []

    def __enter__(self) -> Self:
        try:
            run("ip", "link", "add", self.bridge, "type", "bridge")
            run("ip", "address", "add", f"{self.address}/{self._subnet.prefixlen}", "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def namespace(self) -> Namespace:
        """Return another machine on this network; it goes with the network."""
        made = Namespace(self.bridge, f"{next(self._hosts)}/{self._subnet.prefixlen}")
        self._machines.append(made)
        made.set_up()
        return made

    def close(self) -> None:
        """Take the network and its machines away."""
        for each in self._machines:
            each.close()
        with suppress(OSError):
            run("ip", "link", "delete", self.bridge)


class Namespace:
    """A machine with one address; what runs in it sees no other network."""

    _numbers = itertools.count()

    def __init__(self, bridge: str, address: str) -> None:
        number = next(self._numbers)
        self.name, self._outside, self._inside = (ours(kind, number) for kind in ("n", "o", "i"))
        self.address = address.partition("/")[0]
        self._bridge, self._prefixed = bridge, address

    def set_up(self) -> None:
        """Make the machine, and plug it in."""
        inside, within = self._inside, ("ip", "-n", self.name)
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self._outside, "type", "veth", "peer", "name", inside, "netns", self.name)
        run("ip", "link", "set", self._outside, "master", self._bridge, "up")
        run(*within, "address", "add", self._prefixed, "dev", inside)
        run(*within, "link", "set", "lo", "up")
        run(*within, "link", "set", inside, "up")

    def command(self, *command: str) -> list[str]:
        """Return the command that runs another one in the machine."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine to its end."""
        return subprocess.run(self.command(*command), text=True, **{"check": False, **options})

    def cut(self) -> None:
        """Pull the cable: what is sent is lost, and nobody is told."""
        run("ip", "link", "set", self._outside, "down")

    def heal(self) -> None:
        """Plug it in again."""
        run("ip", "link", "set", self._outside, "up")

    def close(self) -> None:
        """Take the machine away; processes in it go on without a network."""
        for command in (("link", "delete", self._outside), ("netns", "delete", self.name)):
            with suppress(OSError):
                run("ip", *command)


def sweep() -> None:
    """Take away what killed sessions have left."""
    for name in orphans("n", (each["name"] for each in _asked("netns", "list"))):
        run("ip", "netns", "delete", name)
    for name in orphans("[bo]", (each["ifname"] for each in _asked("link"))):
        with suppress(OSError):  # it may have gone with its other end
            run("ip", "link", "delete", name)


def _asked(*what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("ip", "-json", *what) or "[]")
    return found


def _free_subnet() -> ipaddress.IPv4Network:
    """Return one of 10.0.0.0/8 that no route of this system leads to."""
    routes = [ipaddress.ip_network(each["dst"]) for each in _asked("-4", "route") if each["dst"] != "default"]
    while True:
        made = ipaddress.IPv4Network(f"10.{random.randint(200, 250)}.{random.randint(0, 255)}.0/24")
        if not any(made.overlaps(ipaddress.IPv4Network(str(route))) for route in routes):
            return made
