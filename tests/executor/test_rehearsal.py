"""A child rehearses while it waits, and its run finds nothing of that."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from jobrunner import child
from jobrunner.link import Link, here, pair
from jobrunner.rehearsal import rehearse
from tests.executor.household import Household, wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="pages are counted where /proc tells of them")


def pages_copied(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[7])


@linux
def test_a_child_that_waits_for_its_run_makes_the_pages_its_own_that_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = Household(tmp_path)
    house.pool.start()
    try:
        house.until(lambda: bool(house.pool.ready))
        pid = house.pool.ready[0]
        for_the_fork = pages_copied(pid)
        wait_for(lambda: pages_copied(pid) > 2 * for_the_fork)
        assert house.run("import os\ndef default(): return os.getpid()").result == pid
    finally:
        house.close()


def test_a_rehearsal_leaves_nothing_behind() -> None:
    ours, theirs = pair()
    link = Link(theirs.detach())
    try:
        rehearse()
        before = state_of_the_process()
        rehearse()
        assert state_of_the_process() == before
        assert here.link is link
    finally:
        link.close()
        ours.close()


def state_of_the_process() -> list[object]:
    handlers = [signal.getsignal(number) for number in sorted(signal.valid_signals())]
    streams = sys.stdin, sys.stdout, sys.stderr
    return [
        sorted(os.listdir("/dev/fd")), sorted(sys.modules), sys.path[:], sys.meta_path[:], os.getcwd(),
        dict(os.environ), handlers, streams,
    ]  # fmt: skip


class Over(Exception):
    """The child would end, or go on as the test is not interested in."""


def over(*_: object) -> NoReturn:
    raise Over


def rehearses(child_waits: bool) -> bool:
    """Say whether a child does that is needed no more at once, or only after a while."""
    ours, theirs = pair()
    done: list[str] = []
    if not child_waits:
        ours.shutdown(socket.SHUT_WR)
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Over):
            patch.setattr(child, "_end", over)
            child.serve(theirs.detach(), lambda: done.append("rehearsed") or over())  # type: ignore[func-returns-value]
    finally:
        ours.close()
        assert here.link is not None
        here.link.close()
    return done == ["rehearsed"]


def test_who_is_needed_at_once_does_not_rehearse_first() -> None:
    assert rehearses(child_waits=True)
    assert not rehearses(child_waits=False)
