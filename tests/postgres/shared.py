"""One server for all workers of a session.

Who needs it first starts it, in a folder whose name the session's controller has chosen; the others join.
Each holds a lease, so it lasts as long as any of them, and the controller takes it away at the end.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres.server import Server


def place() -> Path:
    """Return the name of a folder for this session; the folder is made when a test needs the server."""
    return Path(tempfile.gettempdir(), f"jobrunner-pg-{secrets.token_hex(8)}")


def join(folder: Path) -> Server:
    """Return the session's server, started if need be."""
    with _door(folder):
        found = Server.at(folder)
        if found is not None:
            return found
        made = Server(folder=folder, fsync=False)
        try:
            return made.start()
        except BaseException:
            made.close()
            raise


@contextmanager
def _door(folder: Path) -> Iterator[None]:
    """Keep others from joining or ending the server meanwhile."""
    descriptor = _opened(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    """Return the locked door; a folder that was removed while we waited has another one."""
    while True:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder / "door", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(folder / "door")):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
