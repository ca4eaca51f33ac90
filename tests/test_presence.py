"""The doorbells of one machine."""

from __future__ import annotations

import select
from pathlib import Path

from jobrunner.presence import Presence


def _rings(presence: Presence) -> bool:
    bell = presence.bell()
    assert bell is not None
    return bool(select.select([bell], [], [], 0)[0])


def test_who_rings_all_wakes_the_others_and_not_itself(tmp_path: Path) -> None:
    ours, others = Presence(tmp_path, "ours"), [Presence(tmp_path, name) for name in ("a", "b")]
    try:
        for presence in (ours, *others):
            presence.announce()
        ours.ring_all()
        assert [_rings(each) for each in (ours, *others)] == [False, True, True]
        others[0].ring_all()
        assert _rings(ours)
    finally:
        for presence in (ours, *others):
            presence.leave()
