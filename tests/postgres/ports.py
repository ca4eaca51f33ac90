"""Ports of our own on loopback."""

from __future__ import annotations

import random
import socket

# Below what systems take for outgoing connections: a client that asks again and again for a server that is
# down would be given that very port one day, and speak with itself.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port that nobody has; somebody may take it before the caller does."""
    while True:
        port = random.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
