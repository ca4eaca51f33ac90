"""A state goes into a database and back through a pooler of transactions, which keeps no session for it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from jobrunner.clock import SystemClock
from jobrunner.moving import movable, transfer
from jobrunner.store import open_store
from tests.furnished import Furnished, some_jobs


def test_a_state_is_moved_there_and_back_and_is_sound_there(pooler_url: str, tmp_path: Path) -> None:
    here, back = (f"sqlite://{tmp_path}/{name}/state.db" for name in ("here", "back"))
    Furnished(here, some_jobs(), SystemClock().now())
    for origin, goal in ((here, pooler_url), (pooler_url, back)):
        with closing(open_store(origin)) as source, closing(open_store(goal, create=True)) as target:
            with movable(source).reading(alone=True) as reading, movable(target).writing() as writing:
                assert all(each.same for each in transfer(reading, writing))
    with closing(open_store(pooler_url)) as store, movable(store).reading() as reading:
        assert list(reading.problems()) == []
        assert store.healthy() == "ok"
