"""Names that tell whose they are, so that what a killed session has left is found and taken away."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator

from tests.lifecycle.project import alive


def run(*command: str) -> str:
    """Run a command of the system's and return what it says; raise with what it says when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout


def ours(kind: str, number: object = "") -> str:
    """Return a name for a thing of this process; a network device's has at most 15 letters."""
    return f"jr{os.getpid()}{kind}{number}"


def orphans(kind: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the names whose processes are gone."""
    for name in names:
        match = re.fullmatch(rf"jr(\d+){kind}\w*", name)
        if match and not alive(int(match[1])):
            yield name
