"""Eight nodes on four machines, one PostgreSQL, five minutes in which everything goes wrong that may.

    python -m tests.system.storm                              the long form; needs root
    python -m tests.system.storm --here --seconds 60          without: machines are one, behind proxies
    python -m tests.system.storm --seed 7 --plan              what would go wrong

300 occurrences are due each second. Nodes are killed and stopped, machines are cut from their network, the
database is shut down, crashes and falls silent, each for a time shorter or longer than the lease. Afterwards
the schedules, the ledger and what the bodies have written are compared (tests/lifecycle/machines).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lifecycle.machines.ground import Ground, Loopback
from tests.lifecycle.machines.work import Size, storm
from tests.postgres.server import Server
from tests.system.network import Network

MACHINES = 4


class Apart:
    """Machines in namespaces of their own; a cut is a cable that is pulled."""

    def __init__(self, server: Server, network: Network, machines: int) -> None:
        self.machines = machines
        self._server = server
        self._made = [network.namespace() for _ in range(machines)]

    def url(self, machine: int, schema: str) -> str:
        return self._server.url(schema)

    def within(self, machine: int) -> list[str]:
        return self._made[machine].command()

    def cut(self, machine: int) -> None:
        self._made[machine].cut()

    def heal(self, machine: int) -> None:
        self._made[machine].heal()


@contextmanager
def apart(machines: int, *, fsync: bool) -> Iterator[tuple[Server, Ground]]:
    """Yield a server, and machines that reach it through a network."""
    with Network() as network, Server(address=network.address, fsync=fsync) as server:
        yield server, Apart(server, network, machines)


@contextmanager
def here(machines: int, *, fsync: bool) -> Iterator[tuple[Server, Ground]]:
    """Yield the same without a network of its own."""
    with Server(fsync=fsync) as server, Loopback(server, machines) as ground:
        yield server, ground


def main() -> int:
    """Run one, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--here", action="store_true", help="without namespaces, and without root")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--jobs", type=float, default=1.0, help="1.0: 300 are due each second")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--lease", type=float, default=5)
    parser.add_argument("--every", type=float, default=2, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--plan", action="store_true", help="only show what would go wrong")
    parser.add_argument("--keep", type=Path, help="where to leave the project, to look at it")
    args = parser.parse_args()
    size = Size(
        seconds=args.seconds, jobs=args.jobs, nodes=args.nodes, lease=args.lease, every=args.every
    )  # fmt: skip
    if args.plan:
        print(*size.faults(args.seed, MACHINES), sep="\n")
        return 0
    if not args.here and os.geteuid() != 0:
        sys.exit("network namespaces need root; --here does without them")
    print(f"seed {args.seed}", flush=True)
    ground = here if args.here else apart
    with tempfile.TemporaryDirectory() as folder, ground(MACHINES, fsync=True) as (server, machines):
        verdict = storm(args.keep or Path(folder) / "storm", server, machines, size, args.seed)
    print(verdict)
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
