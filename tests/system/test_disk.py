from __future__ import annotations

import errno
import os

import psycopg
import pytest

from tests.postgres.server import Server
from tests.system.disk import disk


def test_a_disk_has_the_size_one_asked_for_and_goes_afterwards() -> None:
    with disk(8) as folder:
        with pytest.raises(OSError) as full:
            (folder / "large").write_bytes(bytes(9 * 2**20))
        assert full.value.errno == errno.ENOSPC
    assert not folder.exists()


def test_a_disk_is_unmounted_after_a_failure_too() -> None:
    with pytest.raises(ZeroDivisionError), disk(8) as folder:
        assert os.path.ismount(folder)
        raise ZeroDivisionError
    assert not os.path.lexists(folder)


def test_a_server_says_that_its_disk_is_full_and_goes_on_when_there_is_room() -> None:
    with disk(160) as folder, Server(folder=folder / "server") as server:
        server.execute("create unlogged table filling (text text)")  # the log shall have room
        ballast = folder / "ballast"
        free = os.statvfs(folder)
        ballast.write_bytes(bytes((free.f_bavail * free.f_frsize) - 2**20))
        with pytest.raises(psycopg.errors.DiskFull):
            server.execute("insert into filling select repeat('x', 1000) from generate_series(1, 10000)")
        ballast.unlink()
        server.execute("insert into filling select repeat('x', 1000) from generate_series(1, 10000)")
        assert server.execute("select count(*) from filling") == [(10000,)]
