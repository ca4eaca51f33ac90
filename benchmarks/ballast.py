"""A package that makes whoever imports it as large as a project's usual ones would."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.environment import PLACE

NAME, SIZE = "bench_ballast", 45  # megabytes of the importing process

TEXT = f'''"""Weight, until this process has {SIZE} MB; a fork copies its page table."""

import os

with open("/proc/self/statm") as _file:
    _has = int(_file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
DATA = [bytearray(b"x" * 4096) for _ in range(max(0, {SIZE} * 1_000_000 - _has) // 4096)]
'''


def place() -> Path:
    """Return the folder that it lies in, to be put on the path."""
    folder = PLACE / "ballast"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.py").write_text(TEXT, "utf-8")
    return folder
