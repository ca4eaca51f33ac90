"""A small disk, to be filled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lifecycle.project import wait_until
from tests.system.leftovers import orphans, ours, run


@contextmanager
def disk(megabytes: int) -> Iterator[Path]:
    """Mount an empty disk of that size, which everybody may write to; yield its folder."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=ours("disk", "_"), dir=tempfile.gettempdir()))
    folder.chmod(0o755)
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=1777", folder.name, str(folder))
    try:
        yield folder
    finally:
        wait_until(lambda: _unmounted(folder), "the disk's last user to end")


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no page of a disk free."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 4096):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    yield
    ballast.unlink()


def _unmounted(folder: Path) -> bool:
    try:
        run("umount", str(folder))
    except OSError:  # somebody is at work on it
        return False
    folder.rmdir()
    return True


def _sweep() -> None:
    there = {path.name: path for path in Path(tempfile.gettempdir()).glob("jr*disk_*")}
    for name in orphans("disk", there):
        if there[name].is_mount():
            run("umount", "--lazy", str(there[name]))
        there[name].rmdir()
