"""How a helper is born: its process, and our end of the socket to it. It may be before anybody needs it.

An interpreter takes about as long to come up as a node takes to read its files and to join the state. `begun`
lets both happen at once: the first launcher that wants a helper like that takes it, and if none does it ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from jobrunner import processes

if TYPE_CHECKING:
    from jobrunner.settings import Settings

MARK = "JOBRUNNER_FAMILY"  # in the environment of every child: tells our orphans from strangers
ZYGOTE = "jobrunner.executor.zygote"


class Helper(NamedTuple):
    """A process that executes a module, with this environment and a mark of its own in it."""

    module: str
    environ: Mapping[str, str]
    mark: str
    control: socket.socket
    process: subprocess.Popen[bytes]

    def abandon(self) -> None:
        """End one that was told nothing yet."""
        self.control.close()
        self.process.kill()
        self.process.wait()
        processes.forget(self.process.pid)


_begun: list[Helper] = []


@contextlib.contextmanager
def begun(settings: Settings) -> Iterator[None]:
    """Have a zygote on its way for the first launcher that wants one; one that nobody took ends."""
    if hasattr(os, "fork"):
        with contextlib.suppress(OSError):  # whoever needs one will say so
            _begun.append(_bear(ZYGOTE, environment(settings)))
    try:
        yield
    finally:
        while _begun:
            _begun.pop().abandon()


def born(module: str, environ: Mapping[str, str]) -> Helper:
    """Return a helper, one that was begun before if it is like that. Raises OSError."""
    while _begun:
        helper = _begun.pop()
        if (helper.module, helper.environ) == (module, environ) and helper.process.poll() is None:
            return helper
        helper.abandon()
    return _bear(module, environ)


def environment(settings: Settings) -> dict[str, str]:
    """Return what runs have as their environment: ours, without the state's address if it has a password.

    What a run needs of the state it asks its node for.
    """
    if "JOBRUNNER_STATE" not in os.environ:
        return dict(os.environ)
    from urllib.parse import urlsplit

    secret = urlsplit(settings.state).password is not None
    return {name: text for name, text in os.environ.items() if not (secret and name == "JOBRUNNER_STATE")}


def _bear(module: str, environ: Mapping[str, str]) -> Helper:
    """Exec one in a session of its own: the terminal's Ctrl-C is for the node alone."""
    mark = os.urandom(16).hex()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    try:
        with theirs:
            process = processes.bear(lambda: subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], env={**environ, MARK: mark}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=_stderr(),
            ))  # fmt: skip
    except BaseException:
        ours.close()
        raise
    return Helper(module, environ, mark, ours, process)


def _stderr() -> int:
    """Return where a preloaded package may print: not to our stdout, which is for data."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
